/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMM with a loop of its own that hands over the next epoch without waiting for the last one, as
 * QEMU's does: the same few pages again and again, now with data and now all zero, by whichever
 * lane. What arrives must be the last that was written. Invariants 2 and 4 of docs/architecture.md,
 * broken on purpose by epoch.skip_wait: then a page overtakes itself on another lane, and a zero
 * range wipes what came after it.
 */
#include "base/fault.h"
#include "tests/sim/fabric.h"
#include "transport/uri.h"

#include <pagerail/transport.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/check.h"
#include "tests/unit/seed.h"

#define PAGE 4096
#define PAGES 8
#define EPOCHS 12
#define SEEDS 40
#define SEEDS_UNTIL_WRONG 400

/* As world_check, for calls of the library: with their sentence. */
#define must(world, call)                                                                          \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            world_fail(world, "%s: %s", #call, pagerail_error_message());                          \
    } while (0)

static uint64_t base_seed;

struct flood {
    struct sim_net net;
    bool zeroes; /* every second version of a page is all zero */
    const char *faults;
    struct world *world;
    uint8_t *memory[2];
    bool listening;
};

static struct pagerail_region region_of(struct flood *flood, unsigned side)
{
    return (struct pagerail_region){.name = "ram",
                                    .addr = flood->memory[side],
                                    .len_bytes = PAGES * PAGE,
                                    .page_bytes = PAGE,
                                    .flags = side ? PAGERAIL_REGION_FRESH : 0};
}

/* Never zero by chance, and different for each version. */
static uint8_t value_of(const struct flood *flood, unsigned page, unsigned version)
{
    return flood->zeroes && (page + version) % 2 ? 0 : (uint8_t)(1 + version);
}

static void source_main(struct world *world, void *arg)
{
    struct flood *flood = arg;
    struct pagerail_options options = {.size = sizeof(options), .lanes = 4};
    struct pagerail_region region = region_of(flood, 0);
    pagerail_source *source;
    must(world, pagerail_source_new(&options, &source));
    while (!flood->listening)
        world_sleep_ns(world, 10000);
    must(world, pagerail_source_connect(source, "sim:here", &region, 1));
    uint64_t epoch = 0;
    for (unsigned version = 0; version < EPOCHS; version++) {
        /* The bytes of an epoch may be read until it is acknowledged: each version is written over
         * the last only when the destination may see either. What counts is the final one. */
        for (unsigned page = 0; page < PAGES; page++)
            memset(flood->memory[0] + page * PAGE, value_of(flood, page, version), PAGE);
        /* From another page each time, or each page would happen to find the same lane again. */
        unsigned first = (unsigned)world_random_below(world, PAGES);
        for (unsigned i = 0; i < PAGES; i++)
            must(world, pagerail_source_push(source, 0, (first + i) % PAGES * PAGE, PAGE));
        must(world, pagerail_source_epoch_end(source, &epoch));
        world_sleep_ns(world, world_random_below(world, 3000));
    }
    must(world, pagerail_source_fence(source, &epoch));
    must(world, pagerail_source_write_end(source));
    must(world, pagerail_source_wait_ready(source, -1));
    must(world, pagerail_source_release(source));
    must(world, pagerail_source_wait_running(source, -1, NULL));
    pagerail_source_free(source);
}

static void check_memory(struct flood *flood)
{
    for (unsigned i = 0; i < PAGES * PAGE; i++) {
        uint8_t expected = value_of(flood, i / PAGE, EPOCHS - 1);
        if (flood->memory[1][i] != expected)
            world_fail(flood->world, "page %u holds %u instead of %u", i / PAGE,
                       flood->memory[1][i], expected);
    }
}

static void destination_main(struct world *world, void *arg)
{
    struct flood *flood = arg;
    struct pagerail_region region = region_of(flood, 1);
    pagerail_destination *destination;
    must(world, pagerail_destination_new(NULL, &destination));
    must(world, pagerail_destination_listen(destination, "sim:here"));
    flood->listening = true;
    must(world, pagerail_destination_accept(destination, &region, 1, -1));
    must(world, pagerail_destination_fence(destination));
    check_memory(flood);
    must(world, pagerail_destination_ready(destination));
    check_memory(flood);
    must(world, pagerail_destination_running(destination));
    pagerail_destination_free(destination);
}

static int open_fabric(void *opaque, struct pr_fabric **out)
{
    struct flood *flood = opaque;
    return pr_fabric_sim_open(flood->world, &flood->net, out);
}

static void begin(struct world *world, void *arg)
{
    struct flood *flood = arg;
    flood->world = world;
    for (int i = 0; i < 2; i++) {
        flood->memory[i] = aligned_alloc(PAGE, PAGES * PAGE);
        memset(flood->memory[i], 0, PAGES * PAGE);
    }
    pr_uri_override("sim", open_fabric, flood);
#ifdef PR_FAULTS
    if (pr_fault_arm(flood->faults))
        world_fail(world, "cannot arm %s", flood->faults);
#endif
}

static void end(struct world *world, void *arg)
{
    (void)world;
    struct flood *flood = arg;
    free(flood->memory[0]);
    free(flood->memory[1]);
}

static bool run(struct flood *flood, uint64_t seed, struct world_verdict *verdict)
{
    const struct world_side sides[] = {{"source", source_main, flood},
                                       {"destination", destination_main, flood}};
    const struct world_scenario scenario = {
        .seed = seed, .sides = sides, .side_count = 2, .begin = begin, .end = end, .arg = flood};
    return world_run_forked(&scenario, verdict);
}

static struct flood flood_over_loose_lanes(bool zeroes)
{
    struct flood flood = {.net = sim_net_typical(), .zeroes = zeroes};
    flood.net.jitter_ns = 40000; /* ten epochs or so are under way at once */
    flood.net.placement_ns = 200000;
    return flood;
}

static void all_seeds_arrive_right(bool zeroes)
{
    for (unsigned i = 0; i < SEEDS; i++) {
        struct flood flood = flood_over_loose_lanes(zeroes);
        struct world_verdict verdict;
        run(&flood, base_seed + i, &verdict);
        assert_run_ok(&verdict);
    }
}

static void some_seed_shows(bool zeroes, const char *faults, const char *words)
{
#ifndef PR_FAULTS
    print_message("skipped: this build has no fault points (configure with -Dfaults=true)\n");
    skip();
#endif
    struct world_verdict verdict = {.ok = true};
    for (unsigned i = 0; i < SEEDS_UNTIL_WRONG; i++) {
        struct flood flood = flood_over_loose_lanes(zeroes);
        flood.faults = faults;
        run(&flood, base_seed + i, &verdict);
        if (!verdict.ok && strstr(verdict.text, words))
            return;
    }
    fail_msg("no run showed '%s'; the last: %s", words, verdict.ok ? "right" : verdict.text);
}

static void the_last_data_arrives(void **state)
{
    (void)state;
    all_seeds_arrive_right(false);
}

static void the_last_of_data_and_zero_arrives(void **state)
{
    (void)state;
    all_seeds_arrive_right(true);
}

static void the_destination_notices_a_lane_that_runs_ahead(void **state)
{
    (void)state;
    some_seed_shows(false, "epoch.skip_wait", "ended epochs out of order");
}

static void without_waiting_data_is_overtaken(void **state)
{
    (void)state;
    some_seed_shows(false, "epoch.skip_wait,epoch.trust", "instead of");
}

static void without_waiting_zero_ranges_are_overtaken(void **state)
{
    (void)state;
    some_seed_shows(true, "epoch.skip_wait,epoch.trust", "instead of");
}

int main(void)
{
    struct seeded random = seeded_start();
    base_seed = seeded_next(&random);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_data_arrives),
        cmocka_unit_test(the_last_of_data_and_zero_arrives),
        cmocka_unit_test(the_destination_notices_a_lane_that_runs_ahead),
        cmocka_unit_test(without_waiting_data_is_overtaken),
        cmocka_unit_test(without_waiting_zero_ranges_are_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
