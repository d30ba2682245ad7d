/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lane between the caller and a lane of the inner fabric. It keeps its own ring of what was
 * posted and passes everything on signalled, with its index as the tag; so it knows of each post
 * whether it is done and reports to the caller whatever the rules say, in order.
 *
 * A post goes straight to the inner lane, which checks it, unless something before it is held back.
 * Then it waits in the ring and goes when its time has come, in flush or poll.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "rdma/fault/fabric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 16

struct post {
    enum pr_op op; /* WRITE, READ, SEND; RECV_IMM for a write with immediate data */
    const struct pr_fault_rule *fault;
    struct pr_rma rma; /* its tag and signaled are also a send's; its key points to `key` */
    struct pr_key key;
    uint32_t imm;
    void *message;
    uint32_t message_len;
    uint64_t due_ns;
    bool done;
};

struct arrival {
    struct pr_completion completion;
    const struct pr_fault_rule *fault;
    uint64_t due_ns;
};

struct fault_lane {
    struct pr_lane base;   /* first: cast back */
    struct pr_lane *inner; /* NULL once cut */
    int index;
    int epoll;
    uint64_t depth;
    struct post *posts;
    uint64_t posted, flushed, passed, scanned, released; /* as in rdma/local/lane.h */
    bool stopped; /* a disconnect is queued: nothing after it is passed on */
    struct arrival *arrivals;
    uint64_t arrival_depth, arrived, delivered;
    unsigned lent; /* buffers of the inner lane that the caller holds */
    int inner_err; /* the inner lane's own failure */
    int err;       /* reported for good */
    char why[PAGERAIL_ERROR_MAX];
};

static struct fault_lane *lane_of(struct pr_lane *lane)
{
    return (struct fault_lane *)lane;
}

static struct pr_fault_fabric *fabric_of(const struct fault_lane *lane)
{
    return (struct pr_fault_fabric *)lane->base.fabric;
}

static struct post *post_at(const struct fault_lane *lane, uint64_t index)
{
    return &lane->posts[index % lane->depth];
}

static bool fault_is(const struct post *post, enum pr_fault_action action)
{
    return post->fault && post->fault->action == action;
}

static int failure(const struct fault_lane *lane)
{
    return pr_error(-lane->err, "%s", lane->why);
}

static int open_parts(struct fault_lane *lane)
{
    lane->posts = calloc(lane->depth, sizeof(*lane->posts));
    lane->arrivals = calloc(lane->arrival_depth, sizeof(*lane->arrivals));
    if (!lane->posts || !lane->arrivals)
        return pr_error(ENOMEM, "no memory for a lane");
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (lane->epoll < 0 || epoll_ctl(lane->epoll, EPOLL_CTL_ADD, pr_lane_fd(lane->inner), &event))
        return pr_error(errno, "cannot watch the inner lane: %s", strerror(errno));
    return 0;
}

int pr_fault_lane_open(struct pr_fault_fabric *fabric, struct pr_lane *inner, struct pr_lane **out)
{
    struct fault_lane *lane = calloc(1, sizeof(*lane));
    if (!lane) {
        pr_lane_close(inner);
        return pr_error(ENOMEM, "no memory for a lane");
    }
    lane->base = (struct pr_lane){.ops = fabric->base.ops, .fabric = &fabric->base};
    lane->inner = inner;
    lane->epoll = -1;
    lane->depth = fabric->base.limits.send_depth;
    lane->arrival_depth = 2 * (uint64_t)fabric->base.limits.recv_depth + BATCH;
    int err = open_parts(lane);
    if (err) {
        pr_fault_lane_close(&lane->base);
        return err;
    }
    lane->index = atomic_fetch_add(&fabric->lanes, 1);
    *out = &lane->base;
    return 0;
}

void pr_fault_lane_shut(struct pr_lane *base)
{
    struct fault_lane *lane = lane_of(base);
    if (lane->inner)
        pr_lane_shut(lane->inner);
}

void pr_fault_lane_close(struct pr_lane *base)
{
    struct fault_lane *lane = lane_of(base);
    pr_lane_close(lane->inner);
    if (lane->epoll >= 0)
        close(lane->epoll);
    for (uint64_t i = lane->passed; lane->posts && i != lane->posted; i++)
        free(post_at(lane, i)->message);
    free(lane->posts);
    free(lane->arrivals);
    free(lane);
}

/* Closes the inner lane of a failed one, so that the peer's end fails too, as soon as the caller
 * holds none of its buffers. */
static void cut(struct fault_lane *lane)
{
    if (!lane->err || lane->lent || !lane->inner)
        return;
    pr_lane_close(lane->inner);
    lane->inner = NULL;
}

static void fail(struct fault_lane *lane, int err)
{
    lane->err = err;
    snprintf(lane->why, sizeof(lane->why), "%s", pr_error_message());
    lane->delivered = lane->arrived; /* closing the inner lane takes their buffers back */
    cut(lane);
}

static int pass_on(struct fault_lane *lane, struct post *post, uint64_t index)
{
    struct pr_rma rma = post->rma;
    rma.key = &post->key;
    rma.tag = index;
    rma.signaled = true;
    switch (post->op) {
    case PR_OP_WRITE:
        return pr_lane_post_write(lane->inner, &rma);
    case PR_OP_READ:
        return pr_lane_post_read(lane->inner, &rma);
    case PR_OP_RECV_IMM:
        return pr_lane_post_write_imm(lane->inner, &rma, post->imm);
    default:
        return pr_lane_post_send(lane->inner, post->message, post->message_len, index, true);
    }
}

/* Does with the post what is to be done with it now. */
static int pass(struct fault_lane *lane, uint64_t index)
{
    struct post *post = post_at(lane, index);
    int err = 0;
    lane->stopped = fault_is(post, PR_FAULT_DISCONNECT);
    if (lane->stopped || fault_is(post, PR_FAULT_LOSE))
        post->done = true;
    else
        err = pass_on(lane, post, index);
    if (err)
        return err;
    free(post->message);
    post->message = NULL;
    lane->passed = index + 1;
    return 0;
}

/* Passes on what is flushed and due, up to the first failure. */
static int pump(struct fault_lane *lane)
{
    int err = 0;
    while (!err && !lane->stopped && lane->passed < lane->flushed) {
        const struct post *post = post_at(lane, lane->passed);
        if (post->due_ns && post->due_ns > pr_now_ns())
            break;
        err = pass(lane, lane->passed);
    }
    return err;
}

/* The same outside of a flush. What the inner lane refuses this late fails the lane. */
static void pump_late(struct fault_lane *lane)
{
    uint64_t before = lane->passed;
    int err = pump(lane);
    if (lane->passed != before)
        pr_lane_flush(lane->inner); /* its failure shows in the inner lane's poll */
    if (err == -EINVAL)
        fail(lane, err);
}

static int check_place(const struct fault_lane *lane)
{
    if (lane->err)
        return failure(lane);
    if (lane->posted - lane->released == lane->depth)
        return pr_error(EAGAIN, "all places of the lane are taken: poll first");
    return 0;
}

static int enqueue(struct fault_lane *lane, const struct post *post, enum pr_fault_on on)
{
    int err = check_place(lane);
    if (err)
        return err;
    struct post *at = post_at(lane, lane->posted);
    *at = *post;
    at->fault = pr_fault_decide(fabric_of(lane), lane->index, on);
    if (fault_is(at, PR_FAULT_DELAY))
        at->due_ns = pr_now_ns() + at->fault->delay_ms * UINT64_C(1000000);
    if (lane->passed == lane->posted && !lane->stopped && !at->due_ns) {
        err = pass(lane, lane->posted);
        if (err)
            return err;
    }
    lane->posted++;
    return 0;
}

static int enqueue_rma(struct pr_lane *base, const struct pr_rma *rma, enum pr_op op, uint32_t imm)
{
    struct post post = {.op = op, .rma = *rma, .imm = imm};
    if (rma->key)
        post.key = *rma->key;
    return enqueue(lane_of(base), &post, op == PR_OP_READ ? PR_FAULT_ON_READ : PR_FAULT_ON_WRITE);
}

int pr_fault_lane_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    return enqueue_rma(lane, write, PR_OP_WRITE, 0);
}

int pr_fault_lane_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm)
{
    return enqueue_rma(lane, write, PR_OP_RECV_IMM, imm);
}

int pr_fault_lane_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    return enqueue_rma(lane, read, PR_OP_READ, 0);
}

int pr_fault_lane_post_send(struct pr_lane *base, const void *bytes, uint32_t len, uint64_t tag,
                            bool signaled)
{
    struct post post = {.op = PR_OP_SEND,
                        .rma = {.tag = tag, .signaled = signaled},
                        .message = malloc(len ? len : 1),
                        .message_len = len};
    if (!post.message)
        return pr_error(ENOMEM, "no memory for a message of %u bytes", len);
    memcpy(post.message, bytes, len);
    int err = enqueue(lane_of(base), &post, PR_FAULT_ON_SEND);
    if (err)
        free(post.message);
    return err;
}

int pr_fault_lane_flush(struct pr_lane *base)
{
    struct fault_lane *lane = lane_of(base);
    if (lane->err)
        return failure(lane);
    lane->flushed = lane->posted;
    int err = pump(lane);
    int flushed = pr_lane_flush(lane->inner);
    if (err == -EINVAL)
        fail(lane, err);
    return err ? err : flushed;
}

/* Takes in a receive of the inner lane. One that fails the lane takes its turn like any other. */
static void arrive(struct fault_lane *lane, const struct pr_completion *completion)
{
    const struct pr_fault_rule *fault =
        pr_fault_decide(fabric_of(lane), lane->index, PR_FAULT_ON_RECV);
    if (fault && fault->action == PR_FAULT_LOSE) {
        if (completion->op == PR_OP_RECV)
            pr_lane_recv_done(lane->inner, completion->bytes);
        return;
    }
    struct arrival *arrival = &lane->arrivals[lane->arrived++ % lane->arrival_depth];
    *arrival = (struct arrival){.completion = *completion, .fault = fault};
    if (fault && fault->action == PR_FAULT_DELAY)
        arrival->due_ns = pr_now_ns() + fault->delay_ms * UINT64_C(1000000);
}

static void take_inner(struct fault_lane *lane)
{
    struct pr_completion batch[BATCH];
    if (lane->inner_err || lane->arrived - lane->delivered > lane->arrival_depth - BATCH)
        return;
    int count = pr_lane_poll(lane->inner, batch, BATCH);
    if (count < 0) {
        lane->inner_err = count;
        snprintf(lane->why, sizeof(lane->why), "%s", pr_error_message());
    }
    for (int i = 0; i < count; i++) {
        if (batch[i].op == PR_OP_RECV || batch[i].op == PR_OP_RECV_IMM)
            arrive(lane, &batch[i]);
        else
            post_at(lane, batch[i].tag)->done = true;
    }
}

static void fail_by(struct fault_lane *lane, const struct pr_fault_rule *fault)
{
    int err = fault->action == PR_FAULT_FAIL ? fault->err : ECONNRESET;
    fail(lane, pr_error(err, "a fault rule failed the lane"));
}

static bool fails_lane(const struct pr_fault_rule *fault)
{
    return fault && (fault->action == PR_FAULT_FAIL || fault->action == PR_FAULT_DISCONNECT);
}

static unsigned deliver_arrivals(struct fault_lane *lane, struct pr_completion *out, unsigned max)
{
    unsigned count = 0;
    while (count < max && lane->delivered != lane->arrived) {
        const struct arrival *arrival = &lane->arrivals[lane->delivered % lane->arrival_depth];
        if (arrival->due_ns && arrival->due_ns > pr_now_ns())
            break;
        if (fails_lane(arrival->fault)) {
            fail_by(lane, arrival->fault);
            break;
        }
        out[count++] = arrival->completion;
        lane->lent += arrival->completion.op == PR_OP_RECV;
        lane->delivered++;
    }
    return count;
}

static unsigned deliver_own(struct fault_lane *lane, struct pr_completion *out, unsigned max)
{
    unsigned count = 0;
    while (count < max && lane->scanned != lane->flushed && post_at(lane, lane->scanned)->done) {
        const struct post *post = post_at(lane, lane->scanned++);
        if (fails_lane(post->fault)) {
            fail_by(lane, post->fault);
            break;
        }
        if (!post->rma.signaled || fault_is(post, PR_FAULT_MUTE))
            continue;
        enum pr_op op = post->op == PR_OP_RECV_IMM ? PR_OP_WRITE : post->op;
        out[count++] = (struct pr_completion){.op = op, .tag = post->rma.tag};
        lane->released = lane->scanned;
    }
    return count;
}

int pr_fault_lane_poll(struct pr_lane *base, struct pr_completion *out, unsigned max)
{
    struct fault_lane *lane = lane_of(base);
    if (lane->err)
        return failure(lane);
    pump_late(lane);
    if (!lane->err)
        take_inner(lane);
    if (lane->err)
        return failure(lane);
    unsigned count = deliver_own(lane, out, max);
    if (!lane->err)
        count += deliver_arrivals(lane, out + count, max - count);
    if (count)
        return (int)count;
    if (lane->inner_err && lane->delivered == lane->arrived && !lane->err)
        lane->err = lane->inner_err;
    return lane->err ? failure(lane) : 0;
}

void pr_fault_lane_recv_done(struct pr_lane *base, const void *bytes)
{
    struct fault_lane *lane = lane_of(base);
    pr_lane_recv_done(lane->inner, bytes);
    lane->lent--;
    cut(lane);
}

int pr_fault_lane_arm(struct pr_lane *base)
{
    struct fault_lane *lane = lane_of(base);
    bool held = !lane->stopped && lane->passed < lane->flushed;
    bool own = lane->scanned != lane->flushed && post_at(lane, lane->scanned)->done;
    if (lane->err || lane->inner_err || held || own || lane->delivered != lane->arrived)
        return 1;
    return pr_lane_arm(lane->inner);
}

int pr_fault_lane_fd(struct pr_lane *lane)
{
    return lane_of(lane)->epoll;
}
