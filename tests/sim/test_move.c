/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole migrations in the simulator, under many seeds, networks and settings: every byte arrives
 * and the guest goes on at the destination. */
#include "tests/sim/move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/check.h"
#include "tests/unit/seed.h"

static uint64_t base_seed;

static void run_seeds(struct move move, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct world_verdict verdict;
        move.must_complete = true;
        move_run(&move, base_seed + i, &verdict);
        assert_run_ok(&verdict);
        assert_int_equal(verdict.values[MOVE_VALUE_PHASE], PAGERAIL_PHASE_COMPLETED);
        assert_true(verdict.values[MOVE_VALUE_ROUNDS] >= 1);
    }
}

static void typical_network(void **state)
{
    (void)state;
    run_seeds(move_typical(), 40);
}

static void any_network(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.draw_net = true;
    move.options.on_stall = PAGERAIL_STALL_FORCE; /* some are too slow for this guest */
    run_seeds(move, 40);
}

static void destination_memory_that_is_not_zero(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.fresh = false;
    run_seeds(move, 30);
}

/* Four windows fit, the guest has ten: they come and go all the time. */
static void tight_pin_budget(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.options.pin_budget_bytes = 256 << 10;
    move.net.memlock_bytes = 256 << 10;
    run_seeds(move, 30);
}

static void one_lane(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.options.lanes = 1;
    run_seeds(move, 20);
}

static void many_lanes(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.options.lanes = 16;
    run_seeds(move, 20);
}

/* Where only so much of a lane is under way at once, the path decides how many there are: here and
 * there, near and far, on fast lines and slow ones. */
static void lanes_by_the_path(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        struct move move = move_typical();
        move.options.lanes = 0;
        move.options.on_stall = PAGERAIL_STALL_FORCE;
        move.net.latency_ns = i % 2 ? 20000000 : 3000;
        move.net.lane_Bps = i % 3 ? 125000000 : 12500000000;
        move.net.limits.rate_Bps = i % 4 == 3 ? 0 : move.net.lane_Bps;
        move.net.limits.lane_flight_bytes = UINT64_C(8192) << i % 5;
        run_seeds(move, 1);
    }
}

static void same_seed_same_run(void **state)
{
    (void)state;
    struct move move = move_typical();
    struct world_verdict a, b;
    move_run(&move, base_seed, &a);
    move_run(&move, base_seed, &b);
    assert_run_ok(&a);
    assert_true(a.hash == b.hash);
}

int main(void)
{
    struct seeded random = seeded_start();
    base_seed = seeded_next(&random);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typical_network),
        cmocka_unit_test(any_network),
        cmocka_unit_test(destination_memory_that_is_not_zero),
        cmocka_unit_test(tight_pin_budget),
        cmocka_unit_test(one_lane),
        cmocka_unit_test(many_lanes),
        cmocka_unit_test(lanes_by_the_path),
        cmocka_unit_test(same_seed_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
