/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/lane.h"

#include "base/runtime.h"
#include "rdma/verbs/async.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* How long the device may take to give back what was under way on a failed connection. */
#define DRAIN_MS 1000

int pr_verbs_lane_new(struct pr_verbs_fabric *fabric, struct pr_verbs_lane **out)
{
    struct pr_verbs_lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return pr_error(ENOMEM, "no memory for a lane");
    lane->base = (struct pr_lane){.ops = fabric->base.ops, .fabric = &fabric->base};
    lane->epoll = -1;
    *out = lane;
    return 0;
}

static int open_memory(struct pr_verbs_lane *lane, struct ibv_pd *pd)
{
    const struct pr_fabric_limits *limits = &lane->base.fabric->limits;
    lane->send_depth = limits->send_depth;
    lane->recv_depth = limits->recv_depth;
    lane->message_bytes = limits->max_message_bytes;
    lane->posts = calloc(lane->send_depth, sizeof(*lane->posts));
    lane->requests = calloc(lane->send_depth, sizeof(*lane->requests));
    lane->pieces = calloc(lane->send_depth, sizeof(*lane->pieces));
    if (!lane->posts || !lane->requests || !lane->pieces)
        return pr_error(ENOMEM, "no memory for a lane");
    uint64_t half = (uint64_t)lane->recv_depth * lane->message_bytes;
    uint8_t *memory =
        mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return pr_error(ENOMEM, "no memory for a lane's messages");
    lane->memory = memory;
    lane->memory_len = 2 * half;
    /* A child would take the pages that the device writes to for its own (copy on write). */
    madvise(memory, lane->memory_len, MADV_DONTFORK);
    lane->inbox = memory;
    lane->outbox = (struct pr_verbs_outbox){.bytes = memory + half, .size = half};
    lane->memory_mr = ibv_reg_mr(pd, memory, lane->memory_len, IBV_ACCESS_LOCAL_WRITE);
    return lane->memory_mr ? 0 : pr_verbs_reg_error(errno, lane->memory_len);
}

static int watch(struct pr_verbs_lane *lane, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(lane->epoll, EPOLL_CTL_ADD, fd, &event))
        return pr_error(errno, "cannot watch a lane's events: %s", strerror(errno));
    return 0;
}

static int open_wakeups(struct pr_verbs_lane *lane)
{
    lane->wakeups = ibv_create_comp_channel(lane->id->verbs);
    if (!lane->wakeups)
        return pr_error(errno, "cannot make a completion channel: %s (raise `ulimit -n`?)",
                        strerror(errno));
    int flags = fcntl(lane->wakeups->fd, F_GETFL);
    if (flags < 0 || fcntl(lane->wakeups->fd, F_SETFL, flags | O_NONBLOCK))
        return pr_error(errno, "cannot set up a completion channel: %s", strerror(errno));
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lane->epoll < 0)
        return pr_error(errno, "cannot make an epoll descriptor: %s (raise `ulimit -n`)",
                        strerror(errno));
    int err = watch(lane, lane->wakeups->fd);
    if (!err)
        err = watch(lane, lane->channel->fd);
    return err ? err : watch(lane, lane->id->verbs->async_fd);
}

/* Small messages travel in the request itself, as far as the device can. */
static int create_queue_pair(struct pr_verbs_lane *lane, struct ibv_pd *pd)
{
    for (uint32_t bytes = PR_VERBS_INLINE_BYTES;; bytes = 0) {
        struct ibv_qp_init_attr attr = {
            .send_cq = lane->cq,
            .recv_cq = lane->cq,
            .cap = {.max_send_wr = lane->send_depth,
                    .max_recv_wr = lane->recv_depth,
                    .max_send_sge = 1,
                    .max_recv_sge = 1,
                    .max_inline_data = bytes},
            .qp_type = IBV_QPT_RC,
        };
        if (!rdma_create_qp(lane->id, pd, &attr)) {
            lane->inline_bytes = attr.cap.max_inline_data;
            return 0;
        }
        if (!bytes)
            return pr_error(errno,
                            "cannot make a queue pair on %s: %s (has the device's share of this "
                            "cgroup or its number of connections run out?)",
                            ibv_get_device_name(lane->id->verbs->device), strerror(errno));
    }
}

static int open_queues(struct pr_verbs_lane *lane, struct ibv_pd *pd)
{
    int entries = (int)(lane->send_depth + lane->recv_depth);
    lane->cq = ibv_create_cq(lane->id->verbs, entries, NULL, lane->wakeups, 0);
    if (!lane->cq)
        return pr_error(errno, "cannot make a completion queue of %d entries on %s: %s", entries,
                        ibv_get_device_name(lane->id->verbs->device), strerror(errno));
    int err = create_queue_pair(lane, pd);
    if (!err)
        pr_verbs_async_add(lane);
    return err;
}

int pr_verbs_lane_post_recv(struct pr_verbs_lane *lane, uint32_t buffer)
{
    struct ibv_sge piece = {.addr = (uintptr_t)lane->inbox + (uint64_t)buffer * lane->message_bytes,
                            .length = lane->message_bytes,
                            .lkey = lane->memory_mr->lkey};
    struct ibv_recv_wr request = {
        .wr_id = PR_VERBS_RECV_BIT | buffer, .sg_list = &piece, .num_sge = 1};
    struct ibv_recv_wr *bad;
    int err = ibv_post_recv(lane->id->qp, &request, &bad);
    if (err)
        return pr_error(err, "cannot give the device a receive buffer: %s", strerror(err));
    lane->recv_posted++;
    return 0;
}

int pr_verbs_lane_equip(struct pr_verbs_lane *lane)
{
    struct ibv_pd *pd = pr_verbs_fabric_of(lane->base.fabric)->pd;
    int err = open_memory(lane, pd);
    if (!err)
        err = open_wakeups(lane);
    if (!err)
        err = open_queues(lane, pd);
    for (uint32_t i = 0; i < lane->recv_depth && !err; i++)
        err = pr_verbs_lane_post_recv(lane, i);
    return err;
}

void pr_verbs_lane_is_up(struct pr_verbs_lane *lane)
{
    lane->up = true;
}

/* Ends the connection: the peer hears of it, and the device gives everything under way back. */
static void disconnect(struct pr_verbs_lane *lane)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    if (lane->up && rdma_disconnect(lane->id) && lane->id->qp)
        ibv_modify_qp(lane->id->qp, &attr, IBV_QP_STATE);
    lane->up = false;
}

void pr_verbs_lane_fail(struct pr_verbs_lane *lane, int err)
{
    if (lane->err)
        return;
    lane->err = err;
    snprintf(lane->why, sizeof(lane->why), "%s", pr_error_message());
    lane->drain_deadline_ns = pr_deadline_after_ms(DRAIN_MS);
    disconnect(lane);
}

int pr_verbs_lane_failure(const struct pr_verbs_lane *lane)
{
    return pr_error(-lane->err, "%s", lane->why);
}

/*
 * From here on the device touches no memory for this lane. The state RESET would not be enough:
 * where the sender is on the same host, soft-RoCE carries a write out on the sender's own thread,
 * and the change of state does not wait for that, only the end of the queue pair does.
 */
static void end_queue_pair(struct pr_verbs_lane *lane)
{
    if (!lane->id || !lane->id->qp)
        return;
    pr_verbs_async_remove(lane);
    rdma_destroy_qp(lane->id);
}

/* The peer is not told: that is for close. (Over iWARP it sees its connection end.) */
void pr_verbs_lane_shut(struct pr_lane *base)
{
    end_queue_pair(pr_verbs_lane_of(base));
}

static void close_queues(struct pr_verbs_lane *lane)
{
    disconnect(lane);
    end_queue_pair(lane);
    if (lane->cq) {
        ibv_ack_cq_events(lane->cq, lane->unacked);
        ibv_destroy_cq(lane->cq);
    }
    if (lane->wakeups)
        ibv_destroy_comp_channel(lane->wakeups);
}

static void close_memory(struct pr_verbs_lane *lane)
{
    if (lane->memory_mr)
        ibv_dereg_mr(lane->memory_mr);
    if (lane->memory)
        munmap(lane->memory, lane->memory_len);
    free(lane->posts);
    free(lane->requests);
    free(lane->pieces);
}

void pr_verbs_lane_close(struct pr_lane *base)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (lane->epoll >= 0)
        close(lane->epoll);
    close_queues(lane);
    close_memory(lane);
    if (lane->id)
        rdma_destroy_id(lane->id);
    if (lane->channel)
        rdma_destroy_event_channel(lane->channel);
    free(lane);
}

int pr_verbs_fd(struct pr_lane *lane)
{
    return pr_verbs_lane_of(lane)->epoll;
}
