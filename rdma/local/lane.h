/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lane of the local fabric.
 *
 * Posted work lies in a ring in the order of posting. Five indices run through it freely, each
 * never ahead of the one before: posted    queued by a post flushed   may be carried out executed
 * carried out (engine.c) scanned   looked at for completions to report (lane.c) released  its place
 * is free again: it, or a signalled one after it, was polled
 */
#ifndef PR_RDMA_LOCAL_LANE_H
#define PR_RDMA_LOCAL_LANE_H

#include "base/error.h"
#include "rdma/local/fabric.h"
#include "rdma/local/packet.h"

struct pr_local_work {
    enum pr_op op; /* WRITE, READ, SEND; RECV_IMM for a write with immediate data */
    bool signaled;
    uint32_t imm;
    uint64_t len; /* bytes still to move; of a send: of the message */
    uint8_t *local;
    uint64_t remote;
    uint64_t rkey;
    uint64_t tag;
    void *message; /* of a send: its copy, freed when it is sent */
};

struct pr_local_inbox {
    uint8_t *buffers; /* recv_depth packets */
    uint16_t free[PR_LOCAL_RECV_DEPTH];
    unsigned free_count;
};

struct pr_local_lane {
    struct pr_lane base; /* first: cast back */
    struct pr_local_link link;
    struct pr_local_work *ring;
    uint32_t posted, flushed, executed, scanned, released;
    struct pr_local_inbox inbox;
    bool receive_first; /* turns about, so that neither kind of completion starves the other */
    int epoll;
    uint32_t watched; /* epoll events that the socket is in it for; 0: not in it */
    int err;          /* 0, or why the lane failed */
    bool drained;     /* failed, and everything that had arrived was handed out */
    char why[PAGERAIL_ERROR_MAX];
};

static inline struct pr_local_lane *pr_local_lane_of(struct pr_lane *lane)
{
    return (struct pr_local_lane *)lane;
}

static inline struct pr_local_fabric *pr_local_lane_fabric(const struct pr_local_lane *lane)
{
    return (struct pr_local_fabric *)lane->base.fabric;
}

static inline struct pr_local_work *pr_local_lane_work(const struct pr_local_lane *lane,
                                                       uint32_t index)
{
    return &lane->ring[index & (PR_LOCAL_SEND_DEPTH - 1)];
}

/* Fails the lane with the calling thread's sentence, unless it has failed before, and cuts the
 * socket so that the peer's end fails too. */
void pr_local_lane_fail(struct pr_local_lane *lane, int err);

/* The lane's failure with its sentence. */
int pr_local_lane_failure(const struct pr_local_lane *lane);

/* Carries out flushed work until all is done, a message finds the socket full, or the lane fails.
 */
void pr_local_engine_run(struct pr_local_lane *lane);

#endif
