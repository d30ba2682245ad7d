/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every kind of blow at many moments of a migration, from the first step to the last: what must
 * hold whatever happens is in move.h. The moments of one kind are spread evenly over the run, and
 * each kind draws its own seed.
 */
#include "tests/sim/move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/check.h"
#include "tests/unit/seed.h"

#define MOMENTS 60 /* of each of seven kinds: 420 */

static struct seeded numbers;

static void strike_everywhere(struct move move, enum move_blow blow)
{
    uint64_t seed = seeded_next(&numbers);
    struct world_verdict whole, verdict;
    move_run(&move, seed, &whole);
    assert_run_ok(&whole);
    uint64_t steps = whole.values[MOVE_VALUE_STEPS];
    unsigned ends[PAGERAIL_PHASE_FAILED + 1] = {0};
    move.blow = blow;
    for (unsigned i = 0; i < MOMENTS; i++) {
        move.blow_step = 1 + (steps - 1) * i / MOMENTS + seeded_below(&numbers, steps / MOMENTS);
        move_run(&move, seed, &verdict);
        if (!verdict.ok)
            print_message("%s at step %llu of %llu:\n", move_blow_name(blow),
                          (unsigned long long)move.blow_step, (unsigned long long)steps);
        assert_run_ok(&verdict);
        ends[verdict.values[MOVE_VALUE_PHASE]]++;
    }
    print_message("%s at %d moments: the source completed %u, cancelled %u, failed %u\n",
                  move_blow_name(blow), MOMENTS, ends[PAGERAIL_PHASE_COMPLETED],
                  ends[PAGERAIL_PHASE_CANCELLED], ends[PAGERAIL_PHASE_FAILED]);
}

static void kill_source(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_KILL_SOURCE);
}

static void kill_destination(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_KILL_DESTINATION);
}

static void freeze_source(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_FREEZE_SOURCE);
}

static void freeze_destination(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_FREEZE_DESTINATION);
}

static void cut(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_CUT);
}

static void cancel_at_the_source(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_CANCEL_SOURCE);
}

static void cancel_at_the_destination(void **state)
{
    (void)state;
    strike_everywhere(move_typical(), MOVE_CANCEL_DESTINATION);
}

int main(void)
{
    numbers = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_source),
        cmocka_unit_test(kill_destination),
        cmocka_unit_test(freeze_source),
        cmocka_unit_test(freeze_destination),
        cmocka_unit_test(cut),
        cmocka_unit_test(cancel_at_the_source),
        cmocka_unit_test(cancel_at_the_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
