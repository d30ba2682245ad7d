/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbered invariants of docs/architecture.md. Each test breaks one on purpose, by arming the
 * named fault point that stands in the library's code, and must see the damage under some seed, and
 * none under the same seed without the fault. Needs -Dfaults=true. Invariant 2 is in test_epochs.c:
 * it takes a VMM that does not wait between its rounds.
 */
#include "tests/sim/move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/check.h"
#include "tests/unit/seed.h"

#define SEEDS 60

static uint64_t base_seed;

static void need_faults(void)
{
#ifndef PR_FAULTS
    print_message("skipped: this build has no fault points (configure with -Dfaults=true)\n");
    skip();
#endif
}

/* Some seed must show the damage, in words that contain `words`. */
static void assert_noticed(struct move move, const char *fault, const char *words)
{
    need_faults();
    move.faults = fault;
    struct world_verdict verdict = {.ok = true};
    for (unsigned i = 0; i < SEEDS; i++) {
        move_run(&move, base_seed + i, &verdict);
        if (verdict.ok || !strstr(verdict.text, words))
            continue;
        move.faults = NULL;
        move_run(&move, base_seed + i, &verdict);
        assert_run_ok(&verdict);
        return;
    }
    print_message("%u seeds did not show '%s' with %s armed; the last: %s\n", SEEDS, words, fault,
                  verdict.ok ? "nothing wrong" : verdict.text);
    fail();
}

/* A network whose lanes run far apart, and a guest that writes faster than usual. */
static struct move loose_network(void)
{
    struct move move = move_typical();
    move.net.jitter_ns = 200000;
    move.net.placement_ns = 200000;
    move.net.lazy_percent = 50;
    return move;
}

/* 1, read after clear: the log of what was written while the pages were read is thrown away. */
static void clearing_after_reading_loses_writes(void **state)
{
    (void)state;
    assert_noticed(move_typical(), "dirty.clear_late", "is wrong at byte");
}

/* 3, the fence: the destination loads device state without waiting for the epoch. */
static void no_fence_loads_too_early(void **state)
{
    (void)state;
    assert_noticed(loose_network(), "fence.skip", "is wrong at byte");
}

/* 3 again: it takes one lane's word for all, of which the other is far behind. */
static void one_lane_does_not_speak_for_all(void **state)
{
    (void)state;
    struct move move = loose_network();
    move.options.lanes = 2;
    move.net.jitter_ns = move.net.placement_ns = 10000000;
    assert_noticed(move, "fence.first_lane", "is wrong at byte");
}

/* 4, zero runs: a page that was sent and became zero is not named. */
static void forgotten_zero_pages_show(void **state)
{
    (void)state;
    assert_noticed(move_typical(), "zero.forget", "is wrong at byte");
}

/* Strikes at moment after moment of the later part of a run until the damage shows. */
static void assert_noticed_when_struck(const char *fault, enum move_blow blow, const char *words)
{
    need_faults();
    struct world_verdict whole, verdict = {.ok = true};
    struct move move = move_typical();
    move_run(&move, base_seed, &whole);
    assert_run_ok(&whole);
    move.faults = fault;
    move.blow = blow;
    uint64_t steps = whole.values[MOVE_VALUE_STEPS];
    for (uint64_t step = steps / 4; step < steps; step += steps / 400 + 1) {
        move.blow_step = step;
        move_run(&move, base_seed, &verdict);
        if (!verdict.ok && strstr(verdict.text, words))
            return;
    }
    fail_msg("no moment showed '%s' with %s armed", words, fault);
}

/* 5, exactly one side runs: the destination runs a guest that was not released to it. */
static void running_unreleased_is_running_twice(void **state)
{
    (void)state;
    assert_noticed_when_struck("handover.run_unreleased", MOVE_CUT, "runs on both sides");
}

/* 5 again: the source takes back what it has released. */
static void resuming_a_released_guest_is_running_twice(void **state)
{
    (void)state;
    assert_noticed_when_struck("abort.resume_released", MOVE_CUT, "both sides");
}

/* 6, keys end with the session: the destination keeps its registrations. The simulated fabric holds
 * every window against the side that made it. */
static void keys_that_outlive_the_session_show(void **state)
{
    (void)state;
    assert_noticed(move_typical(), "keys.keep", "window");
}

/* 7, a failure before the switchover leaves the guest running: it is not resumed. */
static void a_guest_that_is_not_resumed_shows(void **state)
{
    (void)state;
    assert_noticed_when_struck("abort.skip_resume", MOVE_KILL_DESTINATION,
                               "has the guest and does not run it");
}

/* 8, bytes count when they complete: they are counted when posted. */
static void bytes_counted_when_posted_show(void **state)
{
    (void)state;
    struct move move = move_typical();
    move.net.latency_ns = 60000000; /* progress is told every 100 ms: some in flight then */
    move.net.path_Bps = 20000000;
    assert_noticed(move, "sender.count_posted", "counted as sent");
}

int main(void)
{
    struct seeded random = seeded_start();
    base_seed = seeded_next(&random);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clearing_after_reading_loses_writes),
        cmocka_unit_test(no_fence_loads_too_early),
        cmocka_unit_test(one_lane_does_not_speak_for_all),
        cmocka_unit_test(forgotten_zero_pages_show),
        cmocka_unit_test(running_unreleased_is_running_twice),
        cmocka_unit_test(resuming_a_released_guest_is_running_twice),
        cmocka_unit_test(keys_that_outlive_the_session_show),
        cmocka_unit_test(a_guest_that_is_not_resumed_shows),
        cmocka_unit_test(bytes_counted_when_posted_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
