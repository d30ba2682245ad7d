/* SPDX-License-Identifier: BSD-2-Clause */
/* What the progress callback is told, and the figures of rounds. */
#include "tests/unit/fake_vmm.h"
#include "tests/unit/mock_destination.h"

#include "base/runtime.h"
#include "migrate/migration.h"
#include "tests/unit/check.h"

#include <errno.h>

#define TOTAL (FAKE_PAGES * UINT64_C(4096))

static const struct pagerail_options usual = {.size = sizeof(usual),
                                              .lanes = MOCK_LANES,
                                              .window_bytes = 64 << 10,
                                              .silence_timeout_ms = 60000};

static void every_phase_is_told_once_in_order(void **state)
{
    (void)state;
    static const enum pagerail_phase wanted[] = {
        PAGERAIL_PHASE_CONNECTING, PAGERAIL_PHASE_PRECOPY,  PAGERAIL_PHASE_PRECOPY, /* round 1 */
        PAGERAIL_PHASE_SWITCHOVER, PAGERAIL_PHASE_HANDOVER, PAGERAIL_PHASE_COMPLETED};
    struct mock_destination d;
    struct fake_vmm vmm;
    pagerail_migration *m;
    mock_destination_open(&d);
    fake_vmm_open(&vmm, d.memory);
    assert_int_equal(pagerail_migration_new(&vmm.vmm, &usual, &m), 0);
    assert_int_equal(pagerail_migration_send(m, "mock:x"), 0);
    unsigned next = 0;
    for (unsigned i = 0; i < vmm.told_count; i++) {
        const struct pagerail_progress *p = &vmm.told[i];
        assert_int_equal(p->total_bytes, TOTAL);
        if (next < COUNT_OF(wanted) && p->phase == wanted[next])
            next++;
        else /* a slow machine hears more often */
            assert_int_equal(p->phase, wanted[next - 1]);
    }
    assert_int_equal(next, COUNT_OF(wanted));
    /* Before the first round nothing is known. */
    assert_true(vmm.told[1].predicted_downtime_ns == UINT64_MAX);
    assert_int_equal(vmm.told[1].bandwidth_Bps, 0);
    assert_true(vmm.told[1].eta_ns == UINT64_MAX);
    assert_int_equal(vmm.told[2].round, 1);
    assert_int_equal(vmm.told[2].round_bytes, TOTAL);
    assert_int_equal(vmm.told[2].remaining_bytes, TOTAL);
    const struct pagerail_progress *last = &vmm.told[vmm.told_count - 1];
    assert_int_equal(last->remaining_bytes, 0);
    assert_int_equal(last->stats.bytes_sent, TOTAL);
    assert_true(last->bandwidth_Bps > 0);
    pagerail_migration_free(m);
    mock_destination_close(&d);
}

static unsigned epochs_held;

/* The last page of the first round completes when the VMM has been told how far it is. */
static bool hold_an_epoch(struct mock_destination *d, struct mock_lane *lane,
                          enum pr_wire_type type)
{
    (void)d;
    if (type == PR_WIRE_EPOCH_END && lane->number == 1 && !epochs_held++)
        pr_sleep_ms(3 * PR_PROGRESS_MS);
    return false;
}

static void a_long_round_is_told_while_it_lasts(void **state)
{
    (void)state;
    struct mock_destination d;
    struct fake_vmm vmm;
    pagerail_migration *m;
    struct pagerail_round round;
    epochs_held = 0;
    mock_destination_open(&d);
    d.hook = hold_an_epoch;
    fake_vmm_open(&vmm, d.memory);
    assert_int_equal(pagerail_migration_new(&vmm.vmm, &usual, &m), 0);
    assert_int_equal(pagerail_migration_send(m, "mock:x"), 0);
    unsigned in_the_round = 0;
    for (unsigned i = 0; i < vmm.told_count; i++) {
        const struct pagerail_progress *p = &vmm.told[i];
        if (p->phase != PAGERAIL_PHASE_PRECOPY || !p->stats.bytes_sent)
            continue;
        in_the_round++;
        assert_int_equal(p->round_bytes, TOTAL);
        assert_int_equal(p->remaining_bytes + p->stats.bytes_sent, TOTAL);
        assert_true(p->bandwidth_Bps > 0); /* from what is done so far */
    }
    assert_true(in_the_round >= 1);
    assert_int_equal(pagerail_migration_round(m, 0, &round), 0);
    assert_int_equal(round.bytes, TOTAL);
    assert_int_equal(round.pages, FAKE_PAGES);
    assert_int_equal(round.zero_pages, 0);
    assert_true(round.duration_ns >= 300000000);
    assert_true(round.bandwidth_Bps <= TOTAL * 10 / 3);
    pagerail_migration_free(m);
    mock_destination_close(&d);
}

/* Time passes between two looks at the log, in rounds and between them: the rate is over all of it.
 */
static void pause_in_throttle(struct fake_vmm *vmm, char call)
{
    (void)vmm;
    if (call == 't')
        pr_sleep_ms(200);
}

static bool slow_epochs(struct mock_destination *d, struct mock_lane *lane, enum pr_wire_type type)
{
    (void)d;
    if (type == PR_WIRE_EPOCH_END && lane->number == 1)
        pr_sleep_ms(10);
    return false;
}

static void the_dirty_rate_is_from_read_to_read(void **state)
{
    (void)state;
    struct mock_destination d;
    struct fake_vmm vmm;
    pagerail_migration *m;
    struct pagerail_options options = usual;
    struct pagerail_round round;
    options.downtime_budget_ms = 1;
    options.max_throttle_percent = 20; /* one step */
    mock_destination_open(&d);
    d.hook = slow_epochs;
    fake_vmm_open(&vmm, d.memory);
    vmm.dirty_pages = FAKE_PAGES;
    vmm.on_call = pause_in_throttle;
    assert_int_equal(pagerail_migration_new(&vmm.vmm, &options, &m), 0);
    assert_int_equal(pagerail_migration_send(m, "mock:x"), -EBUSY);
    assert_int_equal(pagerail_migration_round(m, 2, &round), 0); /* after the pause */
    assert_int_equal(round.throttle_percent, 20);
    assert_true(round.dirty_rate_Bps <= TOTAL * 5);
    assert_true(round.bandwidth_Bps > 0);
    pagerail_migration_free(m);
    mock_destination_close(&d);
}

static void a_failed_migration_ends_with_its_last_figures(void **state)
{
    (void)state;
    struct mock_destination d;
    struct fake_vmm vmm;
    pagerail_migration *m;
    struct pagerail_outcome outcome;
    mock_destination_open(&d);
    fake_vmm_open(&vmm, d.memory);
    vmm.fails = "V";
    assert_int_equal(pagerail_migration_new(&vmm.vmm, &usual, &m), 0);
    assert_int_equal(pagerail_migration_send(m, "mock:x"), -EIO);
    const struct pagerail_progress *last = &vmm.told[vmm.told_count - 1];
    assert_int_equal(last->phase, PAGERAIL_PHASE_FAILED);
    pagerail_migration_outcome(m, &outcome);
    assert_int_equal(outcome.reached, PAGERAIL_PHASE_SWITCHOVER);
    assert_int_equal(outcome.stats.bytes_sent, TOTAL);
    assert_int_equal(outcome.stats.lanes, MOCK_LANES);
    assert_string_equal(outcome.stats.fabric, "mock");
    assert_true(outcome.total_ns > 0);
    pagerail_migration_free(m);
    mock_destination_close(&d);
}

static void phases_have_names(void **state)
{
    (void)state;
    assert_string_equal(pagerail_phase_name(PAGERAIL_PHASE_IDLE), "idle");
    assert_string_equal(pagerail_phase_name(PAGERAIL_PHASE_FAILED), "failed");
    assert_string_equal(pagerail_phase_name((enum pagerail_phase)99), "unknown");
    assert_string_equal(pagerail_phase_name((enum pagerail_phase) - 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_phase_is_told_once_in_order),
        cmocka_unit_test(a_long_round_is_told_while_it_lasts),
        cmocka_unit_test(the_dirty_rate_is_from_read_to_read),
        cmocka_unit_test(a_failed_migration_ends_with_its_last_figures),
        cmocka_unit_test(phases_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
