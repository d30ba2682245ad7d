/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fabric over another one in which chosen operations go wrong: for tests of what stands above.
 *
 * A rule counts the operations that it matches, each at the end that posts it (or, for a receive,
 * takes it), and acts on those numbered first to first + count - 1. The first rule that fires
 * decides. Everything else passes through; with no rules the fabric behaves as the one below.
 *
 * While something is delayed pr_lane_arm returns 1, so a caller polls instead of sleeping.
 */
#ifndef PR_RDMA_FAULT_FAULT_H
#define PR_RDMA_FAULT_FAULT_H

#include "rdma/fabric.h"

enum pr_fault_action {
    PR_FAULT_DELAY,      /* it, and with it all that follows on its lane, happens delay_ms later */
    PR_FAULT_LOSE,       /* it never happens, but completes; of a receive: it never arrived */
    PR_FAULT_MUTE,       /* it happens, but its completion is not reported; not for receives */
    PR_FAULT_FAIL,       /* it happens (a receive is dropped), and the lane fails with err */
    PR_FAULT_DISCONNECT, /* it never happens: the lane is cut before it, with ECONNRESET */
};

/* What a rule matches; or several of them. */
enum pr_fault_on {
    PR_FAULT_ON_WRITE = 1 << 0, /* with or without immediate */
    PR_FAULT_ON_READ = 1 << 1,
    PR_FAULT_ON_SEND = 1 << 2,
    PR_FAULT_ON_RECV = 1 << 3, /* of a message or an immediate */
    PR_FAULT_ON_ANY = PR_FAULT_ON_WRITE | PR_FAULT_ON_READ | PR_FAULT_ON_SEND | PR_FAULT_ON_RECV,
};

#define PR_FAULT_ANY_LANE (-1)
#define PR_FAULT_FOR_EVER UINT64_MAX

struct pr_fault_rule {
    enum pr_fault_action action;
    unsigned on;       /* OR of enum pr_fault_on */
    int lane;          /* the n-th that this fabric connected or accepted, from 0 */
    uint64_t first;    /* from 1 */
    uint64_t count;    /* at least 1 */
    uint32_t delay_ms; /* of a delay */
    int err;           /* of a failure: a positive errno */
};

/*
 * OWNERSHIP: takes `inner` over on success and closes it with the fabric; copies the rules.
 * ERRORS: -EINVAL a rule makes no sense, -ENOMEM.
 */
int pr_fabric_fault_open(struct pr_fabric *inner, const struct pr_fault_rule *rules, unsigned count,
                         struct pr_fabric **out);

/* How often rule i matched and fired so far. Any thread. */
uint64_t pr_fabric_fault_matched(const struct pr_fabric *fabric, unsigned rule);
uint64_t pr_fabric_fault_fired(const struct pr_fabric *fabric, unsigned rule);

#endif
