/* SPDX-License-Identifier: BSD-2-Clause */
/* A real destination and a source that breaks the protocol (mock). */
#include "tests/unit/mock_source.h"

#include "base/runtime.h"
#include "tests/unit/check.h"
#include "transport/mark.h"

#include <errno.h>
#include <string.h>

static void ok(int err)
{
    if (err)
        fail_msg("%d: %s", err, pagerail_error_message());
}

static void expect(ssize_t err, int wanted, const char *words)
{
    if (err != wanted || !strstr(pagerail_error_message(), words))
        fail_msg("%zd: %s; wanted %d: ...%s...", err, pagerail_error_message(), wanted, words);
}

static void open_accepted(struct mock_source *s, const struct pagerail_options *options)
{
    mock_source_open(s, options);
    ok(mock_source_accept(s, 0));
}

/* Waits until the session has failed: the stream will never have a byte. */
static void expect_failure(struct mock_source *s, int wanted, const char *words)
{
    char byte;
    expect(pagerail_destination_read(s->destination, &byte, 1), wanted, words);
    mock_source_close(s);
}

static void send_mark(struct mock_source *s, uint64_t epoch)
{
    uint8_t mark[PR_MARK_BYTES];
    pr_mark_encode(epoch, mark);
    mock_source_stream(s, 0, mark, sizeof(mark));
}

/* ---- who knocks ---- */

static void strangers_before_the_source_are_turned_away(void **state)
{
    (void)state;
    struct mock_source s;
    mock_source_open(&s, NULL);
    s.knocks[s.knock_count++] = MOCK_KNOCK_NONSENSE;
    s.knocks[s.knock_count++] = MOCK_KNOCK_NEWER;
    s.knocks[s.knock_count++] = MOCK_KNOCK_RESET;
    ok(mock_source_accept(&s, -1));
    assert_int_equal(s.refused, 2);
    mock_source_close(&s);
}

static void strangers_between_the_lanes_change_nothing(void **state)
{
    (void)state;
    static const enum mock_knock knocks[] = {
        MOCK_KNOCK_RIGHT,    MOCK_KNOCK_WRONG_TOKEN, MOCK_KNOCK_AGAIN, MOCK_KNOCK_RESET,
        MOCK_KNOCK_NONSENSE, MOCK_KNOCK_RIGHT,       MOCK_KNOCK_AGAIN,
    };
    struct mock_source s;
    mock_source_open(&s, NULL);
    memcpy(s.knocks, knocks, sizeof(knocks));
    s.knock_count = COUNT_OF(knocks);
    ok(mock_source_accept(&s, -1));
    assert_int_equal(s.refused, 4);
    mock_source_close(&s);
}

static void nobody_in_time_may_come_later(void **state)
{
    (void)state;
    struct mock_source s;
    mock_source_open(&s, NULL);
    s.knocks[s.knock_count++] = MOCK_KNOCK_NONSENSE;
    s.lane = MOCK_SOURCE_LANES + 1;
    assert_int_equal(mock_source_accept(&s, 5), -EAGAIN);
    s.lane = 0;
    ok(mock_source_accept(&s, 1000));
    expect(mock_source_accept(&s, 0), -EINVAL, "listen first");
    mock_source_close(&s);
}

/* ---- introductions ---- */

static void hello_twice(struct mock_source *s)
{
    mock_source_say_hello(s);
    mock_source_say_hello(s);
}

static void region_first(struct mock_source *s)
{
    mock_source_say_region(s);
}

static void region_twice(struct mock_source *s)
{
    s->hello.regions = 1;
    mock_source_introduce(s);
    mock_source_say_region(s);
}

static void other_count(struct mock_source *s)
{
    s->hello.regions = 2;
    s->hello.total_bytes *= 2;
    mock_source_introduce(s);
}

static void other_name(struct mock_source *s)
{
    strcpy(s->region.name, "rom");
    mock_source_introduce(s);
}

static void other_length(struct mock_source *s)
{
    s->region.len += 4096;
    mock_source_introduce(s);
}

static void other_pages(struct mock_source *s)
{
    s->region.len = s->region.page_bytes = 2 << 20;
    mock_source_introduce(s);
}

static void want_at_once(struct mock_source *s)
{
    mock_source_want(s, 0, 1);
}

static void newer_hello(struct mock_source *s)
{
    s->hello.version_min = s->hello.version_max = 9;
    mock_source_introduce(s);
}

static void introductions_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        void (*introduce)(struct mock_source *s);
        int err;
        const char *words;
    } rows[] = {
        {hello_twice, -EPROTO, "hello twice"},
        {region_first, -EPROTO, "out of order"},
        {region_twice, -EPROTO, "out of order"},
        {other_count, -EINVAL, "2 memory regions and this one has 1"},
        {other_name, -EINVAL, "'rom'"},
        {other_length, -EINVAL, "same memory size"},
        {other_pages, -EINVAL, "is 2097152 bytes"},
        {want_at_once, -EPROTO, "in the middle of the handshake"},
        {newer_hello, -EPROTONOSUPPORT, "upgrade"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_source s;
        mock_source_open(&s, NULL);
        s.introduce = rows[i].introduce;
        expect(mock_source_accept(&s, -1), rows[i].err, rows[i].words);
        assert_int_equal(mock_messages(s.control, PR_WIRE_ABORT), 1);
        mock_source_close(&s);
    }
}

/* A handshake that failed is over: what the source goes on to say finds nobody. */
static void introductions_after_the_refusal_change_nothing(void **state)
{
    (void)state;
    struct mock_source s;
    mock_source_open(&s, NULL);
    s.introduce = other_count;
    s.protest = mock_source_introduce;
    expect(mock_source_accept(&s, -1), -EINVAL, "2 memory regions and this one has 1");
    mock_source_close(&s);
}

/* The source chooses the size of windows: it must not choose the size of our tables. */
static void windows_that_are_too_many_are_refused(void **state)
{
    (void)state;
    struct mock_source s;
    const uint64_t len = UINT64_C(1) << 40;
    mock_source_open(&s, NULL);
    s.region.len = s.hello.total_bytes = len;
    const struct pagerail_region region = {"ram", s.memory, len, 4096, 0}; /* never touched */
    expect(pagerail_destination_accept(s.destination, &region, 1, 0), -EINVAL,
           "16777216 windows of 64 KiB");
    mock_source_close(&s);
}

static void a_failed_listen_may_be_repeated(void **state)
{
    (void)state;
    pagerail_destination *d;
    ok(pagerail_destination_new(NULL, &d));
    expect(pagerail_destination_listen(d, "elsewhere:x"), -EINVAL, "elsewhere");
    expect(pagerail_destination_listen(d, "local:/nonexistent/folder/sock"), -ENOENT, "");
    struct mock_fabric *fabric = mock_fabric_new();
    mock_fabric_override(fabric);
    ok(pagerail_destination_listen(d, "mock:x"));
    pagerail_destination_free(d);
    mock_fabric_free(fabric);
}

/* ---- windows ---- */

static void windows_are_granted_and_given_back(void **state)
{
    (void)state;
    struct mock_source s;
    open_accepted(&s, NULL);
    for (uint32_t round = 1; round <= 3; round++) {
        mock_source_want(&s, 2, 2);
        mock_wait_messages(s.control, PR_WIRE_GRANT, 2 * round);
        mock_source_drop(&s, 2);
        mock_source_drop(&s, 3);
    }
    mock_source_close(&s);
}

static void drop_at_once(struct mock_source *s)
{
    mock_post_err(s->control, -EAGAIN); /* whatever is granted does not leave */
    mock_source_want(s, 0, 4);
    while (s->fabric->registered < 4)
        pr_sleep_ms(1);
    pr_sleep_ms(5); /* by now the grants wait in the outbox; refused in either case */
    mock_source_drop(s, 0);
    mock_wait_polled(s->control);
    mock_post_err(s->control, 0);
}

static void want_twice(struct mock_source *s)
{
    mock_source_want(s, 1, 1);
    mock_source_want(s, 1, 1);
}

static void want_beyond(struct mock_source *s)
{
    mock_source_want(s, MOCK_SOURCE_BYTES / (64 << 10), 1);
}

static void drop_unwanted(struct mock_source *s)
{
    mock_source_drop(s, 1);
}

static void drop_beyond(struct mock_source *s)
{
    mock_source_drop(s, UINT32_MAX);
}

/* ---- epochs ---- */

static void end_twice_on_one_lane(struct mock_source *s)
{
    mock_source_end_epoch(s, 0, 1);
    mock_source_end_epoch(s, 0, 2);
}

static void end_a_later_epoch(struct mock_source *s)
{
    mock_source_end_epoch(s, 1, 2);
}

static void zero_outside(struct mock_source *s)
{
    mock_source_zero(s, 0, 1, (struct pr_wire_range){0, MOCK_SOURCE_BYTES - 4096, 8192});
}

static void zero_elsewhere(struct mock_source *s)
{
    mock_source_zero(s, 0, 1, (struct pr_wire_range){1, 0, 4096});
}

static void zero_too_early(struct mock_source *s)
{
    mock_source_end_epoch(s, 0, 1);
    mock_source_zero(s, 0, 2, (struct pr_wire_range){0, 0, 4096});
}

static void release_early(struct mock_source *s)
{
    mock_deliver_empty(s->control, PR_WIRE_RELEASE, 0);
}

static void bye_early(struct mock_source *s)
{
    mock_deliver_empty(s->control, PR_WIRE_BYE, 0);
}

static void say_what_only_a_destination_says(struct mock_source *s)
{
    mock_deliver_empty(s->control, PR_WIRE_READY, 0);
}

static void say_it_on_a_data_lane(struct mock_source *s)
{
    mock_deliver_empty(s->data[1], PR_WIRE_RELEASE, 0);
}

static void stream_with_a_gap(struct mock_source *s)
{
    mock_source_stream(s, 1, "x", 1);
}

static void messages_out_of_turn_end_the_session(void **state)
{
    (void)state;
    static const struct {
        void (*say)(struct mock_source *s);
        const char *words;
    } rows[] = {
        {drop_at_once, "was not granted"},
        {want_twice, "wants a window twice"},
        {want_beyond, "does not exist"},
        {drop_unwanted, "was not granted"},
        {drop_beyond, "does not exist"},
        {end_twice_on_one_lane, "out of order"},
        {end_a_later_epoch, "out of order"},
        {zero_outside, "outside of region 'ram'"},
        {zero_elsewhere, "does not exist"},
        {zero_too_early, "another epoch"},
        {release_early, "was not ready for"},
        {bye_early, "bye out of turn"},
        {say_what_only_a_destination_says, "only a destination sends"},
        {say_it_on_a_data_lane, "on a data lane"},
        {stream_with_a_gap, "gap"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_source s;
        open_accepted(&s, NULL);
        rows[i].say(&s);
        expect_failure(&s, -EPROTO, rows[i].words);
    }
}

/* Acknowledgements nobody takes must not pile up: the next epoch begins after one was sent. */
static void epochs_wait_for_their_acknowledgement(void **state)
{
    (void)state;
    struct mock_source s;
    open_accepted(&s, NULL);
    mock_wait_messages(s.control, PR_WIRE_PING, 1);
    mock_post_err(s.control, -EAGAIN);
    for (unsigned lane = 0; lane < 2; lane++)
        mock_source_end_epoch(&s, lane, 1);
    mock_wait_polled(s.data[0]);
    mock_wait_polled(s.data[1]);
    mock_source_end_epoch(&s, 0, 2);
    char byte;
    expect(pagerail_destination_read(s.destination, &byte, 1), -EPROTO, "out of order");
    mock_source_close(&s);
}

/* ---- the hand-over ---- */

static void zero_ranges_are_cleared_before_the_fence_opens(void **state)
{
    (void)state;
    struct mock_source s;
    struct pagerail_stats stats;
    open_accepted(&s, NULL);
    expect(pagerail_destination_ready(s.destination), -EINVAL, "after pagerail_destination_fence");
    mock_source_zero(&s, 1, 1, (struct pr_wire_range){0, 8192, 4096});
    send_mark(&s, 1);
    mock_source_end_epoch(&s, 0, 1);
    mock_source_end_epoch(&s, 1, 1);
    ok(pagerail_destination_fence(s.destination));
    assert_int_equal(s.memory[8191], 1);
    assert_int_equal(s.memory[8192], 0);
    assert_int_equal(s.memory[12287], 0);
    assert_int_equal(s.memory[12288], 1);
    mock_wait_messages(s.control, PR_WIRE_EPOCH_ACK, 1);
    pagerail_destination_stats(s.destination, &stats);
    assert_int_equal(stats.epoch, 1);
    assert_int_equal(stats.stream_bytes, PR_MARK_BYTES);
    mock_source_close(&s);
}

struct watch {
    struct mock_source *s;
    _Atomic bool over;
};

static void watch_main(void *opaque)
{
    struct watch *watch = opaque;
    struct pagerail_stats stats;
    uint64_t epoch = 0;
    while (!watch->over) {
        pagerail_destination_stats(watch->s->destination, &stats);
        if (stats.epoch < epoch)
            abort();
        epoch = stats.epoch;
    }
}

static void release_main(void *opaque)
{
    struct mock_source *s = opaque;
    mock_wait_messages(s->control, PR_WIRE_READY, 1);
    mock_deliver_empty(s->control, PR_WIRE_RELEASE, 0);
}

/* The statistics may be asked for while ready shuts the lanes. Those are closed only at the end:
 * the guest does not wait for that, and the source must not take it for a loss. */
static void a_released_guest_runs_and_its_figures_stay(void **state)
{
    (void)state;
    struct mock_source s;
    struct pr_thread *watcher, *releaser;
    open_accepted(&s, NULL);
    struct watch watch = {.s = &s};
    send_mark(&s, 1);
    mock_source_end_epoch(&s, 0, 1);
    mock_source_end_epoch(&s, 1, 1);
    ok(pagerail_destination_fence(s.destination));
    expect(pagerail_destination_fence(s.destination), -EINVAL, "passed already");
    ok(pr_thread_spawn(&watcher, "watch", watch_main, &watch));
    ok(pr_thread_spawn(&releaser, "release", release_main, &s));
    ok(pagerail_destination_ready(s.destination));
    for (int i = 0; i < 2; i++)
        assert_true(s.data[i]->shut && !s.data[i]->closed);
    assert_int_equal(pagerail_destination_abort(s.destination, "late"), -EALREADY);
    ok(pagerail_destination_running(s.destination));
    expect(pagerail_destination_running(s.destination), -EINVAL, "already");
    expect(pagerail_destination_ready(s.destination), -EINVAL, "once");
    struct pagerail_stats stats;
    pagerail_destination_stats(s.destination, &stats);
    assert_int_equal(stats.epoch, 1);
    watch.over = true;
    pr_thread_join(watcher);
    pr_thread_join(releaser);
    mock_deliver_empty(s.control, PR_WIRE_BYE, 0);
    mock_source_close(&s);
}

static void a_guest_that_was_not_released_does_not_run(void **state)
{
    (void)state;
    struct mock_source s;
    open_accepted(&s, NULL);
    send_mark(&s, 1);
    mock_source_end_epoch(&s, 0, 1);
    mock_source_end_epoch(&s, 1, 1);
    ok(pagerail_destination_fence(s.destination));
    mock_fail(s.control, -ECONNRESET);
    int err = pagerail_destination_ready(s.destination);
    expect(err, -ECONNRESET, "lost the source");
    expect(pagerail_destination_running(s.destination), -EINVAL, "not handed over");
    mock_source_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_before_the_source_are_turned_away),
        cmocka_unit_test(strangers_between_the_lanes_change_nothing),
        cmocka_unit_test(nobody_in_time_may_come_later),
        cmocka_unit_test(introductions_that_are_refused),
        cmocka_unit_test(introductions_after_the_refusal_change_nothing),
        cmocka_unit_test(windows_that_are_too_many_are_refused),
        cmocka_unit_test(a_failed_listen_may_be_repeated),
        cmocka_unit_test(windows_are_granted_and_given_back),
        cmocka_unit_test(messages_out_of_turn_end_the_session),
        cmocka_unit_test(epochs_wait_for_their_acknowledgement),
        cmocka_unit_test(zero_ranges_are_cleared_before_the_fence_opens),
        cmocka_unit_test(a_released_guest_runs_and_its_figures_stay),
        cmocka_unit_test(a_guest_that_was_not_released_does_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
