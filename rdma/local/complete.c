/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lane reports: its own completions, what arrived, and that there may be something. */
#include "rdma/local/lane.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PACKET_BYTES (sizeof(struct pr_local_message_head) + PR_LOCAL_MAX_MESSAGE)

static unsigned take_own(struct pr_local_lane *lane, struct pr_completion *out, unsigned max)
{
    unsigned count = 0;
    while (count < max && lane->scanned != lane->executed) {
        const struct pr_local_work *work = pr_local_lane_work(lane, lane->scanned++);
        if (!work->signaled)
            continue;
        enum pr_op op = work->op == PR_OP_RECV_IMM ? PR_OP_WRITE : work->op;
        out[count++] = (struct pr_completion){.op = op, .tag = work->tag};
        lane->released = lane->scanned;
    }
    return count;
}

/* The next packet's length; 0 nothing there now, or nothing ever again (then the lane has failed).
 */
static size_t read_packet(struct pr_local_lane *lane, uint8_t *to)
{
    ssize_t len;
    do {
        /* MSG_TRUNC: the real length, so that a longer packet than fits is noticed. */
        len = recv(lane->link.sock, to, PACKET_BYTES, MSG_DONTWAIT | MSG_TRUNC);
        /* A peer that left with something unread: said once, before what it had sent. */
        if (len < 0 && errno == ECONNRESET)
            pr_local_lane_fail(lane, pr_error(ECONNRESET, "the peer has closed the lane or ended"));
    } while (len < 0 && (errno == ECONNRESET || errno == EINTR));
    if (len == 0)
        pr_local_lane_fail(lane, pr_error(ECONNRESET, "the peer has closed the lane or ended"));
    else if (len < 0 && errno != EAGAIN)
        pr_local_lane_fail(lane, pr_error(errno, "cannot receive: %s", strerror(errno)));
    if (len <= 0)
        lane->drained = lane->err != 0;
    return len > 0 ? (size_t)len : 0;
}

static bool parse_packet(struct pr_local_lane *lane, uint8_t *packet, size_t len,
                         struct pr_completion *out)
{
    struct pr_local_message_head head;
    if (len >= sizeof(head) && len <= PACKET_BYTES) {
        memcpy(&head, packet, sizeof(head));
        uint32_t bytes = (uint32_t)(len - sizeof(head));
        if (head.kind == PR_LOCAL_IMM && !bytes) {
            *out = (struct pr_completion){.op = PR_OP_RECV_IMM, .imm = head.imm};
            return true;
        }
        if (head.kind == PR_LOCAL_MESSAGE && bytes) {
            *out = (struct pr_completion){
                .op = PR_OP_RECV, .len = bytes, .bytes = packet + sizeof(head)};
            return true;
        }
    }
    pr_local_lane_fail(lane, pr_error(EPROTO, "the peer sent something that is no message"));
    lane->drained = true;
    return false;
}

static unsigned take_arrived(struct pr_local_lane *lane, struct pr_completion *out, unsigned max)
{
    struct pr_local_inbox *inbox = &lane->inbox;
    unsigned count = 0;
    while (count < max && inbox->free_count && !lane->drained) {
        uint16_t index = inbox->free[inbox->free_count - 1];
        uint8_t *packet = inbox->buffers + index * PACKET_BYTES;
        size_t len = read_packet(lane, packet);
        if (!len || !parse_packet(lane, packet, len, &out[count]))
            break;
        if (out[count].op == PR_OP_RECV)
            inbox->free_count--;
        count++;
    }
    return count;
}

int pr_local_lane_poll(struct pr_lane *base, struct pr_completion *out, unsigned max)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    if (lane->executed != lane->flushed)
        pr_local_engine_run(lane);
    unsigned count = 0;
    lane->receive_first = !lane->receive_first;
    if (lane->receive_first)
        count = take_arrived(lane, out, max);
    count += take_own(lane, out + count, max - count);
    if (!lane->receive_first)
        count += take_arrived(lane, out + count, max - count);
    return !count && lane->drained ? pr_local_lane_failure(lane) : (int)count;
}

void pr_local_lane_recv_done(struct pr_lane *base, const void *bytes)
{
    struct pr_local_inbox *inbox = &pr_local_lane_of(base)->inbox;
    size_t offset = (size_t)((const uint8_t *)bytes - inbox->buffers);
    inbox->free[inbox->free_count++] = (uint16_t)(offset / PACKET_BYTES);
}

/* Puts the socket into the epoll set for exactly these events. A socket that is in it for none
 * would still wake its sleeper when the peer leaves, over and over while the caller holds all
 * buffers. */
static int watch(struct pr_local_lane *lane, uint32_t events)
{
    if (events == lane->watched)
        return 0;
    int op = !events ? EPOLL_CTL_DEL : !lane->watched ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = events};
    if (epoll_ctl(lane->epoll, op, lane->link.sock, &event))
        return pr_error(errno, "cannot watch the socket: %s", strerror(errno));
    lane->watched = events;
    return 0;
}

static bool has_own(struct pr_local_lane *lane)
{
    for (uint32_t i = lane->scanned; i != lane->executed; i++)
        if (pr_local_lane_work(lane, i)->signaled)
            return true;
    return false;
}

int pr_local_lane_arm(struct pr_lane *base)
{
    struct pr_local_lane *lane = pr_local_lane_of(base);
    if (!lane->err && !pr_local_peer_alive(&lane->link.gate->peer)) {
        struct epoll_event unused = {0};
        epoll_ctl(lane->epoll, EPOLL_CTL_DEL, lane->link.gate->peer.pidfd, &unused);
        pr_local_lane_fail(lane, pr_error(ECONNRESET, "the peer process has ended"));
    }
    if (has_own(lane) || lane->drained || (lane->err && lane->inbox.free_count))
        return 1;
    bool stuck = !lane->err && lane->executed != lane->flushed;
    int err = watch(lane, (lane->inbox.free_count ? (uint32_t)EPOLLIN : 0) |
                              (stuck ? (uint32_t)EPOLLOUT : 0));
    return err;
}
