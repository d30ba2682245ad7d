/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/lane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_BYTES (sizeof(struct pr_local_message_head) + PR_LOCAL_MAX_MESSAGE)
#define SOCKET_BYTES (2 << 20)

static int open_epoll(struct pr_local_lane *lane)
{
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lane->epoll < 0)
        return pr_error(errno, "cannot make an epoll descriptor: %s", strerror(errno));
    int pidfd = lane->link.gate->peer.pidfd;
    struct epoll_event event = {.events = EPOLLIN};
    if (pidfd >= 0 && epoll_ctl(lane->epoll, EPOLL_CTL_ADD, pidfd, &event))
        return pr_error(errno, "cannot watch the peer process: %s", strerror(errno));
    return 0;
}

static int open_memory(struct pr_local_lane *lane)
{
    lane->ring = calloc(PR_LOCAL_SEND_DEPTH, sizeof(*lane->ring));
    lane->inbox.buffers = malloc(PACKET_BYTES * PR_LOCAL_RECV_DEPTH);
    if (!lane->ring || !lane->inbox.buffers)
        return pr_error(ENOMEM, "no memory for a lane");
    while (lane->inbox.free_count < PR_LOCAL_RECV_DEPTH) {
        lane->inbox.free[lane->inbox.free_count] = (uint16_t)lane->inbox.free_count;
        lane->inbox.free_count++;
    }
    return 0;
}

int pr_local_lane_open(struct pr_local_fabric *fabric, struct pr_local_link *link,
                       struct pr_lane **out)
{
    struct pr_local_lane *lane = calloc(1, sizeof(*lane));
    if (!lane) {
        pr_local_link_close(fabric, link);
        return pr_error(ENOMEM, "no memory for a lane");
    }
    lane->base = (struct pr_lane){.ops = fabric->base.ops, .fabric = &fabric->base};
    lane->link = *link;
    lane->epoll = -1;
    int bytes = SOCKET_BYTES;
    /* As much as the system allows: whatever it is, more waits in the ring. */
    setsockopt(link->sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    int err = open_memory(lane);
    if (!err)
        err = open_epoll(lane);
    if (err) {
        pr_local_lane_close(&lane->base);
        return err;
    }
    *out = &lane->base;
    return 0;
}

void pr_local_lane_shut(struct pr_lane *base)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    pr_local_gate_shut(&pr_local_lane_fabric(lane)->gates, lane->link.gate);
}

void pr_local_lane_close(struct pr_lane *base)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    if (lane->epoll >= 0)
        close(lane->epoll);
    pr_local_link_close(pr_local_lane_fabric(lane), &lane->link);
    for (uint32_t i = lane->executed; i != lane->posted; i++)
        free(pr_local_lane_work(lane, i)->message);
    free(lane->inbox.buffers);
    free(lane->ring);
    free(lane);
}

void pr_local_lane_fail(struct pr_local_lane *lane, int err)
{
    if (lane->err)
        return;
    lane->err = err;
    snprintf(lane->why, sizeof(lane->why), "%s", pr_error_message());
    /* What has arrived can still be read after this. */
    shutdown(lane->link.sock, SHUT_RDWR);
}

int pr_local_lane_failure(const struct pr_local_lane *lane)
{
    return pr_error(-lane->err, "%s", lane->why);
}

/* Whether there is a place for one more post. */
static int check_place(const struct pr_local_lane *lane)
{
    if (lane->err)
        return pr_local_lane_failure(lane);
    if (lane->posted - lane->released == PR_LOCAL_SEND_DEPTH)
        return pr_error(EAGAIN, "all %u places of the lane are taken: poll first",
                        PR_LOCAL_SEND_DEPTH);
    return 0;
}

static int post_transfer(struct pr_local_lane *lane, const struct pr_rma *rma, enum pr_op op,
                         uint32_t imm)
{
    int err = check_place(lane);
    if (err)
        return err;
    struct pr_local_work *work = pr_local_lane_work(lane, lane->posted);
    *work =
        (struct pr_local_work){.op = op, .imm = imm, .tag = rma->tag, .signaled = rma->signaled};
    if (rma->len || op != PR_OP_RECV_IMM) {
        err = pr_rma_check(&lane->base, rma);
        if (!err && lane->link.reach_err)
            err = pr_error(EACCES, "this end may not reach the peer's memory: run both ends with "
                                   "equal privilege, or let the other end connect");
        if (err)
            return err;
        work->len = rma->len;
        work->local = rma->local;
        work->remote = rma->remote;
        work->rkey = rma->key->rkey;
    }
    lane->posted++;
    return 0;
}

int pr_local_lane_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    return post_transfer(pr_local_lane_of(lane), write, PR_OP_WRITE, 0);
}

int pr_local_lane_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm)
{
    return post_transfer(pr_local_lane_of(lane), write, PR_OP_RECV_IMM, imm);
}

int pr_local_lane_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    const struct pr_local_mr *mr = (const struct pr_local_mr *)read->mr;
    if (!(mr->access & PR_ACCESS_LOCAL_WRITE))
        return pr_error(EINVAL, "the target of a read is not registered with local write access");
    return post_transfer(pr_local_lane_of(lane), read, PR_OP_READ, 0);
}

int pr_local_lane_post_send(struct pr_lane *base, const void *bytes, uint32_t len, uint64_t tag,
                            bool signaled)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    if (!len || len > PR_LOCAL_MAX_MESSAGE)
        return pr_error(EINVAL, "a message has 1 to %u bytes, not %u", PR_LOCAL_MAX_MESSAGE, len);
    int err = check_place(lane);
    if (err)
        return err;
    void *copy = malloc(len);
    if (!copy)
        return pr_error(ENOMEM, "no memory for a message of %u bytes", len);
    memcpy(copy, bytes, len);
    *pr_local_lane_work(lane, lane->posted) = (struct pr_local_work){
        .op = PR_OP_SEND, .len = len, .tag = tag, .signaled = signaled, .message = copy};
    lane->posted++;
    return 0;
}

int pr_local_lane_flush(struct pr_lane *base)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    if (!lane->err) {
        lane->flushed = lane->posted;
        pr_local_engine_run(lane);
    }
    return lane->err ? pr_local_lane_failure(lane) : 0;
}

int pr_local_lane_fd(struct pr_lane *lane)
{
    return pr_local_lane_of(lane)->epoll;
}
