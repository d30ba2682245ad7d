/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lane: one reliable connection (RC queue pair) with a completion queue of its own.
 *
 * Posts lie in a ring in the order of posting. Four indices run through it freely, each never ahead
 * of the one before:
 *   posted     queued by a post
 *   flushed    handed to the device
 *   completed  the device is done with it: a completion of it, or of a later one, was seen
 *   released   its place is free again: it, or a later signalled one, was handed to the caller
 * Writes and reads are signalled to the device if the caller wants to hear of them, messages
 * always: their bytes lie in the outbox until then.
 *
 * FILES. lane.c opens and closes; post.c posts; poll.c reports.
 */
#ifndef PR_RDMA_VERBS_LANE_H
#define PR_RDMA_VERBS_LANE_H

#include "base/error.h"
#include "rdma/verbs/fabric.h"

#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#define PR_VERBS_STASH 16
#define PR_VERBS_INLINE_BYTES 128 /* asked for; a device may have less */

struct pr_verbs_post {
    uint64_t tag;
    uint64_t outbox_end; /* everything before it in the outbox belongs to this or earlier posts */
    enum pr_op op;       /* WRITE, READ, SEND */
    bool signaled;       /* the caller wants to hear of it */
};

/* Messages on their way out, one behind the other. Both counters only grow. */
struct pr_verbs_outbox {
    uint8_t *bytes;
    uint64_t size, head, tail;
};

struct pr_verbs_lane {
    struct pr_lane base; /* first: cast back */

    /* The connection. */
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
    struct ibv_comp_channel *wakeups;
    struct ibv_cq *cq;
    int epoll;
    bool up; /* established, so the peer is to be told when it ends */

    /* Sending. */
    uint32_t send_depth; /* a power of two */
    uint32_t inline_bytes;
    struct pr_verbs_post *posts;
    struct ibv_send_wr *requests;
    struct ibv_sge *pieces;
    uint64_t posted, flushed, completed, released;
    struct pr_verbs_outbox outbox;

    /* Receiving. */
    uint32_t recv_depth, message_bytes;
    uint32_t recv_posted; /* buffers that the device has */
    uint8_t *inbox;

    /* Outbox and inbox. */
    uint8_t *memory;
    uint64_t memory_len;
    struct ibv_mr *memory_mr;

    /* Completions that were taken from the queue and not handed out. */
    struct ibv_wc stash[PR_VERBS_STASH];
    unsigned stash_next, stash_count;
    unsigned unacked; /* wake-ups that the queue waits to have acknowledged */
    unsigned idle;    /* polls that found nothing */

    /* Failure. */
    int err;      /* 0, or why */
    bool drained; /* everything that had completed was handed out */
    uint64_t drain_deadline_ns;
    char why[PAGERAIL_ERROR_MAX];

    /* async.c: written by whichever thread reads the device's events. */
    struct pr_verbs_lane *next;
    _Atomic int device_event; /* enum ibv_event_type + 1; 0 none */
    _Atomic bool data_arrived;
};

static inline struct pr_verbs_lane *pr_verbs_lane_of(struct pr_lane *lane)
{
    return (struct pr_verbs_lane *)lane;
}

/* An empty lane, to be filled by connecting; pr_verbs_lane_close at every stage. */
int pr_verbs_lane_new(struct pr_verbs_fabric *fabric, struct pr_verbs_lane **out);

/* Once `id` is bound to a device: queues, buffers, and all receives posted. */
int pr_verbs_lane_equip(struct pr_verbs_lane *lane);

/* The connection is established. */
void pr_verbs_lane_is_up(struct pr_verbs_lane *lane);

/* Fails the lane with the calling thread's sentence, unless it has failed before, and ends the
 * connection so that the peer notices. */
void pr_verbs_lane_fail(struct pr_verbs_lane *lane, int err);

/* The lane's failure with its sentence. */
int pr_verbs_lane_failure(const struct pr_verbs_lane *lane);

/* Gives one of the receive buffers to the device. */
int pr_verbs_lane_post_recv(struct pr_verbs_lane *lane, uint32_t buffer);

/* wr_id: of a receive, its buffer with this bit; of a send, its index. */
#define PR_VERBS_RECV_BIT (UINT64_C(1) << 63)

#endif
