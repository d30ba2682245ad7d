/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/status.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "tests/unit/mock_verbs.h"

#include <errno.h>
#include <string.h>

static void every_status_has_an_errno_and_advice(void **state)
{
    (void)state;
    static const struct {
        enum ibv_wc_status status;
        int err;
        const char *says;
    } table[] = {
        {IBV_WC_LOC_LEN_ERR, EMSGSIZE, "same release"},
        {IBV_WC_LOC_QP_OP_ERR, EIO, "malformed"},
        {IBV_WC_LOC_EEC_OP_ERR, EIO, "kernel's log"},
        {IBV_WC_LOC_PROT_ERR, EFAULT, "on this host"},
        {IBV_WC_WR_FLUSH_ERR, ECONNRESET, "has ended"},
        {IBV_WC_MW_BIND_ERR, EIO, "kernel's log"},
        {IBV_WC_BAD_RESP_ERR, EPROTO, "firmware"},
        {IBV_WC_LOC_ACCESS_ERR, EFAULT, "local write access"},
        {IBV_WC_REM_INV_REQ_ERR, EPROTO, "same release"},
        {IBV_WC_REM_ACCESS_ERR, EACCES, "window was closed"},
        {IBV_WC_REM_OP_ERR, EIO, "kernel's log there"},
        {IBV_WC_RETRY_EXC_ERR, ECONNRESET, "does not answer"},
        {IBV_WC_RNR_RETRY_EXC_ERR, ECONNRESET, "took in no messages"},
        {IBV_WC_LOC_RDD_VIOL_ERR, EIO, "kernel's log"},
        {IBV_WC_REM_INV_RD_REQ_ERR, EIO, "kernel's log"},
        {IBV_WC_REM_ABORT_ERR, ECONNABORTED, "kernel's log there"},
        {IBV_WC_INV_EECN_ERR, EIO, "kernel's log"},
        {IBV_WC_INV_EEC_STATE_ERR, EIO, "kernel's log"},
        {IBV_WC_FATAL_ERR, EIO, "kernel's log"},
        {IBV_WC_RESP_TIMEOUT_ERR, ECONNRESET, "does not answer"},
        {IBV_WC_GENERAL_ERR, EIO, "kernel's log"},
        {IBV_WC_TM_ERR, EIO, "kernel's log"},
        {IBV_WC_TM_RNDV_INCOMPLETE, EIO, "kernel's log"},
        {(enum ibv_wc_status)(IBV_WC_TM_RNDV_INCOMPLETE + 1), EIO, "newer driver"},
        {(enum ibv_wc_status)9999, EIO, "newer driver"},
    };
    /* All of the enum but success, and two beyond. */
    assert_int_equal(COUNT_OF(table), IBV_WC_TM_RNDV_INCOMPLETE + 2);
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(pr_verbs_status_error(table[i].status, 0xabc, "mlx5_3", 2), -table[i].err);
        if (!strstr(pr_error_message(), table[i].says))
            fail_msg("status %d gives: %s", table[i].status, pr_error_message());
        char number[32];
        snprintf(number, sizeof(number), "status %d,", table[i].status);
        assert_non_null(strstr(pr_error_message(), number));
        assert_non_null(strstr(pr_error_message(), "0xabc"));
        assert_non_null(strstr(pr_error_message(), "mlx5_3 port 2"));
        assert_non_null(strstr(pr_error_message(), ibv_wc_status_str(table[i].status)));
    }
}

static void only_some_device_events_end_a_lane(void **state)
{
    (void)state;
    static const struct {
        enum ibv_event_type type;
        int err;
    } table[] = {
        {IBV_EVENT_CQ_ERR, EIO},
        {IBV_EVENT_QP_FATAL, EIO},
        {IBV_EVENT_QP_REQ_ERR, EIO},
        {IBV_EVENT_QP_ACCESS_ERR, EACCES},
        {IBV_EVENT_COMM_EST, 0},
        {IBV_EVENT_SQ_DRAINED, 0},
        {IBV_EVENT_PATH_MIG, 0},
        {IBV_EVENT_PATH_MIG_ERR, EIO},
        {IBV_EVENT_DEVICE_FATAL, EIO},
        {IBV_EVENT_PORT_ACTIVE, 0},
        {IBV_EVENT_PORT_ERR, 0},
        {IBV_EVENT_LID_CHANGE, 0},
        {IBV_EVENT_PKEY_CHANGE, 0},
        {IBV_EVENT_SM_CHANGE, 0},
        {IBV_EVENT_SRQ_ERR, 0},
        {IBV_EVENT_SRQ_LIMIT_REACHED, 0},
        {IBV_EVENT_QP_LAST_WQE_REACHED, 0},
        {IBV_EVENT_CLIENT_REREGISTER, 0},
        {IBV_EVENT_GID_CHANGE, 0},
        {IBV_EVENT_WQ_FATAL, 0},
    };
    assert_int_equal(COUNT_OF(table), IBV_EVENT_WQ_FATAL + 1);
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(pr_verbs_event_error(table[i].type, "mock0"), -table[i].err);
        if (table[i].err)
            assert_non_null(strstr(pr_error_message(), "mock0"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_an_errno_and_advice),
        cmocka_unit_test(only_some_device_events_end_a_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
