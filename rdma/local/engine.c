/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries out what was posted, in order. Transfers of one direction that follow each other go to
 * the kernel in one call (a burst); neighbours in memory become one piece of it.
 *
 * A burst is announced in the lane's gate before the keys are looked at and until it is over: that
 * is what lets the peer's deregistration wait for it (gate.h).
 */
#include "base/fault.h"
#include "base/runtime.h"
#include "rdma/local/lane.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Large enough to hide what a call costs, small enough that a deregistration waits about 1 ms. */
#define BURST_BYTES (4u << 20)
#define BURST_PIECES 512

_Static_assert(BURST_PIECES <= IOV_MAX, "one call must take a burst");

struct pieces {
    struct iovec iov[BURST_PIECES];
    unsigned count;
};

struct burst {
    enum pr_local_direction direction;
    uint32_t works; /* how many, from lane->executed */
    uint64_t bytes;
    bool refused; /* the work after the last one has no grant */
    struct pieces local;
    struct pieces remote;
};

static enum pr_local_direction direction_of(const struct pr_local_work *work)
{
    return work->op == PR_OP_READ ? PR_LOCAL_READ : PR_LOCAL_WRITE;
}

static bool is_transfer(const struct pr_local_work *work)
{
    return work->op != PR_OP_SEND && work->len;
}

static void add_piece(struct pieces *pieces, void *at, uint64_t len)
{
    struct iovec *last = pieces->count ? &pieces->iov[pieces->count - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == at)
        last->iov_len += len;
    else
        pieces->iov[pieces->count++] = (struct iovec){at, len};
}

static bool is_granted(const struct pr_local_lane *lane, const struct pr_local_work *work)
{
    unsigned access =
        direction_of(work) == PR_LOCAL_READ ? PR_ACCESS_REMOTE_READ : PR_ACCESS_REMOTE_WRITE;
    if (pr_fault("local-ungranted"))
        return true;
    return pr_local_view_grants(&lane->link.view, work->rkey, work->remote, work->len, access);
}

/* Collects works that follow each other. Only inside the gate: it looks at the keys. */
static void collect(const struct pr_local_lane *lane, struct burst *burst)
{
    burst->works = burst->local.count = burst->remote.count = 0;
    burst->bytes = 0;
    burst->refused = false;
    burst->direction = direction_of(pr_local_lane_work(lane, lane->executed));
    for (uint32_t i = lane->executed; i != lane->flushed; i++) {
        struct pr_local_work *work = pr_local_lane_work(lane, i);
        if (!is_transfer(work) || direction_of(work) != burst->direction ||
            burst->local.count == BURST_PIECES || burst->remote.count == BURST_PIECES ||
            (burst->works && burst->bytes + work->len > BURST_BYTES))
            return;
        burst->refused = !is_granted(lane, work);
        if (burst->refused)
            return;
        add_piece(&burst->local, work->local, work->len);
        add_piece(&burst->remote, (void *)(uintptr_t)work->remote, work->len);
        burst->works++;
        burst->bytes += work->len;
        if (work->op == PR_OP_RECV_IMM)
            return; /* its message goes before anything else */
    }
}

/* Notes that `bytes` of the works from lane->executed on are moved. */
static void account(struct pr_local_lane *lane, uint64_t bytes)
{
    while (bytes) {
        struct pr_local_work *work = pr_local_lane_work(lane, lane->executed);
        uint64_t part = bytes < work->len ? bytes : work->len;
        work->local += part;
        work->remote += part;
        work->len -= part;
        bytes -= part;
        if (!work->len && work->op != PR_OP_RECV_IMM)
            lane->executed++;
    }
}

/* A dead peer's pid may be another's by now, and one that closed its end may run another program.
 */
static int check_peer(const struct pr_local_lane *lane)
{
    struct pollfd fds[2] = {{.fd = lane->link.sock, .events = POLLRDHUP},
                            {.fd = lane->link.gate->peer.pidfd, .events = POLLIN}};
    int ready = pr_poll(fds, 2, 0);
    return ready ? pr_error(ECONNRESET, "the peer has closed the lane or ended") : 0;
}

static int refuse(const struct pr_local_lane *lane)
{
    const struct pr_local_work *work = pr_local_lane_work(lane, lane->executed);
    return pr_error(EACCES,
                    "the peer does not grant %s of %llu bytes at 0x%llx: the key is unknown, "
                    "withdrawn, or for other memory",
                    direction_of(work) == PR_LOCAL_READ ? "a read" : "a write",
                    (unsigned long long)work->len, (unsigned long long)work->remote);
}

static int move(struct pr_local_lane *lane, const struct burst *burst)
{
    ssize_t done = pr_local_peer_move(&lane->link.gate->peer, burst->direction, burst->local.iov,
                                      burst->local.count, burst->remote.iov, burst->remote.count);
    if (done <= 0)
        return pr_local_peer_explain(done < 0 ? (int)done : -EFAULT);
    account(lane, (uint64_t)done); /* fewer than asked for: the next burst finds out why */
    return 0;
}

static int run_burst(struct pr_local_lane *lane)
{
    struct burst burst;
    int err = check_peer(lane);
    if (err)
        return err;
    if (!pr_local_gate_enter(lane->link.gate))
        return pr_error(ECONNRESET, "the peer has closed the lane");
    collect(lane, &burst);
    uint32_t end = lane->executed + burst.works;
    (void)pr_fault("local-burst-checked");
    if (burst.works)
        err = move(lane, &burst);
    pr_local_gate_leave(lane->link.gate);
    if (!err && burst.refused && lane->executed == end)
        err = refuse(lane);
    return err;
}

/* 0, -EAGAIN when the socket is full, or why the lane fails. */
static int send_packet(struct pr_local_lane *lane, const struct pr_local_work *work)
{
    bool imm = work->op == PR_OP_RECV_IMM;
    struct pr_local_message_head head = {.kind = imm ? PR_LOCAL_IMM : PR_LOCAL_MESSAGE,
                                         .imm = work->imm};
    struct iovec iov[2] = {{&head, sizeof(head)}, {work->message, work->len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = imm ? 1 : 2};
    if (sendmsg(lane->link.sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS)
        return -EAGAIN;
    if (errno == EPIPE || errno == ECONNRESET)
        return pr_error(ECONNRESET, "the peer has closed the lane or ended");
    return pr_error(errno, "cannot send a message: %s", strerror(errno));
}

static int run_one(struct pr_local_lane *lane)
{
    struct pr_local_work *work = pr_local_lane_work(lane, lane->executed);
    if (is_transfer(work))
        return run_burst(lane);
    int err = send_packet(lane, work);
    if (err)
        return err;
    free(work->message);
    work->message = NULL;
    lane->executed++;
    return 0;
}

void pr_local_engine_run(struct pr_local_lane *lane)
{
    int err = lane->err;
    while (!err && lane->executed != lane->flushed)
        err = run_one(lane);
    if (err && err != -EAGAIN)
        pr_local_lane_fail(lane, err);
}
