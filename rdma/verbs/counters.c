/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/counters.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

/*
 * Each driver has names of its own. Source: rxe_hw_counters.c, counters.c of mlx5 and NVIDIA's
 * "Understanding mlx5 Linux Counters", bnxt_re's hw_counters.c, all in Linux 6.1. One retry is
 * under one of a driver's names only; what a NIC sends again as the answer to a peer that is not
 * ready counts, too.
 */
static const char *const names[] = {
    "completer_retry_err",                     /* rxe: time-outs and sequence errors */
    "local_ack_timeout_err", "packet_seq_err", /* mlx5 */
    "rnr_nak_retry_err",     "implied_nak_seq_err",
    "to_retransmits",        "seq_err_naks_rcvd", /* bnxt_re */
    "rnr_naks_rcvd",
};

static uint64_t counted(const char *device, unsigned port, const char *name)
{
    char path[PATH_MAX];
    uint64_t value = 0;
    int len = snprintf(path, sizeof(path), "%s/ports/%u/hw_counters/%s", device, port, name);
    FILE *file = len < (int)sizeof(path) ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    if (fscanf(file, "%" SCNu64, &value) != 1)
        value = 0;
    fclose(file);
    return value;
}

uint64_t pr_verbs_counted_retries(const char *device, unsigned ports)
{
    uint64_t sum = 0;
    for (unsigned port = 1; port <= ports; port++) {
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            sum += counted(device, port, names[i]);
    }
    return sum;
}
