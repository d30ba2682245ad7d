/* SPDX-License-Identifier: BSD-2-Clause */
/* A real source and a destination that breaks the protocol, or the fabric's promises (mock). */
#include "tests/unit/mock_destination.h"

#include "base/runtime.h"
#include "tests/unit/check.h"
#include "transport/source.h"

#include <errno.h>
#include <string.h>

static void ok(int err)
{
    if (err)
        fail_msg("%d: %s", err, pagerail_error_message());
}

static void expect(int err, int wanted, const char *words)
{
    if (err != wanted || !strstr(pagerail_error_message(), words))
        fail_msg("%d: %s; wanted %d: ...%s...", err, pagerail_error_message(), wanted, words);
}

/* Waits until the session has failed, and holds the failure against what is wanted. */
static void expect_failure(struct mock_destination *d, int wanted, const char *words)
{
    expect(pagerail_source_wait_ready(d->source, 10000), wanted, words);
    mock_destination_close(d);
}

/* ---- connect ---- */

static void welcomes_that_were_not_offered_are_refused(void **state)
{
    (void)state;
    for (int row = 0;; row++) {
        struct mock_destination d;
        mock_destination_open(&d);
        struct pr_wire_welcome *w = &d.welcome;
        if (row == 0)
            w->version = PR_WIRE_VERSION + 1;
        else if (row == 1)
            w->window_bytes = 128 << 10; /* above what the source wants */
        else if (row == 2)
            w->rail[0].lanes = MOCK_LANES + 1;
        else if (row == 3) {
            w->rails = 2;
            w->rail[1] = (struct pr_wire_rail){.name = "other", .lanes = 1};
        } else if (row == 4)
            w->pin_bytes = (64 << 10) - 1; /* below one window: no grant would ever fit */
        else if (row == 5)
            w->pin_bytes = 64 << 10;
        int err = mock_destination_connect(&d, NULL);
        if (row < 5)
            expect(err, -EPROTO, row == 4 ? "does not hold a single window" : "not offered");
        else
            ok(err);
        mock_destination_close(&d);
        if (row == 5)
            break;
    }
}

/* The last words of a failed handshake must not be answered into a handshake that is over. */
static bool welcome_the_abort(struct mock_destination *d, struct mock_lane *lane,
                              enum pr_wire_type type)
{
    if (type != PR_WIRE_ABORT)
        return false;
    (void)lane;
    d->hold_completions = true; /* so the source looks once more */
    mock_destination_welcome(d);
    return true;
}

static void a_welcome_after_the_handshake_changes_nothing(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.refuse_lane = 3;
    d.hook = welcome_the_abort;
    expect(mock_destination_connect(&d, NULL), -ECONNREFUSED, "this lane is refused");
    assert_int_equal(mock_messages(d.control, PR_WIRE_ABORT), 1);
    mock_destination_close(&d);
}

static void a_lane_is_refused_for_the_reason_that_the_destination_told(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.refuse_lane = 2;
    d.abort_when_refusing = "the owner changed his mind";
    expect(mock_destination_connect(&d, NULL), -ECONNABORTED, "changed his mind");
    assert_int_equal(mock_messages(d.control, PR_WIRE_ABORT), 0);
    mock_destination_close(&d);
}

static void lanes_that_no_worker_took_are_closed_once(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.fabric->base.limits.max_write_bytes = 0;
    expect(mock_destination_connect(&d, NULL), -EINVAL, "largest write");
    mock_destination_close(&d);
}

static void wrong_arguments_change_nothing(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    struct pagerail_region region = {"ram", d.memory, MOCK_REGION_BYTES, 4096, 0};
    ok(pagerail_source_new(NULL, &d.source));
    expect(pagerail_source_connect(d.source, "nowhere:x", &region, 1), -EINVAL, "nowhere");
    region.len_bytes++;
    expect(pagerail_source_connect(d.source, "mock:x", &region, 1), -EINVAL, "'ram'");
    expect(pagerail_source_push(d.source, 0, 0, 4096), -EINVAL, "not connected");
    expect(pagerail_source_wait_ready(d.source, -1), -EINVAL, "not connected");
    expect(pagerail_source_write_end(d.source), -EINVAL, "not connected");
    region.len_bytes--;
    ok(pagerail_source_connect(d.source, "mock:x", &region, 1));
    expect(pagerail_source_connect(d.source, "mock:x", &region, 1), -EINVAL, "before");
    mock_destination_close(&d);
}

static void bother_main(void *opaque)
{
    struct mock_destination *d = opaque;
    struct pagerail_stats stats;
    for (int i = 0; i < 50; i++)
        pagerail_source_stats(d->source, &stats);
    pagerail_source_abort(d->source, "enough");
}

/* For the sanitizers: an abort and looks at the statistics while everything is being made. */
static void an_abort_may_come_at_any_moment_of_connect(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct mock_destination d;
        struct pr_thread *thread;
        mock_destination_open(&d);
        struct pagerail_region region = {"ram", d.memory, MOCK_REGION_BYTES, 4096, 0};
        const struct pagerail_options options = {
            .size = sizeof(options), .lanes = MOCK_LANES, .window_bytes = 64 << 10};
        ok(pagerail_source_new(&options, &d.source));
        ok(pr_thread_spawn(&thread, "bother", bother_main, &d));
        pagerail_source_connect(d.source, "mock:x", &region, 1);
        pr_thread_join(thread);
        assert_int_equal(pagerail_source_push(d.source, 0, 0, 4096), -ECANCELED);
        mock_destination_close(&d);
    }
}

/* Registrations end on the pool's threads and wake the workers: both must be there till then. */
static void the_end_waits_for_registrations_under_way(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct mock_destination d;
        mock_destination_open(&d);
        d.fabric->reg_ms = 3;
        ok(mock_destination_connect(&d, NULL));
        mock_destination_close(&d);
    }
}

static void a_failed_registration_ends_the_session(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.fabric->reg_err = -EAGAIN; /* as mlock says it: must not pass for a time that is over */
    int err = mock_destination_connect(&d, NULL);
    if (err)
        expect(err, -EIO, "refused a registration");
    expect_failure(&d, -EIO, "refused a registration");
}

/* ---- out of turn ---- */

static void acknowledgements_are_only_of_what_was_ended(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    mock_destination_ack(&d, 1);
    expect_failure(&d, -EPROTO, "out of order");
}

/* Until every worker has told its lanes that the epoch is over: no destination can know earlier. */
static void wait_for_epoch_end(struct mock_destination *d)
{
    for (uint32_t i = 0; i < MOCK_LANES; i++) {
        for (int ms = 0; ms < 10000 && !mock_messages(d->data[i], PR_WIRE_EPOCH_END); ms++)
            pr_sleep_ms(1);
        assert_int_equal(mock_messages(d->data[i], PR_WIRE_EPOCH_END), 1);
    }
}

static void ready_comes_after_the_fence_and_its_epoch(void **state)
{
    (void)state;
    for (int fenced = 0; fenced < 2; fenced++) {
        struct mock_destination d;
        mock_destination_open(&d);
        d.hold_acks = true;
        ok(mock_destination_connect(&d, NULL));
        ok(fenced ? pagerail_source_fence(d.source, NULL)
                  : pagerail_source_epoch_end(d.source, NULL));
        wait_for_epoch_end(&d);
        if (!fenced)
            mock_destination_ack(&d, 1);
        mock_destination_say(&d, PR_WIRE_READY);
        expect_failure(&d, -EPROTO, "out of turn");
    }
}

static void nothing_is_pushed_after_the_fence(void **state)
{
    (void)state;
    struct mock_destination d;
    uint64_t bits[1] = {1};
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    ok(pagerail_source_fence(d.source, NULL));
    expect(pagerail_source_push(d.source, 0, 0, 4096), -EINVAL, "the last epoch");
    expect(pagerail_source_push_dirty(d.source, 0, 0, 4096, bits, 1), -EINVAL, "the last epoch");
    assert_int_equal(bits[0], 1);
    expect(pagerail_source_epoch_end(d.source, NULL), -EINVAL, "the last epoch");
    expect(pagerail_source_fence(d.source, NULL), -EINVAL, "the last epoch");
    ok(pagerail_source_epoch_wait(d.source, 1, 10000));
    mock_destination_close(&d);
}

static void a_bye_before_the_hand_over_is_refused(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    mock_destination_say(&d, PR_WIRE_BYE);
    expect_failure(&d, -EPROTO, "bye out of turn");
}

static void say_what_only_a_source_says(struct mock_destination *d)
{
    mock_destination_say(d, PR_WIRE_RELEASE);
}

static void say_something_on_a_data_lane(struct mock_destination *d)
{
    mock_deliver_empty(d->data[1], PR_WIRE_READY, 0);
}

static void grant_what_was_not_wanted(struct mock_destination *d)
{
    uint8_t message[64];
    struct pr_wire_grant grant = {.window = {0, 3}, .addr = 4096, .len = 4096, .rkey = 1};
    mock_deliver(d->control, message, pr_wire_grant_encode(&grant, message, sizeof(message)));
}

static void pong_the_future(struct mock_destination *d)
{
    uint8_t message[64];
    struct pr_wire_ping pong = {UINT64_MAX};
    mock_deliver(d->control, message, pr_wire_pong_encode(&pong, message, sizeof(message)));
}

static void run_unreleased(struct mock_destination *d)
{
    uint8_t message[64];
    struct pr_wire_running running = {1, 1};
    mock_deliver(d->control, message, pr_wire_running_encode(&running, message, sizeof(message)));
}

static void messages_out_of_turn_end_the_session(void **state)
{
    (void)state;
    static const struct {
        void (*say)(struct mock_destination *d);
        const char *words;
    } rows[] = {
        {say_what_only_a_source_says, "only a source sends"},
        {say_something_on_a_data_lane, "on a data lane"},
        {grant_what_was_not_wanted, "not asked for"},
        {pong_the_future, "never sent"},
        {run_unreleased, "without having been given it"},
        {mock_destination_welcome, "only a source sends"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_destination d;
        mock_destination_open(&d);
        ok(mock_destination_connect(&d, NULL));
        rows[i].say(&d);
        expect_failure(&d, -EPROTO, rows[i].words);
    }
}

/* A peer that takes nothing and pings on and on cannot make the outbox grow. */
static void a_flood_of_pings_is_answered_with_measure(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    mock_post_err(d.control, -EAGAIN);
    for (int i = 0; i < 100; i++) {
        uint8_t message[64];
        struct pr_wire_ping ping = {1};
        mock_deliver(d.control, message, pr_wire_ping_encode(&ping, message, sizeof(message)));
    }
    mock_wait_polled(d.control);
    mock_post_err(d.control, 0);
    mock_wait_messages(d.control, PR_WIRE_PONG, 1);
    ok(pagerail_source_abort(d.source, "enough"));
    expect(pagerail_source_wait_ready(d.source, -1), -ECANCELED, "enough");
    pagerail_source_free(d.source);
    d.source = NULL;
    assert_in_range(mock_messages(d.control, PR_WIRE_PONG), 1, 20);
    mock_destination_close(&d);
}

/* ---- data lanes that break ---- */

static void a_broken_data_lane_is_told_to_the_peer(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    mock_fail(d.data[2], -ECONNRESET);
    expect(pagerail_source_wait_ready(d.source, 10000), -ECONNRESET,
           "lost the destination: the mock lane failed");
    mock_wait_messages(d.control, PR_WIRE_ABORT, 1);
    mock_destination_close(&d);
}

static void the_peers_own_reason_beats_a_broken_lane(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    mock_fail(d.data[0], -ECONNRESET);
    mock_destination_abort(&d, "");
    expect_failure(&d, -ECONNABORTED, "the destination ended the migration: it gave no reason");
}

/* ---- waiting ---- */

static void a_deadline_ends_waits_without_a_limit(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.hold_acks = true;
    ok(mock_destination_connect(&d, NULL));
    ok(pagerail_source_fence(d.source, NULL));
    assert_int_equal(pagerail_source_epoch_wait(d.source, 1, 0), -EAGAIN);
    pagerail_source_set_deadline(d.source, 50);
    static uint8_t state_bytes[8 << 20]; /* more than the stream's window */
    expect(pagerail_source_write(d.source, state_bytes, sizeof(state_bytes)), -ETIMEDOUT,
           "within the time");
    pagerail_source_set_deadline(d.source, -1);
    expect(pagerail_source_push(d.source, 0, 0, 4096), -ETIMEDOUT, "within the time");
    mock_destination_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(welcomes_that_were_not_offered_are_refused),
        cmocka_unit_test(a_welcome_after_the_handshake_changes_nothing),
        cmocka_unit_test(a_lane_is_refused_for_the_reason_that_the_destination_told),
        cmocka_unit_test(lanes_that_no_worker_took_are_closed_once),
        cmocka_unit_test(wrong_arguments_change_nothing),
        cmocka_unit_test(an_abort_may_come_at_any_moment_of_connect),
        cmocka_unit_test(the_end_waits_for_registrations_under_way),
        cmocka_unit_test(a_failed_registration_ends_the_session),
        cmocka_unit_test(acknowledgements_are_only_of_what_was_ended),
        cmocka_unit_test(ready_comes_after_the_fence_and_its_epoch),
        cmocka_unit_test(nothing_is_pushed_after_the_fence),
        cmocka_unit_test(a_bye_before_the_hand_over_is_refused),
        cmocka_unit_test(messages_out_of_turn_end_the_session),
        cmocka_unit_test(a_flood_of_pings_is_answered_with_measure),
        cmocka_unit_test(a_broken_data_lane_is_told_to_the_peer),
        cmocka_unit_test(the_peers_own_reason_beats_a_broken_lane),
        cmocka_unit_test(a_deadline_ends_waits_without_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
