/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a connection: made, failed, unplugged. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/net.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void init_wire(struct wire *wire, struct network *network, const struct sim_net *net)
{
    struct world *world = network->world;
    wire->network = network;
    wire->place_event.fn = sim_wire_place_event;
    TAILQ_INIT(&wire->ops);
    STAILQ_INIT(&wire->placements);
    wire->rate_Bps = net->lane_Bps / 2 + world_random_below(world, net->lane_Bps / 2 + 1) + 1;
    wire->lazy = world_random_below(world, 100) < net->lazy_percent;
}

static void fail_event(struct world_event *event);

static struct end *make_end(struct sim_fabric *fabric, struct cable *cable, unsigned side)
{
    const struct pr_fabric_limits *limits = &fabric->net.limits;
    struct end *end = calloc(1, sizeof(*end));
    if (!end)
        abort();
    end->lane.ops = &sim_ops;
    end->lane.fabric = &fabric->fabric;
    end->number = fabric->network->lane_numbers;
    end->fabric = fabric;
    end->cable = cable;
    end->out = &cable->wires[side];
    end->in = &cable->wires[!side];
    end->out->from = end;
    end->in->to = end;
    end->fail_event.fn = fail_event;
    TAILQ_INIT(&end->posted);
    STAILQ_INIT(&end->dones);
    STAILQ_INIT(&end->receives);
    end->buffers = malloc((size_t)limits->recv_depth * limits->max_message_bytes);
    end->slots = calloc(limits->recv_depth, sizeof(*end->slots));
    if (!end->buffers || !end->slots || pr_event_open(&end->ready) < 0)
        abort();
    LIST_INSERT_HEAD(&fabric->ends, end, link);
    return end;
}

void sim_cable_make(struct sim_fabric *client, struct sim_fabric *server, struct end **client_end,
                    struct end **server_end)
{
    struct network *network = client->network;
    struct cable *cable = calloc(1, sizeof(*cable));
    if (!cable)
        abort();
    cable->net = client->net;
    cable->ends = 2;
    for (unsigned i = 0; i < 2; i++)
        init_wire(&cable->wires[i], network, &cable->net);
    network->lane_numbers++;
    *client_end = make_end(client, cable, 0);
    *server_end = make_end(server, cable, 1);
}

/* ---- failure ---- */

static uint64_t now(const struct end *end)
{
    return world_now_ns(end->fabric->network->world);
}

/* The peer notices when its device does, after all of ours that still arrives there. */
static void tell_peer(struct end *end)
{
    struct end *peer = end->out->to;
    if (!peer || end->cable->cut)
        return;
    const struct sim_net *net = &end->cable->net;
    uint64_t at_ns =
        now(end) + net->latency_ns + sim_draw_upto(end->fabric->network, net->jitter_ns);
    const struct op *last = TAILQ_LAST(&end->out->ops, op_list);
    if (last && last->arrive_ns >= at_ns)
        at_ns = last->arrive_ns + 1;
    sim_end_fail_at(peer, at_ns, -ECONNRESET, "the peer closed the connection or died");
}

static void free_list(struct op_list *list)
{
    struct op *op;
    while ((op = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, op, link);
        sim_op_free(op);
    }
}

static void fail_now(struct end *end, int err, const char *sentence)
{
    if (end->err)
        return;
    world_event_cancel(end->fabric->network->world, &end->fail_event);
    end->err = err;
    snprintf(end->sentence, sizeof(end->sentence), "lane %u: %s", end->number, sentence);
    end->fabric->network->counts.lanes_failed++;
    free_list(&end->posted);
    sim_wire_orphan(end->out);
    sim_wire_sever(end->in);
    tell_peer(end);
    sim_end_notify(end);
}

static void fail_event(struct world_event *event)
{
    struct end *end = container_of(event, struct end, fail_event);
    fail_now(end, end->fail_err, end->fail_sentence);
}

void sim_end_fail(struct end *end, int err, const char *format, ...)
{
    char sentence[SENTENCE_MAX - 16];
    va_list ap;
    va_start(ap, format);
    vsnprintf(sentence, sizeof(sentence), format, ap);
    va_end(ap);
    fail_now(end, err, sentence);
}

void sim_end_fail_at(struct end *end, uint64_t at_ns, int err, const char *format, ...)
{
    if (end->err || (end->fail_event.place && end->fail_event.at_ns <= at_ns))
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(end->fail_sentence, sizeof(end->fail_sentence), format, ap);
    va_end(ap);
    end->fail_err = err;
    world_event_set(end->fabric->network->world, &end->fail_event, at_ns);
}

void sim_end_cut(struct end *end)
{
    const struct sim_net *net = &end->cable->net;
    end->cable->cut = true;
    bool waits = !TAILQ_EMPTY(&end->out->ops);
    sim_wire_sever(end->out);
    sim_wire_lose_acks(end->out);
    if (waits || !net->cut_is_silent)
        sim_end_fail_at(end, now(end) + sim_draw_upto(end->fabric->network, net->retry_ns),
                        -ECONNRESET, "the connection to the peer was cut");
}

/* ---- the end of it ---- */

void sim_end_unplug(struct end *end)
{
    struct network *network = end->fabric->network;
    world_event_cancel(network->world, &end->fail_event);
    free_list(&end->posted);
    sim_wire_orphan(end->out);
    sim_wire_sever(end->in);
    tell_peer(end);
    end->out->from = NULL;
    end->in->to = NULL;
    sim_wire_clear(end->in);
    LIST_REMOVE(end, link);
    struct cable *cable = end->cable;
    end->cable = NULL;
    if (--cable->ends)
        return;
    for (unsigned i = 0; i < 2; i++)
        sim_wire_clear(&cable->wires[i]);
    free(cable);
}

void sim_end_free(struct end *end)
{
    struct done *done;
    while ((done = STAILQ_FIRST(&end->dones))) {
        STAILQ_REMOVE_HEAD(&end->dones, link);
        free(done);
    }
    struct receive *receive;
    while ((receive = STAILQ_FIRST(&end->receives))) {
        STAILQ_REMOVE_HEAD(&end->receives, link);
        free(receive);
    }
    pr_event_close(&end->ready);
    free(end->buffers);
    free(end->slots);
    free(end);
}
