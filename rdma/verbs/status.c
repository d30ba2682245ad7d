/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/status.h"

#include "base/error.h"

#include <errno.h>
#include <stddef.h>

#define REPORT_DEVICE "the device or its driver misbehaves: look into the kernel's log"

struct meaning {
    int err;
    const char *advice;
};

static const struct meaning meanings[] = {
    [IBV_WC_LOC_LEN_ERR] = {EMSGSIZE, "a transfer does not fit its buffer: use the same release of "
                                      "pagerail on both hosts"},
    [IBV_WC_LOC_QP_OP_ERR] = {EIO, "the device refused a request as malformed: " REPORT_DEVICE},
    [IBV_WC_LOC_EEC_OP_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_LOC_PROT_ERR] = {EFAULT, "memory of a transfer is not registered on this host any "
                                     "more: it was unmapped or deregistered too early"},
    [IBV_WC_WR_FLUSH_ERR] = {ECONNRESET, "the connection has ended: see the other host's log"},
    [IBV_WC_MW_BIND_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_BAD_RESP_ERR] = {EPROTO, "the other host's device answered nonsense: check the cabling "
                                     "and both devices' firmware"},
    [IBV_WC_LOC_ACCESS_ERR] = {EFAULT, "a registration on this host does not allow the transfer: "
                                       "register it with local write access"},
    [IBV_WC_REM_INV_REQ_ERR] = {EPROTO, "the other host's device refused a request as malformed or "
                                        "too long: use the same release of pagerail on both hosts"},
    [IBV_WC_REM_ACCESS_ERR] = {EACCES, "the other host's memory is not open to this transfer: its "
                                       "window was closed, its process ended, or the key is wrong"},
    [IBV_WC_REM_OP_ERR] = {EIO, "the other host's device could not carry the request out: look "
                                "into the kernel's log there"},
    [IBV_WC_RETRY_EXC_ERR] = {ECONNRESET, "the other host does not answer any more: check that it "
                                          "is up, the link, the path MTU, and on RoCE that the "
                                          "switches do not drop its traffic (PFC, ECN)"},
    [IBV_WC_RNR_RETRY_EXC_ERR] = {ECONNRESET, "the other host took in no messages for too long: "
                                              "it hangs, or is another release of pagerail"},
    [IBV_WC_LOC_RDD_VIOL_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_REM_INV_RD_REQ_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_REM_ABORT_ERR] = {ECONNABORTED, "the other host's device gave the request up: look "
                                            "into the kernel's log there"},
    [IBV_WC_INV_EECN_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_INV_EEC_STATE_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_FATAL_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_RESP_TIMEOUT_ERR] = {ECONNRESET, "the other host's device does not answer any more: "
                                             "check that it is up, and the link"},
    [IBV_WC_GENERAL_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_TM_ERR] = {EIO, REPORT_DEVICE},
    [IBV_WC_TM_RNDV_INCOMPLETE] = {EIO, REPORT_DEVICE},
};

int pr_verbs_status_error(enum ibv_wc_status status, uint32_t vendor_err, const char *device,
                          unsigned port)
{
    static const struct meaning unknown = {EIO, "a newer driver than this pagerail knows of: "
                                                "look into the kernel's log"};
    const struct meaning *meaning = &unknown;
    if ((size_t)status < sizeof(meanings) / sizeof(meanings[0]) && meanings[status].err)
        meaning = &meanings[status];
    return pr_error(meaning->err,
                    "a transfer failed: %s (%s port %u, status %d, vendor code 0x%x); %s",
                    ibv_wc_status_str(status), device, port, status, vendor_err, meaning->advice);
}

int pr_verbs_event_error(enum ibv_event_type type, const char *device)
{
    switch (type) {
    case IBV_EVENT_DEVICE_FATAL:
        return pr_error(EIO,
                        "the RDMA device %s has failed: look into the kernel's log and "
                        "reset it",
                        device);
    case IBV_EVENT_CQ_ERR:
        return pr_error(EIO, "a completion queue of %s has failed: look into the kernel's log",
                        device);
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
        return pr_error(EIO,
                        "the connection failed in %s (%s): look into the kernel's log, and "
                        "the other host's",
                        device, ibv_event_type_str(type));
    case IBV_EVENT_QP_ACCESS_ERR:
        return pr_error(EACCES,
                        "%s cut the connection because the other host reached for memory "
                        "that is not open to it",
                        device);
    case IBV_EVENT_PATH_MIG_ERR:
        return pr_error(EIO, "%s could not move the connection to its other path", device);
    default:
        return 0;
    }
}
