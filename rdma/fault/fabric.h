/* SPDX-License-Identifier: BSD-2-Clause */
/* The fault fabric's objects, as its own files see them. */
#ifndef PR_RDMA_FAULT_FABRIC_H
#define PR_RDMA_FAULT_FABRIC_H

#include "rdma/fault/fault.h"

#include <stdatomic.h>

struct pr_fault_counted_rule {
    struct pr_fault_rule rule;
    _Atomic uint64_t matched;
    _Atomic uint64_t fired;
};

struct pr_fault_fabric {
    struct pr_fabric base; /* first: cast back */
    struct pr_fabric *inner;
    _Atomic int lanes; /* made so far */
    unsigned rule_count;
    struct pr_fault_counted_rule rules[];
};

/* The rule that fires for this operation, after counting it with each one that matches; or NULL. */
const struct pr_fault_rule *pr_fault_decide(struct pr_fault_fabric *fabric, int lane,
                                            enum pr_fault_on on);

/* Wraps a lane of the inner fabric; takes it over, also when it fails. (lane.c) */
int pr_fault_lane_open(struct pr_fault_fabric *fabric, struct pr_lane *inner, struct pr_lane **out);

int pr_fault_lane_post_write(struct pr_lane *lane, const struct pr_rma *write);
int pr_fault_lane_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm);
int pr_fault_lane_post_read(struct pr_lane *lane, const struct pr_rma *read);
int pr_fault_lane_post_send(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                            bool signaled);
int pr_fault_lane_flush(struct pr_lane *lane);
int pr_fault_lane_poll(struct pr_lane *lane, struct pr_completion *out, unsigned max);
void pr_fault_lane_recv_done(struct pr_lane *lane, const void *bytes);
int pr_fault_lane_arm(struct pr_lane *lane);
int pr_fault_lane_fd(struct pr_lane *lane);
void pr_fault_lane_shut(struct pr_lane *lane);
void pr_fault_lane_close(struct pr_lane *lane);

#endif
