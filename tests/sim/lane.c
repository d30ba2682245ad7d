/* SPDX-License-Identifier: BSD-2-Clause */
/* A lane as its owner sees it: post, flush, poll, arm. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FREED_BYTE 0xdd /* what a receive buffer holds once it is given back */

static struct end *end_of(struct pr_lane *lane)
{
    return (struct end *)lane;
}

static struct world *world_of(const struct end *end)
{
    return end->fabric->network->world;
}

/* A scheduling point at which nobody else may be inside of this lane. */
static void enter(struct end *end, const char *name)
{
    static _Thread_local char me;
    if (end->user && end->user != &me)
        world_fail(world_of(end), "lane %u is used by two threads at once (%s)", end->number, name);
    end->user = &me;
    world_point(name, false);
    end->user = NULL;
}

/* ---- what the device hands up ---- */

void sim_end_notify(struct end *end)
{
    if (!end->armed)
        return;
    end->armed = false;
    world_raise(&end->ready);
}

void sim_end_complete(struct end *end, const struct op *op)
{
    if (!op->signaled)
        return;
    struct done *done = calloc(1, sizeof(*done));
    if (!done)
        abort();
    done->kind = op->kind == PR_OP_RECV_IMM ? PR_OP_WRITE : op->kind;
    done->tag = op->tag;
    done->index = op->index;
    STAILQ_INSERT_TAIL(&end->dones, done, link);
    sim_end_notify(end);
}

bool sim_end_has_buffer(const struct end *end)
{
    return end->slots_taken < end->fabric->net.limits.recv_depth;
}

static uint8_t *buffer(const struct end *end, unsigned slot)
{
    return end->buffers + (size_t)slot * end->fabric->net.limits.max_message_bytes;
}

/* Not the first free one always, so that nobody comes to rely on an order. */
static unsigned free_slot(struct end *end)
{
    unsigned depth = end->fabric->net.limits.recv_depth;
    unsigned slot = (unsigned)world_random_below(world_of(end), depth);
    while (end->slots[slot] != SLOT_FREE)
        slot = (slot + 1) % depth;
    return slot;
}

void sim_end_receive(struct end *end, const struct op *op)
{
    struct receive *receive = calloc(1, sizeof(*receive));
    if (!receive)
        abort();
    receive->slot = free_slot(end);
    end->slots[receive->slot] = SLOT_FULL;
    end->slots_taken++;
    receive->after = end->in->placement_count;
    receive->kind = op->kind == PR_OP_SEND ? PR_OP_RECV : PR_OP_RECV_IMM;
    receive->imm = op->imm;
    if (op->kind == PR_OP_SEND) {
        receive->len = (uint32_t)op->len;
        memcpy(buffer(end, receive->slot), op->data, op->len);
    }
    STAILQ_INSERT_TAIL(&end->receives, receive, link);
    sim_end_notify(end);
}

/* ---- posting ---- */

static int failed(const struct end *end)
{
    return pr_error(-end->err, "%s", end->sentence);
}

/* NULL with *err set when there is no room or the lane failed. */
static struct op *make_op(struct end *end, enum pr_op kind, int *err)
{
    enter(end, "post");
    uint32_t depth = end->fabric->net.limits.send_depth;
    if (end->err) {
        *err = failed(end);
        return NULL;
    }
    if (end->posts - end->retired >= depth) {
        *err = pr_error(EAGAIN, "the lane's %u places are taken: poll first", depth);
        return NULL;
    }
    struct op *op = calloc(1, sizeof(*op));
    if (!op)
        abort();
    op->kind = kind;
    return op;
}

static void queue(struct end *end, struct op *op, uint64_t tag, bool signaled)
{
    op->index = end->posts++;
    op->tag = tag;
    op->signaled = signaled;
    TAILQ_INSERT_TAIL(&end->posted, op, link);
}

static bool inside(uint64_t at, uint64_t len, uint64_t start, uint64_t size)
{
    return at >= start && len <= size && at - start <= size - len;
}

static int check_rma(const struct end *end, const struct pr_rma *rma)
{
    uint64_t most = end->fabric->net.limits.max_write_bytes;
    if (!rma->len || rma->len > most)
        return pr_error(EINVAL, "a transfer has 1 to %llu bytes, not %llu",
                        (unsigned long long)most, (unsigned long long)rma->len);
    if (!rma->mr || rma->mr->fabric != &end->fabric->fabric)
        return pr_error(EINVAL, "the local window belongs to another fabric");
    if (!inside((uintptr_t)rma->local, rma->len, (uintptr_t)rma->mr->addr, rma->mr->key.len))
        return pr_error(EINVAL, "the transfer leaves the local window");
    if (!inside(rma->remote, rma->len, rma->key->addr, rma->key->len))
        return pr_error(EINVAL, "the transfer leaves the peer's window");
    return 0;
}

static int post_rma(struct pr_lane *lane, const struct pr_rma *rma, enum pr_op kind, uint32_t imm)
{
    struct end *end = end_of(lane);
    int err;
    struct op *op = make_op(end, kind, &err);
    if (!op)
        return err;
    op->imm = imm;
    bool empty = kind == PR_OP_RECV_IMM && !rma->len;
    err = empty ? 0 : check_rma(end, rma);
    if (err) {
        sim_op_free(op);
        return err;
    }
    if (!empty) {
        op->local = rma->local;
        op->mr = (struct sim_mr *)rma->mr;
        op->remote = rma->remote;
        op->rkey = rma->key->rkey;
        op->len = rma->len;
    }
    queue(end, op, rma->tag, rma->signaled);
    return 0;
}

static int sim_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    return post_rma(lane, write, PR_OP_WRITE, 0);
}

static int sim_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm)
{
    return post_rma(lane, write, PR_OP_RECV_IMM, imm);
}

static int sim_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    const struct sim_mr *mr = (const struct sim_mr *)read->mr;
    if (mr && !(mr->access & PR_ACCESS_LOCAL_WRITE))
        return pr_error(EINVAL, "a read needs a local window with PR_ACCESS_LOCAL_WRITE");
    return post_rma(lane, read, PR_OP_READ, 0);
}

static int sim_post_send(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                         bool signaled)
{
    struct end *end = end_of(lane);
    uint32_t most = end->fabric->net.limits.max_message_bytes;
    if (!len || len > most)
        return pr_error(EINVAL, "a message has 1 to %u bytes, not %u", most, len);
    int err;
    struct op *op = make_op(end, PR_OP_SEND, &err);
    if (!op)
        return err;
    op->len = len;
    op->data = malloc(len);
    if (!op->data)
        abort();
    memcpy(op->data, bytes, len);
    queue(end, op, tag, signaled);
    return 0;
}

static int sim_flush(struct pr_lane *lane)
{
    struct end *end = end_of(lane);
    enter(end, "flush");
    if (end->err)
        return failed(end);
    struct op *op;
    while ((op = TAILQ_FIRST(&end->posted))) {
        TAILQ_REMOVE(&end->posted, op, link);
        sim_wire_start(end->out, op);
    }
    return 0;
}

/* ---- polling ---- */

static bool take_done(struct end *end, struct pr_completion *out)
{
    struct done *done = STAILQ_FIRST(&end->dones);
    if (!done)
        return false;
    *out = (struct pr_completion){.op = done->kind, .tag = done->tag};
    end->retired = done->index + 1;
    STAILQ_REMOVE_HEAD(&end->dones, link);
    free(done);
    return true;
}

static bool take_receive(struct end *end, struct pr_completion *out)
{
    struct receive *receive = STAILQ_FIRST(&end->receives);
    if (!receive)
        return false;
    sim_wire_place(end->in, receive->after);
    *out = (struct pr_completion){.op = receive->kind, .imm = receive->imm, .len = receive->len};
    if (receive->kind == PR_OP_RECV) {
        out->bytes = buffer(end, receive->slot);
        end->slots[receive->slot] = SLOT_OUT;
    } else {
        end->slots[receive->slot] = SLOT_FREE;
        end->slots_taken--;
    }
    STAILQ_REMOVE_HEAD(&end->receives, link);
    free(receive);
    return true;
}

static int sim_poll_lane(struct pr_lane *lane, struct pr_completion *out, unsigned max)
{
    struct end *end = end_of(lane);
    enter(end, "poll lane");
    unsigned count = 0;
    while (count < max) {
        bool taken = world_random_below(world_of(end), 2)
                         ? take_done(end, &out[count]) || take_receive(end, &out[count])
                         : take_receive(end, &out[count]) || take_done(end, &out[count]);
        if (!taken)
            break;
        count++;
        if (world_random_below(world_of(end), 4) == 0)
            break;
    }
    if (!count && max && end->err)
        return failed(end);
    return (int)count;
}

static void sim_recv_done(struct pr_lane *lane, const void *bytes)
{
    struct end *end = end_of(lane);
    uint32_t size = end->fabric->net.limits.max_message_bytes;
    uint64_t offset = (uint64_t)((const uint8_t *)bytes - end->buffers);
    unsigned slot = (unsigned)(offset / size);
    if (offset % size || slot >= end->fabric->net.limits.recv_depth ||
        end->slots[slot] != SLOT_OUT) {
        world_fail(world_of(end), "lane %u: recv_done of a buffer that is not out", end->number);
        return;
    }
    memset(buffer(end, slot), FREED_BYTE, size);
    end->slots[slot] = SLOT_FREE;
    end->slots_taken--;
    enter(end, "recv done");
}

static int sim_arm(struct pr_lane *lane)
{
    struct end *end = end_of(lane);
    enter(end, "arm");
    if (!STAILQ_EMPTY(&end->dones) || !STAILQ_EMPTY(&end->receives) || end->err)
        return 1;
    world_clear(&end->ready);
    end->armed = true;
    if (world_random_below(world_of(end), 100) < end->fabric->net.spurious_percent)
        sim_end_notify(end);
    return 0;
}

static int sim_fd(struct pr_lane *lane)
{
    return end_of(lane)->ready.fd;
}

static void sim_lane_shut(struct pr_lane *lane)
{
    struct end *end = end_of(lane);
    enter(end, "shut lane");
    sim_wire_sever(end->in);
}

static void sim_lane_close(struct pr_lane *lane)
{
    struct end *end = end_of(lane);
    enter(end, "close lane");
    sim_end_unplug(end);
    sim_end_free(end);
}

const struct pr_fabric_ops sim_ops = {
    .close = sim_fabric_close,
    .listen = sim_listen,
    .accept = sim_accept,
    .listener_close = sim_listener_close,
    .connect = sim_connect,
    .reg = sim_reg,
    .dereg = sim_dereg,
    .reg_pays = sim_reg_pays,
    .post_write = sim_post_write,
    .post_write_imm = sim_post_write_imm,
    .post_read = sim_post_read,
    .post_send = sim_post_send,
    .flush = sim_flush,
    .poll = sim_poll_lane,
    .recv_done = sim_recv_done,
    .arm = sim_arm,
    .fd = sim_fd,
    .lane_shut = sim_lane_shut,
    .lane_close = sim_lane_close,
    .rail = pr_fabric_plain_rail,
};
