/* SPDX-License-Identifier: BSD-2-Clause */
/* The fabric object, its registrations, and what the world does to it. */
#include "tests/sim/fabric.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096u
#define MIB (1024u * 1024)

struct sim_net sim_net_typical(void)
{
    return (struct sim_net){
        .latency_ns = 3000,
        .jitter_ns = 3000,
        .lane_Bps = 12500000000u,
        .placement_ns = 200000,
        .lazy_percent = 25,
        .resend_percent = 1,
        .spurious_percent = 5,
        .retry_ns = 500000000,
        .reg_ns = 20000,
        .reg_ns_per_MiB = 100000,
        .limits = {.max_write_bytes = 64 * 1024,
                   .max_window_bytes = 1ull << 30,
                   .max_message_bytes = 4096,
                   .send_depth = 16,
                   .recv_depth = 16,
                   .max_private_bytes = 196,
                   .suggested_lanes = 4},
    };
}

static uint64_t draw_power(struct world *world, unsigned low, unsigned high)
{
    return 1ull << (low + world_random_below(world, high - low + 1));
}

struct sim_net sim_net_draw(struct world *world)
{
    struct sim_net net = sim_net_typical();
    net.latency_ns = 1000 + world_random_below(world, draw_power(world, 10, 26));
    net.jitter_ns = world_random_below(world, 2 * net.latency_ns);
    net.lane_Bps = draw_power(world, 24, 33);
    net.path_Bps = world_random_below(world, 2) ? 0 : 2 * net.lane_Bps;
    net.placement_ns = world_random_below(world, draw_power(world, 8, 24));
    net.lazy_percent = (unsigned)(world_random_below(world, 3) * 50);
    net.resend_percent = (unsigned)world_random_below(world, 6);
    net.spurious_percent = (unsigned)world_random_below(world, 30);
    net.retry_ns = 20 * net.latency_ns + world_random_below(world, 2000000000u);
    net.cut_is_silent = world_random_below(world, 2) != 0;
    net.reg_ns = world_random_below(world, 1000000u);
    net.limits.max_write_bytes = draw_power(world, 12, 20);
    net.limits.send_depth = (uint32_t)draw_power(world, 2, 7);
    net.limits.recv_depth = (uint32_t)draw_power(world, 2, 7);
    net.limits.suggested_lanes = (uint32_t)(1 + world_random_below(world, 8));
    return net;
}

uint64_t sim_draw_upto(struct network *network, uint64_t most)
{
    return world_random_below(network->world, most + 1);
}

static struct sim_fabric *fabric_of(struct pr_fabric *fabric)
{
    return (struct sim_fabric *)fabric;
}

/* ---- the network of a world ---- */

static void kill_fabric(struct sim_fabric *fabric)
{
    fabric->dead = true;
    struct end *end;
    while ((end = LIST_FIRST(&fabric->ends)))
        sim_end_unplug(end);
}

static void device_killed(struct world_device *device, unsigned side)
{
    struct network *network = (struct network *)device;
    struct sim_fabric *fabric;
    LIST_FOREACH(fabric, &network->fabrics, link)
    if (fabric->side == (int)side && !fabric->dead)
        kill_fabric(fabric);
    sim_connect_killed(network, side);
}

static void device_cut(struct world_device *device)
{
    struct network *network = (struct network *)device;
    struct sim_fabric *fabric;
    struct end *end;
    LIST_FOREACH(fabric, &network->fabrics, link)
    LIST_FOREACH(end, &fabric->ends, link)
    sim_end_cut(end);
}

static void device_ended(struct world_device *device)
{
    struct network *network = (struct network *)device;
    char text[512];
    sim_connect_ended(network);
    if (sim_fabric_leaks(network->world, text, sizeof(text)))
        world_fail(network->world, "left open at the end: %s", text);
    else if (LIST_EMPTY(&network->fabrics))
        free(network);
}

struct network *sim_network(struct world *world)
{
    for (struct world_device *d = world_devices(world); d; d = d->next)
        if (d->killed == device_killed)
            return (struct network *)d;
    struct network *network = calloc(1, sizeof(*network));
    if (!network)
        abort();
    network->device.killed = device_killed;
    network->device.cut = device_cut;
    network->device.ended = device_ended;
    network->world = world;
    world_device_add(world, &network->device);
    return network;
}

void sim_net_fault(struct world *world, uint64_t k, enum sim_fault fault)
{
    struct network *network = sim_network(world);
    network->fault_at = k;
    network->fault = fault;
}

static unsigned count_ends(const struct sim_fabric *fabric)
{
    unsigned count = 0;
    const struct end *end;
    LIST_FOREACH(end, &fabric->ends, link)
    count++;
    return count;
}

struct sim_counts sim_net_counts(struct world *world)
{
    struct network *network = sim_network(world);
    struct sim_counts counts = network->counts;
    const struct sim_fabric *fabric;
    LIST_FOREACH(fabric, &network->fabrics, link)
    {
        if (fabric->dead)
            continue;
        counts.fabrics++;
        counts.lanes += count_ends(fabric);
        counts.windows += fabric->window_count;
        counts.listeners += fabric->listener_count;
        counts.pinned_bytes += fabric->pinned_bytes;
    }
    return counts;
}

unsigned sim_fabric_leaks(struct world *world, char *text, size_t size)
{
    struct sim_counts counts = sim_net_counts(world);
    snprintf(text, size, "%u fabrics, %u lanes, %u listeners, %u windows, %llu pinned bytes",
             counts.fabrics, counts.lanes, counts.listeners, counts.windows,
             (unsigned long long)counts.pinned_bytes);
    return counts.fabrics + counts.lanes + counts.listeners + counts.windows;
}

int pr_fabric_sim_open(struct world *world, const struct sim_net *net, struct pr_fabric **out)
{
    struct sim_fabric *fabric = calloc(1, sizeof(*fabric));
    if (!fabric)
        return pr_error(ENOMEM, "no memory for a fabric");
    fabric->fabric.ops = &sim_ops;
    fabric->fabric.name = "sim";
    fabric->fabric.limits = net->limits;
    fabric->network = sim_network(world);
    fabric->net = *net;
    fabric->side = world_side_now(world);
    LIST_INIT(&fabric->ends);
    LIST_INSERT_HEAD(&fabric->network->fabrics, fabric, link);
    *out = &fabric->fabric;
    return 0;
}

void sim_fabric_close(struct pr_fabric *base)
{
    struct sim_fabric *fabric = fabric_of(base);
    world_point("close fabric", false);
    unsigned lanes = count_ends(fabric);
    if (lanes || fabric->window_count || fabric->listener_count) {
        world_fail(fabric->network->world,
                   "a fabric was closed with %u lanes, %u windows and %u listeners open", lanes,
                   fabric->window_count, fabric->listener_count);
        return;
    }
    LIST_REMOVE(fabric, link);
    free(fabric->windows);
    free(fabric);
}

/* ---- registrations ---- */

static uint64_t pinned_by_side(const struct sim_fabric *fabric)
{
    uint64_t sum = 0;
    const struct sim_fabric *other;
    LIST_FOREACH(other, &fabric->network->fabrics, link)
    if (other->side == fabric->side)
        sum += other->pinned_bytes;
    return sum;
}

static uint64_t pages_bytes(const void *addr, uint64_t len)
{
    uint64_t first = (uintptr_t)addr / PAGE_BYTES;
    uint64_t last = ((uintptr_t)addr + len - 1) / PAGE_BYTES;
    return (last - first + 1) * PAGE_BYTES;
}

static uint32_t window_slot(struct sim_fabric *fabric)
{
    for (uint32_t i = 0; i < fabric->window_room; i++)
        if (!fabric->windows[i])
            return i;
    uint32_t room = fabric->window_room ? fabric->window_room * 2 : 16;
    fabric->windows = realloc(fabric->windows, room * sizeof(struct sim_mr *));
    if (!fabric->windows)
        abort();
    memset(fabric->windows + fabric->window_room, 0,
           (room - fabric->window_room) * sizeof(struct sim_mr *));
    uint32_t slot = fabric->window_room;
    fabric->window_room = room;
    return slot;
}

struct sim_mr *sim_window_find(struct sim_fabric *fabric, uint64_t rkey, uint64_t addr,
                               uint64_t len, unsigned access)
{
    uint32_t slot = (uint32_t)rkey;
    struct sim_mr *mr = slot < fabric->window_room ? fabric->windows[slot] : NULL;
    if (!mr || mr->mr.key.rkey != rkey || (mr->access & access) != access)
        return NULL;
    uint64_t start = mr->mr.key.addr, size = mr->mr.key.len;
    if (addr < start || len > size || addr - start > size - len)
        return NULL;
    return mr;
}

static int check_window(const struct sim_fabric *fabric, const void *addr, uint64_t len)
{
    if (!addr || !len || len > fabric->net.limits.max_window_bytes)
        return pr_error(EINVAL, "a window has 1 to %llu bytes, not %llu",
                        (unsigned long long)fabric->net.limits.max_window_bytes,
                        (unsigned long long)len);
    return 0;
}

int sim_reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access, struct pr_mr **out)
{
    struct sim_fabric *fabric = fabric_of(base);
    struct world *world = fabric->network->world;
    int err = check_window(fabric, addr, len);
    if (err)
        return err;
    world_sleep_ns(world, fabric->net.reg_ns + fabric->net.reg_ns_per_MiB * (len / MIB));
    uint64_t pinned = pages_bytes(addr, len), limit = fabric->net.memlock_bytes;
    uint64_t before = pinned_by_side(fabric);
    if (limit && before + pinned > limit)
        return pr_error(ENOMEM, "memlock limit is %llu bytes, %llu are pinned and %llu more needed",
                        (unsigned long long)limit, (unsigned long long)before,
                        (unsigned long long)pinned);
    struct sim_mr *mr = calloc(1, sizeof(*mr));
    if (!mr)
        abort();
    mr->slot = window_slot(fabric);
    mr->access = access;
    mr->pinned_bytes = pinned;
    mr->mr.fabric = base;
    mr->mr.addr = addr;
    mr->mr.key.addr = (uintptr_t)addr;
    mr->mr.key.len = len;
    mr->mr.key.rkey = (world_random(world) & ~(uint64_t)UINT32_MAX) | mr->slot;
    fabric->windows[mr->slot] = mr;
    fabric->window_count++;
    fabric->pinned_bytes += pinned;
    if (before + pinned > fabric->network->counts.pinned_bytes_most)
        fabric->network->counts.pinned_bytes_most = before + pinned;
    *out = &mr->mr;
    return 0;
}

/* It is only advice, so any answer must do, whatever the memory holds. */
bool sim_reg_pays(struct pr_fabric *base, const void *addr, uint64_t len)
{
    (void)addr, (void)len;
    return world_random_below(fabric_of(base)->network->world, 3);
}

static bool posted_uses(const struct end *end, const struct sim_mr *mr)
{
    const struct op *op;
    TAILQ_FOREACH(op, &end->posted, link)
    if (op->mr == mr)
        return true;
    return false;
}

/* What has arrived for the window is placed; what comes later finds no window and is refused. */
void sim_dereg(struct pr_mr *base)
{
    struct sim_mr *mr = (struct sim_mr *)base;
    struct sim_fabric *fabric = fabric_of(base->fabric);
    world_sleep_ns(fabric->network->world, fabric->net.reg_ns / 2);
    struct end *end;
    LIST_FOREACH(end, &fabric->ends, link)
    {
        sim_wire_place_window(end->in, mr);
        if (posted_uses(end, mr) || sim_wire_uses(end->out, mr))
            sim_end_fail(end, -EFAULT,
                         "a window was deregistered while a transfer from it was not complete");
    }
    fabric->windows[mr->slot] = NULL;
    fabric->window_count--;
    fabric->pinned_bytes -= mr->pinned_bytes;
    free(mr);
}
