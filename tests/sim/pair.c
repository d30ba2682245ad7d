/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/pair.h"

#include "base/error.h"
#include "base/runtime.h"

#include <stdlib.h>
#include <string.h>

/* Nobody is left waiting for a side that was killed. */
#define PATIENCE_MS 100000

static void open_side(struct world *world, struct pair *pair, unsigned side)
{
    unsigned access = PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ;
    world_check(world, pr_fabric_sim_open(world, &pair->net, &pair->fabric[side]) == 0);
    world_check(world, pr_fabric_reg(pair->fabric[side], pair->bytes[side], PAIR_BYTES, access,
                                     &pair->mr[side]) == 0);
}

static void close_side(struct pair *pair, unsigned side)
{
    pr_event_raise(&pair->done[side]);
    if (!pair->ends_alone)
        pr_event_wait(&pair->done[!side], pr_deadline_after_ms(PATIENCE_MS));
    for (unsigned i = 0; i < pair->lane_count; i++)
        pr_lane_close(pair->lanes[side][i]);
    pr_fabric_dereg(pair->mr[side]);
    if (side == DST)
        pr_listener_close(pair->listener);
    pr_fabric_close(pair->fabric[side]);
}

static bool connect_all(struct pair *pair)
{
    if (!pr_event_wait(&pair->up, pr_deadline_after_ms(PATIENCE_MS)))
        return false;
    for (unsigned i = 0; i < pair->lane_count; i++)
        if (pr_fabric_connect(pair->fabric[SRC], "dst", NULL, 0, PATIENCE_MS, NULL,
                              &pair->lanes[SRC][i]) < 0)
            return false;
    pr_event_raise(&pair->connected);
    return true;
}

static bool accept_all(struct pair *pair)
{
    pr_event_raise(&pair->up);
    for (unsigned i = 0; i < pair->lane_count; i++)
        if (pr_listener_accept(pair->listener, PATIENCE_MS, NULL, NULL, NULL,
                               &pair->lanes[DST][i]) < 0)
            return false;
    return pr_event_wait(&pair->connected, pr_deadline_after_ms(PATIENCE_MS));
}

static void src_main(struct world *world, void *arg)
{
    struct pair *pair = arg;
    open_side(world, pair, SRC);
    bool connected = connect_all(pair);
    world_check(world, connected || world_killed(world, DST));
    if (connected && pair->run[SRC])
        pair->run[SRC](world, pair);
    close_side(pair, SRC);
}

static void dst_main(struct world *world, void *arg)
{
    struct pair *pair = arg;
    open_side(world, pair, DST);
    world_check(world, pr_fabric_listen(pair->fabric[DST], "dst", &pair->listener) == 0);
    bool connected = accept_all(pair);
    world_check(world, connected || world_killed(world, SRC));
    if (connected && pair->run[DST])
        pair->run[DST](world, pair);
    close_side(pair, DST);
}

static void for_all_events(struct pair *pair, void (*fn)(struct pr_event *))
{
    fn(&pair->up);
    fn(&pair->connected);
    fn(&pair->done[0]);
    fn(&pair->done[1]);
}

static void open_event(struct pr_event *event)
{
    if (pr_event_open(event) < 0)
        abort();
}

bool pair_run(struct pair *pair, uint64_t seed, world_fn begin, struct world_verdict *out)
{
    struct world_side sides[] = {{"src", src_main, pair}, {"dst", dst_main, pair}};
    struct world_scenario scenario = {
        .seed = seed, .sides = sides, .side_count = 2, .begin = begin, .arg = pair};
    for (unsigned i = 0; i < 2; i++) {
        pair->bytes[i] = aligned_alloc(4096, PAIR_BYTES);
        if (!pair->bytes[i])
            abort();
        memset(pair->bytes[i], 0, PAIR_BYTES);
    }
    for_all_events(pair, open_event);
    bool ok = world_run_forked(&scenario, out);
    for_all_events(pair, pr_event_close);
    free(pair->bytes[0]);
    free(pair->bytes[1]);
    return ok;
}

struct pr_rma pair_rma(struct pair *pair, uint64_t from, uint64_t len, uint64_t tag, bool signaled)
{
    return (struct pr_rma){.local = pair->bytes[SRC] + from,
                           .mr = pair->mr[SRC],
                           .remote = pair->mr[DST]->key.addr + from,
                           .key = &pair->mr[DST]->key,
                           .len = len,
                           .tag = tag,
                           .signaled = signaled};
}

int pair_wait(struct pr_lane *lane, struct pr_completion *out)
{
    for (;;) {
        int count = pr_lane_poll(lane, out, 1);
        if (count)
            return count;
        int there = pr_lane_arm(lane);
        struct pollfd fd = {.fd = pr_lane_fd(lane), .events = POLLIN};
        if (!there)
            pr_poll(&fd, 1, -1);
    }
}

int pair_wait_failure(struct pr_lane *lane, unsigned *completions)
{
    struct pr_completion completion;
    int err;
    *completions = 0;
    while ((err = pair_wait(lane, &completion)) > 0) {
        ++*completions;
        if (completion.op == PR_OP_RECV)
            pr_lane_recv_done(lane, completion.bytes);
    }
    return err;
}

struct pr_completion pair_expect(struct world *world, struct pr_lane *lane, enum pr_op op)
{
    struct pr_completion completion = {.op = op};
    int err = pair_wait(lane, &completion);
    if (err < 0)
        world_fail(world, "wanted op %d, got an error: %s", (int)op, pr_error_message());
    else if (completion.op != op)
        world_fail(world, "wanted op %d, got op %d", (int)op, (int)completion.op);
    return completion;
}

void pair_write(struct world *world, struct pair *pair, unsigned lane, uint64_t from, uint64_t len)
{
    struct pr_rma rma = pair_rma(pair, from, len, from, true);
    world_check(world, pr_lane_post_write(pair->lanes[SRC][lane], &rma) == 0);
    world_check(world, pr_lane_flush(pair->lanes[SRC][lane]) == 0);
}

void pair_send(struct world *world, struct pr_lane *lane, const char *text)
{
    uint32_t len = (uint32_t)strlen(text) + 1;
    world_check(world, pr_lane_post_send(lane, text, len, 0, false) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
}
