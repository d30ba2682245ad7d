/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering memory, against mocked libraries. */
#include "tests/unit/verbs_case.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define WRITABLE (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_RELAXED_ORDERING)

static void access_is_mapped(void **state)
{
    (void)state;
    static const struct {
        unsigned access;
        int flags;
    } table[] = {
        {PR_ACCESS_LOCAL_READ, 0},
        {PR_ACCESS_LOCAL_WRITE, IBV_ACCESS_LOCAL_WRITE},
        {PR_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_READ},
        {PR_ACCESS_REMOTE_WRITE, WRITABLE},
        {PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ, WRITABLE | IBV_ACCESS_REMOTE_READ},
    };
    struct pr_fabric *fabric = open_fabric();
    char bytes[100];
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_mr *mr;
        assert_int_equal(pr_fabric_reg(fabric, bytes, sizeof(bytes), table[i].access, &mr), 0);
        assert_int_equal(mock.reg_access, table[i].flags);
        assert_int_equal(mr->key.addr, (uintptr_t)bytes);
        assert_int_equal(mr->key.len, sizeof(bytes));
        assert_true(mr->key.rkey && mr->key.rkey <= UINT32_MAX);
        pr_fabric_dereg(mr);
    }
    pr_fabric_close(fabric);
}

/* The access of a window when on-demand paging was asked for. */
static int access_on_demand(uint64_t general, uint32_t rc)
{
    struct pr_verbs_settings settings = {.on_demand = true};
    struct pr_fabric *fabric;
    struct pr_mr *mr;
    char byte;
    mock.odp_caps.general_caps = general;
    mock.odp_caps.per_transport_caps.rc_odp_caps = rc;
    assert_int_equal(pr_fabric_verbs_open(&settings, &fabric), 0);
    assert_int_equal(pr_fabric_reg(fabric, &byte, 1, PR_ACCESS_LOCAL_READ, &mr), 0);
    pr_fabric_dereg(mr);
    pr_fabric_close(fabric);
    return mock.reg_access;
}

static void pages_come_on_demand_where_the_device_can(void **state)
{
    (void)state;
    uint32_t writes = IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_SEND;
    assert_int_equal(access_on_demand(IBV_ODP_SUPPORT, writes), IBV_ACCESS_ON_DEMAND);
    assert_int_equal(access_on_demand(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_SEND), 0);
    assert_int_equal(access_on_demand(IBV_ODP_SUPPORT_IMPLICIT, writes), 0);
    assert_int_equal(access_on_demand(0, 0), 0);
}

#define SPACE (UINT64_C(40) << 20)

static void memory_that_is_not_there_waits_for_its_registration(void **state)
{
    (void)state;
    static const uint64_t touched[] = {0, SPACE / 2, SPACE - 1};
    struct pr_fabric *fabric = open_fabric();
    for (size_t i = 0; i < COUNT_OF(touched); i++) {
        uint8_t *space = mmap(NULL, SPACE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_ptr_not_equal(space, MAP_FAILED);
        assert_false(pr_fabric_reg_pays(fabric, space, SPACE));
        space[touched[i]] = 1;
        assert_true(pr_fabric_reg_pays(fabric, space, SPACE));
        munmap(space, SPACE);
    }
    pr_fabric_close(fabric);
}

static void bad_windows_do_not_reach_the_device(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_mr *mr;
    char bytes[8];
    int calls = mock.calls;
    assert_int_equal(pr_fabric_reg(fabric, NULL, 8, 0, &mr), -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, bytes, 0, 0, &mr), -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, bytes, UINT64_MAX, 0, &mr), -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, bytes, fabric->limits.max_window_bytes + 1, 0, &mr),
                     -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, bytes, 8, 8, &mr), -EINVAL);
    assert_int_equal(mock.calls, calls);
    pr_fabric_close(fabric);
}

static void a_refused_registration_says_what_to_do(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_mr *mr;
    struct rlimit old, low = {.rlim_cur = 7 << 10};
    char bytes[4096];
    static const struct {
        int err;
        const char *says;
    } table[] = {{ENOMEM, "cannot pin 4 KiB"},
                 {ENOMEM, "memlock limit is 7 KiB"},
                 {ENOMEM, "ulimit -l"},
                 {EPERM, "CAP_IPC_LOCK"},
                 {EFAULT, "not all mapped"},
                 {EOPNOTSUPP, "kind of memory"},
                 {EIO, "cannot register 4096 bytes"}};
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
    low.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        mock.fail_at = mock.calls + 1;
        mock.fail_errno = table[i].err;
        assert_int_equal(pr_fabric_reg(fabric, bytes, sizeof(bytes), 0, &mr), -table[i].err);
        says(table[i].says);
    }
    setrlimit(RLIMIT_MEMLOCK, &old);
    pr_fabric_close(fabric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(access_is_mapped, start, finish),
        cmocka_unit_test_setup_teardown(pages_come_on_demand_where_the_device_can, start, finish),
        cmocka_unit_test_setup_teardown(memory_that_is_not_there_waits_for_its_registration, start,
                                        finish),
        cmocka_unit_test_setup_teardown(bad_windows_do_not_reach_the_device, start, finish),
        cmocka_unit_test_setup_teardown(a_refused_registration_says_what_to_do, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
