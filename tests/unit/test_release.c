/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The point of no return at the source: a release that returned 0 was posted, and none ever is
 * after it returned an error (invariant 5 of docs/architecture.md).
 */
#include "tests/unit/mock_destination.h"

#include "base/runtime.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

static void ok(int err)
{
    if (err)
        fail_msg("%d: %s", err, pagerail_error_message());
}

/* Up to the moment before the release. */
static void open_ready(struct mock_destination *d)
{
    uint64_t epoch;
    mock_destination_open(d);
    ok(mock_destination_connect(d, NULL));
    ok(pagerail_source_push(d->source, 0, 0, MOCK_REGION_BYTES));
    ok(pagerail_source_fence(d->source, &epoch));
    ok(pagerail_source_write_end(d->source));
    ok(pagerail_source_epoch_wait(d->source, epoch, 10000));
    ok(pagerail_source_wait_ready(d->source, 10000));
}

/* The failure is the session's and no release was sent, now or by the free. */
static void assert_kept(struct mock_destination *d, int err)
{
    pagerail_source_free(d->source);
    d->source = NULL;
    assert_true(err < 0);
    assert_int_equal(mock_messages(d->control, PR_WIRE_RELEASE), 0);
    mock_destination_close(d);
}

static void a_release_is_posted_when_it_returns(void **state)
{
    (void)state;
    struct mock_destination d;
    open_ready(&d);
    ok(pagerail_source_release(d.source));
    assert_int_equal(mock_messages(d.control, PR_WIRE_RELEASE), 1);
    assert_int_equal(pagerail_source_abort(d.source, "late"), -EALREADY);
    ok(pagerail_source_release(d.source)); /* given away is given away */
    assert_int_equal(mock_messages(d.control, PR_WIRE_RELEASE), 1);
    mock_destination_close(&d);
}

static void nobody_is_given_a_guest_that_is_not_ready(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    assert_int_equal(pagerail_source_release(d.source), -EINVAL);
    assert_int_equal(pagerail_source_wait_running(d.source, 0, NULL), -EINVAL);
    ok(pagerail_source_push(d.source, 0, 0, 4096)); /* nothing was changed */
    ok(pagerail_source_abort(d.source, "enough"));
    assert_kept(&d, pagerail_source_release(d.source));
}

static void an_abort_comes_first(void **state)
{
    (void)state;
    struct mock_destination d;
    open_ready(&d);
    ok(pagerail_source_abort(d.source, "changed my mind"));
    assert_kept(&d, pagerail_source_release(d.source));
}

struct attempt {
    pagerail_source *source;
    int err;
};

static void release_main(void *opaque)
{
    struct attempt *attempt = opaque;
    attempt->err = pagerail_source_release(attempt->source);
}

static void give_up(struct mock_destination *d)
{
    mock_destination_abort(d, "no");
}

static void talk_nonsense(struct mock_destination *d)
{
    mock_destination_say(d, PR_WIRE_RELEASE);
}

/* The release waits in the outbox of a full lane when the session fails; then the lane has room
 * again for the last words, and these must not take the release along. */
static void the_last_words_take_no_release_along(void **state)
{
    (void)state;
    static const struct {
        void (*blow)(struct mock_destination *d);
        int err;
    } rows[] = {{give_up, -ECONNABORTED}, {talk_nonsense, -EPROTO}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_destination d;
        struct pr_thread *thread;
        open_ready(&d);
        struct attempt attempt = {.source = d.source};
        mock_post_err(d.control, -EAGAIN);
        ok(pr_thread_spawn(&thread, "release", release_main, &attempt));
        pr_sleep_ms(20); /* most often it is in the outbox by then; right in either case */
        rows[i].blow(&d);
        mock_wait_polled(d.control);
        mock_post_err(d.control, 0);
        pr_thread_join(thread);
        assert_int_equal(attempt.err, rows[i].err);
        assert_kept(&d, attempt.err);
    }
}

static void a_release_that_cannot_be_posted_is_not_sent(void **state)
{
    (void)state;
    struct mock_destination d;
    open_ready(&d);
    mock_post_err(d.control, -EIO);
    assert_kept(&d, pagerail_source_release(d.source));
}

/* ---- afterwards ---- */

/* The destination's program may end right after its word: that does not take it back. */
static void what_was_said_counts_after_the_session_broke(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_handover handover;
    open_ready(&d);
    ok(pagerail_source_release(d.source));
    mock_wait_polled(d.control);
    mock_fail(d.control, -EIO);
    while (pagerail_source_write(d.source, "x", 1) == 0)
        pr_sleep_ms(1);
    ok(pagerail_source_wait_running(d.source, 10000, &handover));
    assert_int_equal(handover.load_ns, 5);
    assert_int_equal(handover.resume_ns, 7);
    mock_destination_close(&d);
}

static void lanes_may_break_after_the_release(void **state)
{
    (void)state;
    struct mock_destination d;
    open_ready(&d);
    ok(pagerail_source_release(d.source));
    for (int i = 0; i < MOCK_LANES; i++)
        mock_fail(d.data[i], -ECONNRESET);
    pr_sleep_ms(400); /* longer than the grace for lost lanes: a failure would show by now */
    ok(pagerail_source_wait_running(d.source, 10000, NULL));
    ok(pagerail_source_epoch_wait(d.source, 1, 0)); /* the session is well */
    mock_destination_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_release_is_posted_when_it_returns),
        cmocka_unit_test(nobody_is_given_a_guest_that_is_not_ready),
        cmocka_unit_test(an_abort_comes_first),
        cmocka_unit_test(the_last_words_take_no_release_along),
        cmocka_unit_test(a_release_that_cannot_be_posted_is_not_sent),
        cmocka_unit_test(what_was_said_counts_after_the_session_broke),
        cmocka_unit_test(lanes_may_break_after_the_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
