/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A migration's callbacks at the source: in which order they come, and what is undone when one of
 * them, or the destination, fails. The destination is a mock.
 */
#include "tests/unit/fake_vmm.h"
#include "tests/unit/mock_destination.h"

#include "base/runtime.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

static struct pagerail_options usual = {.size = sizeof(usual),
                                        .lanes = MOCK_LANES,
                                        .window_bytes = 64 << 10,
                                        .connect_timeout_ms = 2000,
                                        .silence_timeout_ms = 60000};

struct run {
    struct mock_destination d;
    struct fake_vmm vmm;
    struct pagerail_options options;
    pagerail_migration *migration;
    struct pagerail_outcome outcome;
};

static void open_run(struct run *run)
{
    mock_destination_open(&run->d);
    fake_vmm_open(&run->vmm, run->d.memory);
    run->vmm.test = run;
    run->options = usual;
}

static int go(struct run *run)
{
    assert_int_equal(pagerail_migration_new(&run->vmm.vmm, &run->options, &run->migration), 0);
    int err = pagerail_migration_send(run->migration, "mock:x");
    pagerail_migration_outcome(run->migration, &run->outcome);
    assert_int_equal(run->outcome.error, err);
    return err;
}

static void close_run(struct run *run)
{
    pagerail_migration_free(run->migration);
    mock_destination_close(&run->d);
}

static void a_migration_calls_in_this_order(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    run.vmm.state_bytes = 8192;
    assert_int_equal(go(&run), 0);
    /* One round, a look at the log, the last look, and the log ends when the guest runs there. */
    assert_string_equal(run.vmm.calls, "SyPyVE");
    const struct pagerail_outcome *o = &run.outcome;
    assert_int_equal(o->phase, PAGERAIL_PHASE_COMPLETED);
    assert_int_equal(o->reached, PAGERAIL_PHASE_HANDOVER);
    assert_int_equal(o->guest_is_here, 0);
    assert_int_equal(o->rounds, 1);
    assert_int_equal(o->handover.load_ns, 5);
    assert_int_equal(o->handover.resume_ns, 7);
    assert_true(o->downtime.total_ns >= o->downtime.stop_ns + o->downtime.sync_ns +
                                            o->downtime.copy_ns + o->downtime.state_ns +
                                            o->downtime.resume_ns);
    assert_int_equal(mock_messages(run.d.control, PR_WIRE_RELEASE), 1);
    assert_int_equal(pagerail_migration_cancel(run.migration), -EALREADY);
    close_run(&run);
}

static void what_is_undone_when_a_callback_fails(void **state)
{
    (void)state;
    static const struct {
        const char *fails, *calls, *words;
    } rows[] = {
        /* nothing was begun */
        {"S", "S", "the VMM's dirty_start callback failed: Input/output error"},
        {"y", "SyE", "dirty_sync"},
        /* stop may have stopped half of the guest */
        {"P", "SyPRE", "stop"},
        {"V", "SyPyVRE", "save"},
        {"VR", "SyPyVRE",
         "the VMM's save callback failed: Input/output error; and the guest stands still: the "
         "VMM's resume callback failed"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        open_run(&run);
        run.vmm.fails = rows[i].fails;
        assert_int_equal(go(&run), -EIO);
        assert_string_equal(run.vmm.calls, rows[i].calls);
        assert_int_equal(run.outcome.phase, PAGERAIL_PHASE_FAILED);
        assert_int_equal(run.outcome.guest_is_here, 1);
        if (!strstr(run.outcome.message, rows[i].words))
            fail_msg("'%s' is not in '%s'", rows[i].words, run.outcome.message);
        assert_int_equal(mock_messages(run.d.control, PR_WIRE_ABORT), 1);
        assert_int_equal(mock_messages(run.d.control, PR_WIRE_RELEASE), 0);
        close_run(&run);
    }
}

/* All of memory is dirty again after each round, and the budget is a millisecond. */
static void open_stalling(struct run *run)
{
    open_run(run);
    run->vmm.dirty_pages = FAKE_PAGES;
    run->options.downtime_budget_ms = 1;
}

/* Holds each round up, so that the link is slow. */
static bool slow_epochs(struct mock_destination *d, struct mock_lane *lane, enum pr_wire_type type)
{
    (void)d;
    if (type == PR_WIRE_EPOCH_END && lane->number == 1)
        pr_sleep_ms(10);
    return false;
}

/* How many rounds it takes until the rates speak against another one depends on the clock, so a row
 * of rounds counts as one here. The first is never followed by anything but another. */
static void assert_calls_squeezed(const char *calls, const char *expected)
{
    char squeezed[sizeof(((struct fake_vmm *)0)->calls)];
    size_t len = 0;
    for (; *calls; calls++) {
        if (*calls != 'y' || !len || squeezed[len - 1] != 'y')
            squeezed[len++] = *calls;
    }
    squeezed[len] = '\0';
    assert_string_equal(squeezed, expected);
}

static void a_guest_that_outruns_the_link_is_slowed_step_by_step(void **state)
{
    (void)state;
    struct run run;
    open_stalling(&run);
    run.d.hook = slow_epochs;
    assert_int_equal(go(&run), -EBUSY);
    /* Nobody is slowed after the first round. In the end the guest is at full speed again. */
    assert_calls_squeezed(run.vmm.calls, "Sytytytytyty0E");
    assert_memory_equal(run.vmm.calls, "Syy", 3);
    assert_int_equal(run.vmm.throttle_percent, 0);
    assert_int_equal(run.outcome.guest_is_here, 1);
    assert_non_null(strstr(run.outcome.message, "slowed by 90%"));
    struct pagerail_round round;
    assert_int_equal(pagerail_migration_round(run.migration, 1, &round), 0);
    assert_int_equal(round.throttle_percent, 0);
    assert_int_equal(round.dirty_bytes, FAKE_PAGES * 4096);
    assert_int_equal(round.bytes, FAKE_PAGES * 4096);
    assert_int_equal(pagerail_migration_round(run.migration, run.outcome.rounds - 1, &round), 0);
    assert_int_equal(round.throttle_percent, 90);
    assert_int_equal(pagerail_migration_round(run.migration, run.outcome.rounds, &round), -EINVAL);
    close_run(&run);
}

static void a_stalled_migration_may_be_forced(void **state)
{
    (void)state;
    struct run run;
    open_stalling(&run);
    run.d.hook = slow_epochs;
    run.options.on_stall = PAGERAIL_STALL_FORCE;
    run.vmm.ops.throttle = NULL;
    assert_int_equal(go(&run), 0);
    assert_calls_squeezed(run.vmm.calls, "SyPyVE");
    assert_memory_equal(run.vmm.calls, "Syy", 3);
    close_run(&run);
}

static void a_failing_throttle_is_taken_back(void **state)
{
    (void)state;
    struct run run;
    open_stalling(&run);
    run.d.hook = slow_epochs;
    run.vmm.fails = "t";
    assert_int_equal(go(&run), -EIO);
    assert_calls_squeezed(run.vmm.calls, "Syt0E");
    assert_memory_equal(run.vmm.calls, "Syy", 3);
    close_run(&run);
}

static void a_result_that_is_no_errno_is_an_error_all_the_same(void **state)
{
    (void)state;
    static const int64_t results[] = {INT64_MIN, -(INT64_C(1) << 32), -4096};
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct run run;
        open_run(&run);
        run.vmm.sync_result = results[i];
        assert_int_equal(go(&run), -EIO);
        assert_string_equal(run.vmm.calls, "SyE");
        close_run(&run);
    }
}

/* ---- cancelled, refused, given up ---- */

static char cancel_call;

static void cancel_at(struct fake_vmm *vmm, char call)
{
    struct run *run = vmm->test;
    if (call == cancel_call)
        pagerail_migration_cancel(run->migration);
}

static void a_cancel_in_a_callback_undoes_what_was_done(void **state)
{
    (void)state;
    static const struct {
        char at;
        const char *calls;
    } rows[] = {{'S', "SE"}, {'P', "SyPyRE"}, {'V', "SyPyVRE"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        open_run(&run);
        run.vmm.on_call = cancel_at;
        cancel_call = rows[i].at;
        run.vmm.state_bytes = 4096;
        assert_int_equal(go(&run), -ECANCELED);
        assert_string_equal(run.vmm.calls, rows[i].calls);
        assert_int_equal(run.outcome.phase, PAGERAIL_PHASE_CANCELLED);
        assert_int_equal(run.outcome.guest_is_here, 1);
        assert_string_equal(run.outcome.message, "cancelled");
        close_run(&run);
    }
}

static void a_cancel_before_the_start_counts(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &run.migration), 0);
    assert_int_equal(pagerail_migration_cancel(run.migration), 0);
    assert_int_equal(pagerail_migration_send(run.migration, "mock:x"), -ECANCELED);
    assert_string_equal(run.vmm.calls, "");
    close_run(&run);
}

/* The callback has an errno of its own for it, but the session knows better. */
static void a_save_that_met_a_failed_session_does_not_hide_why(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    run.d.hold_room = true; /* room for the fence's mark only */
    run.d.hold_ready = true;
    run.options.switchover_timeout_ms = 50;
    run.vmm.state_bytes = 4096;
    assert_int_equal(go(&run), -ETIMEDOUT);
    assert_int_equal(run.vmm.io_result, -ETIMEDOUT);
    assert_string_equal(run.vmm.calls, "SyPyVRE");
    assert_non_null(strstr(run.outcome.message, "raise switchover_timeout_ms"));
    close_run(&run);
}

static void a_destination_that_is_never_ready_does_not_keep_the_guest(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    run.d.hold_ready = true;
    run.options.switchover_timeout_ms = 50;
    assert_int_equal(go(&run), -ETIMEDOUT);
    assert_string_equal(run.vmm.calls, "SyPyVRE");
    assert_int_equal(run.outcome.guest_is_here, 1);
    close_run(&run);
}

static void a_guest_that_was_released_never_runs_here_again(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    run.d.hold_running = true;
    run.options.silence_timeout_ms = 300; /* it says nothing any more */
    assert_int_equal(go(&run), -ETIMEDOUT);
    assert_string_equal(run.vmm.calls, "SyPyVE");
    assert_int_equal(run.outcome.guest_is_here, 0);
    assert_int_equal(run.outcome.reached, PAGERAIL_PHASE_HANDOVER);
    close_run(&run);
}

/* ---- misuse ---- */

static void calls_in_the_wrong_order_are_refused(void **state)
{
    (void)state;
    struct run run;
    char byte;
    open_run(&run);
    pagerail_migration *m;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), 0);
    assert_int_equal(pagerail_migration_receive(m), -EINVAL);
    assert_int_equal(pagerail_migration_write(m, "x", 1), -EINVAL);
    assert_int_equal(pagerail_migration_read(m, &byte, 1), -EINVAL);
    assert_int_equal(pagerail_migration_report(m, "x", 1), -EINVAL);
    assert_int_equal(pagerail_migration_report_read(m, &byte, 1, 0), -EINVAL);
    assert_int_equal(pagerail_migration_round(m, 0, NULL), -EINVAL);
    pagerail_migration_free(m);
    assert_int_equal(go(&run), 0);
    assert_int_equal(pagerail_migration_send(run.migration, "mock:x"), -EINVAL);
    assert_int_equal(pagerail_migration_listen(run.migration, "mock:x"), -EINVAL);
    assert_int_equal(pagerail_migration_receive(run.migration), -EINVAL);
    pagerail_migration_free(NULL);
    close_run(&run);
}

static void a_vmm_without_what_is_needed_is_refused(void **state)
{
    (void)state;
    struct run run;
    open_run(&run);
    pagerail_migration *m;
    void *const slots[] = {&run.vmm.ops.dirty_start, &run.vmm.ops.dirty_sync,
                           &run.vmm.ops.dirty_stop,  &run.vmm.ops.stop,
                           &run.vmm.ops.resume,      &run.vmm.ops.save};
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        void *saved;
        memcpy(&saved, slots[i], sizeof(saved));
        memset(slots[i], 0, sizeof(saved));
        assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), 0);
        assert_int_equal(pagerail_migration_send(m, "mock:x"), -EINVAL);
        pagerail_migration_free(m);
        memcpy(slots[i], &saved, sizeof(saved));
    }
    run.vmm.ops.run = NULL;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), 0);
    assert_int_equal(pagerail_migration_listen(m, "mock:x"), -EINVAL);
    pagerail_migration_free(m);
    mock_destination_close(&run.d);
}

static void a_vmm_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct run run;
    pagerail_migration *m;
    open_run(&run);
    struct {
        struct pagerail_vmm_ops ops;
        void *later; /* of a newer header */
    } newer = {.ops = run.vmm.ops};
    newer.ops.size = sizeof(newer);
    run.vmm.vmm.ops = &newer.ops;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), 0);
    pagerail_migration_free(m);
    newer.later = &newer;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), -EINVAL);
    newer.later = NULL;
    newer.ops.size = 0;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), -EINVAL);
    run.vmm.vmm.ops = &run.vmm.ops;
    run.vmm.vmm.regions = NULL;
    assert_int_equal(pagerail_migration_new(&run.vmm.vmm, NULL, &m), -EINVAL);
    assert_int_equal(pagerail_migration_new(NULL, NULL, &m), -EINVAL);
    mock_destination_close(&run.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_calls_in_this_order),
        cmocka_unit_test(what_is_undone_when_a_callback_fails),
        cmocka_unit_test(a_guest_that_outruns_the_link_is_slowed_step_by_step),
        cmocka_unit_test(a_stalled_migration_may_be_forced),
        cmocka_unit_test(a_failing_throttle_is_taken_back),
        cmocka_unit_test(a_result_that_is_no_errno_is_an_error_all_the_same),
        cmocka_unit_test(a_cancel_in_a_callback_undoes_what_was_done),
        cmocka_unit_test(a_cancel_before_the_start_counts),
        cmocka_unit_test(a_save_that_met_a_failed_session_does_not_hide_why),
        cmocka_unit_test(a_destination_that_is_never_ready_does_not_keep_the_guest),
        cmocka_unit_test(a_guest_that_was_released_never_runs_here_again),
        cmocka_unit_test(calls_in_the_wrong_order_are_refused),
        cmocka_unit_test(a_vmm_without_what_is_needed_is_refused),
        cmocka_unit_test(a_vmm_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
