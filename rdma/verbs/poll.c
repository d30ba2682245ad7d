/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lane reports: its own completions, what arrived, and why it ended. */
#include "base/log.h"
#include "base/runtime.h"
#include "rdma/verbs/async.h"
#include "rdma/verbs/cm.h"
#include "rdma/verbs/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* A caller that polls without ever sleeping finds connection events after this many polls. */
#define IDLE_POLLS 64

/* The completion queue wants its wake-ups acknowledged, at a price; so many at once. */
#define ACK_AT_ONCE 512

/* Device events of this lane. */
static void look_at_device(struct pr_verbs_lane *lane)
{
    pr_verbs_async_read(lane->id->verbs);
    int event = atomic_load(&lane->device_event);
    if (!event || lane->err)
        return;
    int err = pr_verbs_event_error((enum ibv_event_type)(event - 1),
                                   ibv_get_device_name(lane->id->verbs->device));
    if (!err)
        return;
    pr_verbs_lane_fail(lane, err);
    lane->drained |= event - 1 == IBV_EVENT_DEVICE_FATAL; /* it will report nothing any more */
}

/* Connection events. */
static void look_at_peer(struct pr_verbs_lane *lane)
{
    struct pr_verbs_event event;
    int count;
    while ((count = pr_verbs_channel_next(lane->channel, &event)) > 0) {
        /* Kernels from 6.0 on say so when the peer's hardware address cannot be found, as while a
         * link is down. The queue pair goes on trying, and what it finds out counts. */
        if (event.type == RDMA_CM_EVENT_UNREACHABLE) {
            pr_log_warn("the peer's hardware address is lost: is a link down?");
            continue;
        }
        int err = pr_verbs_lost_error(&event);
        if (err)
            pr_verbs_lane_fail(lane, err);
    }
    if (count < 0)
        pr_verbs_lane_fail(lane, count);
}

static void look_around(struct pr_verbs_lane *lane)
{
    look_at_peer(lane);
    look_at_device(lane);
}

/* Fills the empty stash. Returns how many are in it. */
static unsigned fill_stash(struct pr_verbs_lane *lane)
{
    int count = ibv_poll_cq(lane->cq, PR_VERBS_STASH, lane->stash);
    if (count < 0) {
        pr_verbs_lane_fail(lane, pr_error(EIO, "the completion queue cannot be read"));
        lane->drained = true;
        count = 0;
    }
    lane->stash_next = 0;
    lane->stash_count = (unsigned)count;
    return lane->stash_count;
}

static void fail_by_completion(struct pr_verbs_lane *lane, const struct ibv_wc *wc)
{
    /* What was given back tells only that the connection ended; and a peer that vanished is better
     * described by its farewell. Whoever has a reason of its own keeps it. */
    if (wc->status == IBV_WC_WR_FLUSH_ERR || wc->status == IBV_WC_RETRY_EXC_ERR)
        look_around(lane);
    if (!lane->err)
        pr_verbs_lane_fail(lane, pr_verbs_status_error(wc->status, wc->vendor_err,
                                                       ibv_get_device_name(lane->id->verbs->device),
                                                       lane->id->port_num));
}

/* A receive. Returns 1 when it is to be reported. */
static unsigned take_received(struct pr_verbs_lane *lane, const struct ibv_wc *wc,
                              struct pr_completion *out)
{
    uint32_t buffer = (uint32_t)(wc->wr_id & ~PR_VERBS_RECV_BIT);
    lane->recv_posted--;
    if (wc->status != IBV_WC_SUCCESS) {
        fail_by_completion(lane, wc);
        return 0;
    }
    if (wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM) {
        *out = (struct pr_completion){.op = PR_OP_RECV_IMM, .imm = ntohl(wc->imm_data)};
        int err = lane->err ? 0 : pr_verbs_lane_post_recv(lane, buffer);
        if (err)
            pr_verbs_lane_fail(lane, err);
        return 1;
    }
    if (!wc->byte_len) {
        pr_verbs_lane_fail(lane, pr_error(EPROTO, "the peer sent an empty message"));
        return 0;
    }
    *out = (struct pr_completion){.op = PR_OP_RECV,
                                  .len = wc->byte_len,
                                  .bytes = lane->inbox + (uint64_t)buffer * lane->message_bytes};
    return 1;
}

/* Something posted. Returns 1 when it is to be reported. */
static unsigned take_own(struct pr_verbs_lane *lane, const struct ibv_wc *wc,
                         struct pr_completion *out)
{
    if (wc->status != IBV_WC_SUCCESS) {
        fail_by_completion(lane, wc);
        return 0;
    }
    const struct pr_verbs_post *post = &lane->posts[wc->wr_id & (lane->send_depth - 1)];
    lane->completed = wc->wr_id + 1;
    lane->outbox.tail = post->outbox_end;
    if (!post->signaled)
        return 0;
    lane->released = lane->completed;
    *out = (struct pr_completion){.op = post->op, .tag = post->tag};
    return 1;
}

static unsigned take_all(struct pr_verbs_lane *lane, struct pr_completion *out, unsigned max)
{
    unsigned count = 0;
    while (count < max && (lane->stash_next < lane->stash_count || fill_stash(lane))) {
        const struct ibv_wc *wc = &lane->stash[lane->stash_next++];
        count += wc->wr_id & PR_VERBS_RECV_BIT ? take_received(lane, wc, &out[count])
                                               : take_own(lane, wc, &out[count]);
    }
    return count;
}

int pr_verbs_poll(struct pr_lane *base, struct pr_completion *out, unsigned max)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (lane->drained)
        return pr_verbs_lane_failure(lane);
    /* Looked at before the queue: what completed by then is found below. */
    bool last_look = lane->err && (!lane->recv_posted || pr_now_ns() >= lane->drain_deadline_ns);
    unsigned count = take_all(lane, out, max);
    if (count)
        return (int)count;
    if (last_look)
        lane->drained = true;
    else if (!lane->err && ++lane->idle % IDLE_POLLS == 0)
        look_around(lane);
    return lane->drained ? pr_verbs_lane_failure(lane) : 0;
}

void pr_verbs_recv_done(struct pr_lane *base, const void *bytes)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (lane->err)
        return;
    uint64_t offset = (uint64_t)((const uint8_t *)bytes - lane->inbox);
    int err = pr_verbs_lane_post_recv(lane, (uint32_t)(offset / lane->message_bytes));
    if (err)
        pr_verbs_lane_fail(lane, err);
}

static void take_wakeups(struct pr_verbs_lane *lane)
{
    struct ibv_cq *cq;
    void *unused;
    while (!ibv_get_cq_event(lane->wakeups, &cq, &unused))
        lane->unacked++;
    if (lane->unacked < ACK_AT_ONCE)
        return;
    ibv_ack_cq_events(lane->cq, lane->unacked);
    lane->unacked = 0;
}

int pr_verbs_arm(struct pr_lane *base)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (lane->err || lane->stash_next < lane->stash_count)
        return 1;
    take_wakeups(lane);
    int err = ibv_req_notify_cq(lane->cq, 0);
    if (err)
        pr_verbs_lane_fail(lane, pr_error(err, "cannot ask for a wake-up: %s", strerror(err)));
    else
        look_around(lane);
    /* What came before the request for a wake-up causes none. */
    return lane->err || fill_stash(lane) || lane->err;
}
