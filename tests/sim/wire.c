/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to an operation between its flush and the last of its bytes at the destination. */
#include "base/runtime.h"
#include "tests/sim/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CUT_BYTES 64u       /* pieces end at cache lines */
#define OVERHEAD_NS 100u    /* of an operation, on top of its bytes */
#define RESEND_LATENCIES 8u /* a lost packet costs so many times the latency */

void sim_op_free(struct op *op)
{
    free(op->data);
    free(op);
}

static void remove_op(struct op *op)
{
    world_event_cancel(op->wire->network->world, &op->event);
    TAILQ_REMOVE(&op->wire->ops, op, link);
    sim_op_free(op);
}

static uint64_t draw(struct wire *wire, uint64_t below)
{
    return world_random_below(wire->network->world, below);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- the source's device reads ---- */

/* A send's bytes were copied at post; a read has none to read here. */
static bool reads_memory(const struct op *op)
{
    return op->len && (op->kind == PR_OP_WRITE || op->kind == PR_OP_RECV_IMM);
}

static void cut_pieces(struct op *op, uint64_t now_ns, uint64_t last_ns)
{
    uint64_t lines = (op->len + CUT_BYTES - 1) / CUT_BYTES, from = 0;
    op->piece_count = 1 + (unsigned)draw(op->wire, PIECES_MAX);
    if (op->piece_count > lines)
        op->piece_count = (unsigned)lines;
    for (unsigned i = 0; i < op->piece_count; i++) {
        struct piece *piece = &op->pieces[i];
        uint64_t left = op->piece_count - i - 1, spare = lines - from / CUT_BYTES - left;
        uint64_t take = left ? 1 + draw(op->wire, spare) : spare;
        piece->from = from;
        piece->len = take * CUT_BYTES < op->len - from ? take * CUT_BYTES : op->len - from;
        piece->at_ns = now_ns + draw(op->wire, last_ns - now_ns + 1);
        piece->read = false;
        from += piece->len;
    }
}

static void read_due_pieces(struct op *op, uint64_t now_ns)
{
    for (unsigned i = 0; i < op->piece_count; i++) {
        struct piece *piece = &op->pieces[i];
        if (piece->read || piece->at_ns > now_ns)
            continue;
        memcpy(op->data + piece->from, op->local + piece->from, piece->len);
        piece->read = true;
    }
}

static uint64_t next_piece_ns(const struct op *op)
{
    uint64_t next = PR_NEVER;
    for (unsigned i = 0; i < op->piece_count; i++)
        if (!op->pieces[i].read && op->pieces[i].at_ns < next)
            next = op->pieces[i].at_ns;
    return next;
}

/* ---- the destination's device takes ---- */

/* Fails the connection for what the op did at the destination. */
static void refuse(struct op *op, int err, const char *why)
{
    struct wire *wire = op->wire;
    struct network *network = wire->network;
    struct end *from = wire->from, *to = wire->to;
    uint64_t now_ns = world_now_ns(network->world), latency_ns = to->cable->net.latency_ns;
    if (from)
        sim_end_fail_at(from, now_ns + latency_ns, err, "%s", why);
    sim_end_fail_at(to, now_ns + draw(wire, latency_ns + 1), -ECONNRESET,
                    "the connection broke because the peer's operation failed here: %s", why);
    sim_wire_sever(wire); /* frees the op */
}

static uint64_t placement_delay(struct wire *wire, uint64_t most_ns)
{
    /* Often next to nothing, sometimes all of it. */
    uint64_t delay_ns = draw(wire, most_ns + 1);
    for (uint64_t halvings = draw(wire, 12); halvings; halvings--)
        delay_ns /= 2;
    return delay_ns;
}

static void schedule_placement(struct wire *wire)
{
    struct placement *first = STAILQ_FIRST(&wire->placements);
    if (!first || first->at_ns == PR_NEVER)
        world_event_cancel(wire->network->world, &wire->place_event);
    else
        world_event_set(wire->network->world, &wire->place_event, first->at_ns);
}

static void add_placement(struct wire *wire, struct op *op, struct sim_mr *mr)
{
    struct placement *p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    const struct sim_net *net = &wire->to->cable->net;
    p->number = ++wire->placement_count;
    p->at_ns = PR_NEVER;
    if (!wire->lazy) {
        uint64_t at_ns = world_now_ns(wire->network->world);
        p->at_ns = wire->last_place_ns =
            max_u64(at_ns + placement_delay(wire, net->placement_ns), wire->last_place_ns);
    }
    p->complete_ns = op->complete_ns;
    p->data = op->data;
    op->data = NULL;
    p->to = (uint8_t *)(uintptr_t)op->remote;
    p->len = op->len;
    p->mr = mr;
    STAILQ_INSERT_TAIL(&wire->placements, p, link);
    wire->network->counts.write_bytes += p->len;
    wire->network->counts.invisible_bytes += p->len;
    schedule_placement(wire);
}

static void place_bytes(struct wire *wire, struct placement *p, uint64_t len)
{
    memcpy(p->to + p->done, p->data + p->done, len);
    p->done += len;
    wire->network->counts.invisible_bytes -= len;
}

/* The oldest one. */
static void drop_placement(struct wire *wire, struct placement *p)
{
    wire->network->counts.invisible_bytes -= p->len - p->done;
    STAILQ_REMOVE_HEAD(&wire->placements, link);
    free(p->data);
    free(p);
}

/* A piece of the oldest placement becomes visible. */
void sim_wire_place_event(struct world_event *event)
{
    struct wire *wire = container_of(event, struct wire, place_event);
    struct placement *p = STAILQ_FIRST(&wire->placements);
    uint64_t left = p->len - p->done;
    uint64_t len = (1 + draw(wire, left / CUT_BYTES + 1)) * CUT_BYTES;
    if (len >= left) {
        place_bytes(wire, p, left);
        drop_placement(wire, p);
    } else {
        place_bytes(wire, p, len);
        p->at_ns += placement_delay(wire, wire->to->cable->net.placement_ns);
        wire->last_place_ns = max_u64(wire->last_place_ns, p->at_ns);
    }
    schedule_placement(wire);
}

void sim_wire_place(struct wire *wire, uint64_t upto)
{
    struct placement *p;
    while ((p = STAILQ_FIRST(&wire->placements)) && p->number <= upto) {
        wire->network->counts.forced_bytes += p->len - p->done;
        place_bytes(wire, p, p->len - p->done);
        drop_placement(wire, p);
    }
    schedule_placement(wire);
}

void sim_wire_place_window(struct wire *wire, const struct sim_mr *mr)
{
    uint64_t upto = 0;
    struct placement *p;
    STAILQ_FOREACH(p, &wire->placements, link)
    if (p->mr == mr)
        upto = p->number;
    sim_wire_place(wire, upto);
}

/* The last placement of the wire that the operation may not overtake. */
static uint64_t last_before(const struct wire *wire, const struct op *op)
{
    uint64_t upto = 0;
    const struct placement *p;
    STAILQ_FOREACH(p, &wire->placements, link)
    if (p->complete_ns <= op->flushed_ns && (uintptr_t)p->to < op->remote + op->len &&
        op->remote < (uintptr_t)p->to + p->len)
        upto = p->number;
    return upto;
}

/* A write that was complete before this operation was flushed, on whatever lane, lands before it
 * where the two overlap. */
static void keep_device_order(struct op *op)
{
    struct sim_fabric *fabric = op->wire->to->fabric;
    struct end *end;
    if (!op->wire->to->cable->net.ordered_device)
        return;
    LIST_FOREACH(end, &fabric->ends, link)
    sim_wire_place(end->in, last_before(end->in, op));
}

static bool is_message(const struct op *op)
{
    return op->kind == PR_OP_SEND || op->kind == PR_OP_RECV_IMM;
}

static unsigned access_needed(const struct op *op)
{
    return op->kind == PR_OP_READ ? PR_ACCESS_REMOTE_READ : PR_ACCESS_REMOTE_WRITE;
}

/* False when the operation failed and is gone. */
static bool take_message(struct op *op)
{
    struct wire *wire = op->wire;
    struct end *to = wire->to;
    if (!sim_end_has_buffer(to)) {
        wire->network->counts.overruns++;
        if (!to->cable->net.overrun_allowed)
            world_fail(wire->network->world,
                       "lane %u: a message arrived and none of the %u receive buffers was free: "
                       "the sender's flow control is wrong",
                       to->number, to->fabric->net.limits.recv_depth);
        refuse(op, -EIO, "the peer had no receive buffer for a message");
        return false;
    }
    if (op->len > to->fabric->net.limits.max_message_bytes && op->kind == PR_OP_SEND) {
        refuse(op, -EIO, "the message is larger than the peer's receive buffers");
        return false;
    }
    wire->network->counts.messages++;
    return true;
}

static void corrupt(struct op *op)
{
    if (op->corrupt && op->data && op->len)
        op->data[draw(op->wire, op->len)] ^= (uint8_t)(1u << draw(op->wire, 8));
}

/* False when the operation failed and is gone. */
static bool arrive(struct op *op)
{
    struct wire *wire = op->wire;
    struct end *to = wire->to;
    if (is_message(op) && !take_message(op))
        return false;
    if (op->kind != PR_OP_SEND && op->len) {
        struct sim_mr *mr =
            sim_window_find(to->fabric, op->rkey, op->remote, op->len, access_needed(op));
        if (!mr) {
            refuse(op, -EACCES, "the peer has no such window: its key is wrong or was withdrawn");
            return false;
        }
        keep_device_order(op);
        if (op->kind == PR_OP_READ) {
            sim_wire_place(wire, wire->placement_count);
            memcpy(op->data, (void *)(uintptr_t)op->remote, op->len);
            corrupt(op);
        } else {
            corrupt(op);
            add_placement(wire, op, mr);
        }
    } else {
        corrupt(op);
    }
    if (is_message(op))
        sim_end_receive(to, op);
    return true;
}

/* ---- the way ---- */

static void complete(struct op *op)
{
    if (op->kind == PR_OP_READ)
        memcpy(op->local, op->data, op->len);
    sim_end_complete(op->wire->from, op);
    remove_op(op);
}

static void next_stage(struct world_event *event)
{
    struct op *op = container_of(event, struct op, event);
    struct world *world = op->wire->network->world;
    if (op->stage == OP_READING) {
        read_due_pieces(op, world_now_ns(world));
        uint64_t next = next_piece_ns(op);
        if (next == PR_NEVER) {
            op->stage = OP_TRAVELS;
            next = op->arrive_ns;
        }
        world_event_set(world, &op->event, next);
    } else if (op->stage == OP_TRAVELS) {
        if (!arrive(op))
            return;
        op->stage = OP_ARRIVED;
        if (op->wire->from && !op->wire->from->err)
            world_event_set(world, &op->event, op->complete_ns);
        else
            remove_op(op);
    } else {
        complete(op);
    }
}

/* Times are drawn here; arrivals and completions of a wire keep their order. */
static void plan(struct wire *wire, struct op *op)
{
    struct sim_fabric *fabric = wire->from->fabric;
    const struct sim_net *net = &wire->from->cable->net;
    uint64_t now_ns = op->flushed_ns = world_now_ns(wire->network->world);
    uint64_t start_ns = max_u64(max_u64(now_ns, wire->free_ns), fabric->path_free_ns);
    uint64_t sent_ns = start_ns + OVERHEAD_NS + op->len * 1000000000u / wire->rate_Bps;
    wire->free_ns = sent_ns;
    if (net->path_Bps)
        fabric->path_free_ns = start_ns + op->len * 1000000000u / net->path_Bps;
    uint64_t lost_ns = 0;
    if (draw(wire, 100) < net->resend_percent)
        lost_ns = draw(wire, RESEND_LATENCIES * net->latency_ns + 1);
    uint64_t arrive_ns = sent_ns + lost_ns + net->latency_ns + draw(wire, net->jitter_ns + 1);
    op->arrive_ns = wire->last_arrive_ns = max_u64(arrive_ns, wire->last_arrive_ns + 1);
    uint64_t complete_ns = op->arrive_ns + net->latency_ns + draw(wire, net->jitter_ns + 1);
    op->complete_ns = wire->last_complete_ns = max_u64(complete_ns, wire->last_complete_ns + 1);
    op->stage = OP_TRAVELS;
    if (reads_memory(op)) {
        cut_pieces(op, now_ns, sent_ns + lost_ns);
        op->stage = OP_READING;
    }
}

/* Strikes the op if it is the one; true when it is gone. */
static bool strike(struct wire *wire, struct op *op)
{
    struct network *network = wire->network;
    if (++network->counts.operations != network->fault_at)
        return false;
    if (network->fault == SIM_FAULT_CORRUPT) {
        op->corrupt = true;
        return false;
    }
    uint64_t now_ns = world_now_ns(network->world);
    const struct sim_net *net = &wire->from->cable->net;
    sim_op_free(op);
    wire->lost = true;
    if (network->fault == SIM_FAULT_DROP) {
        sim_end_fail_at(wire->from, now_ns + net->retry_ns, -EIO,
                        "the peer acknowledged nothing, all retries are used up");
        return true;
    }
    sim_end_fail_at(wire->from, now_ns + draw(wire, net->latency_ns + 1), -ECONNRESET,
                    "the connection broke");
    if (wire->to)
        sim_end_fail_at(wire->to, now_ns + draw(wire, net->retry_ns + 1), -ECONNRESET,
                        "the connection broke");
    return true;
}

void sim_wire_start(struct wire *wire, struct op *op)
{
    op->wire = wire;
    if (strike(wire, op))
        return;
    if (wire->lost || !wire->to) {
        sim_op_free(op);
        sim_end_fail_at(wire->from,
                        world_now_ns(wire->network->world) + wire->from->cable->net.retry_ns,
                        -ECONNRESET, "the peer does not answer any more");
        return;
    }
    if (op->len && !op->data)
        op->data = malloc(op->len);
    if (op->len && !op->data)
        abort();
    plan(wire, op);
    op->event.fn = next_stage;
    TAILQ_INSERT_TAIL(&wire->ops, op, link);
    world_event_set(wire->network->world, &op->event,
                    op->stage == OP_READING ? next_piece_ns(op) : op->arrive_ns);
}

/* ---- what breaks it ---- */

void sim_wire_sever(struct wire *wire)
{
    wire->lost = true;
    struct op *op = TAILQ_FIRST(&wire->ops);
    while (op) {
        struct op *next = TAILQ_NEXT(op, link);
        if (op->stage != OP_ARRIVED)
            remove_op(op);
        op = next;
    }
}

void sim_wire_orphan(struct wire *wire)
{
    wire->lost = true;
    bool keep = true;
    struct op *op = TAILQ_FIRST(&wire->ops);
    while (op) {
        struct op *next = TAILQ_NEXT(op, link);
        if (op->stage == OP_ARRIVED) {
            remove_op(op);
        } else {
            keep = keep && op->stage == OP_TRAVELS && op->kind != PR_OP_READ && draw(wire, 4) != 0;
            if (!keep)
                remove_op(op);
        }
        op = next;
    }
}

void sim_wire_lose_acks(struct wire *wire)
{
    bool keep = true;
    struct op *op = TAILQ_FIRST(&wire->ops);
    while (op) {
        struct op *next = TAILQ_NEXT(op, link);
        keep = keep && draw(wire, 2) != 0;
        if (op->stage == OP_ARRIVED && !keep)
            remove_op(op);
        op = next;
    }
}

void sim_wire_clear(struct wire *wire)
{
    for (struct op *op = TAILQ_FIRST(&wire->ops), *next; op; op = next) {
        next = TAILQ_NEXT(op, link);
        remove_op(op);
    }
    struct placement *p;
    while ((p = STAILQ_FIRST(&wire->placements)))
        drop_placement(wire, p);
    schedule_placement(wire);
}

bool sim_wire_uses(const struct wire *wire, const struct sim_mr *mr)
{
    const struct op *op;
    TAILQ_FOREACH(op, &wire->ops, link)
    if (op->mr == mr)
        return true;
    return false;
}
