/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/sender.h: groups of writes, what is signalled, and when bytes and windows count as
 * done. */
#include "tests/unit/mock_lane.h"
#include "transport/sender.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>

#define PAGE 4096

struct under_test {
    struct mock_fabric *fabric;
    struct mock_lane *lane;
    struct pr_sender sender;
    struct pr_windows windows; /* only for its wake-up */
    struct pr_window window[2];
    struct pr_mr mr[2];
    uint8_t memory[2][PAGE];
    unsigned woken;
};

static void on_change(void *opaque)
{
    ((struct under_test *)opaque)->woken++;
}

static void open_sender(struct under_test *t, uint32_t send_depth)
{
    *t = (struct under_test){.fabric = mock_fabric_new()};
    t->fabric->base.limits.send_depth = send_depth;
    t->lane = mock_lane_new(t->fabric);
    t->windows.on_change = on_change;
    t->windows.opaque = t;
    for (int i = 0; i < 2; i++) {
        t->mr[i] = (struct pr_mr){.fabric = &t->fabric->base, .addr = t->memory[i]};
        t->window[i] = (struct pr_window){
            .windows = &t->windows, .mr = &t->mr[i], .key = {0x1000u * (unsigned)(i + 1), PAGE, 5}};
    }
    assert_int_equal(pr_sender_open(&t->sender, &t->lane->base), 0);
}

static void close_sender(struct under_test *t)
{
    pr_sender_close(&t->sender);
    pr_sender_close(&t->sender);
    assert_int_equal(t->window[0].users, 0);
    assert_int_equal(t->window[1].users, 0);
    mock_fabric_free(t->fabric);
}

static int write_to(struct under_test *t, int window, uint64_t len)
{
    return pr_sender_write(&t->sender, &t->window[window], t->memory[window],
                           t->window[window].key.addr, len);
}

/* Hands the lane's completions to the sender; the first error. */
static int reap(struct under_test *t)
{
    struct pr_completion done[64];
    int n, err = 0;
    while ((n = pr_lane_poll(&t->lane->base, done, 64)) > 0) {
        for (int i = 0; i < n && !err; i++)
            err = pr_sender_written(&t->sender, done[i].tag);
    }
    return err ? err : n;
}

static uint32_t signaled(const struct under_test *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->lane->posted; i++)
        count += t->lane->posts[i].signaled;
    return count;
}

/* The newest is held back; only the last of a group asks for a completion. */
static void a_group_ends_signalled(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    for (int i = 0; i < 5; i++)
        assert_int_equal(write_to(&t, 0, PAGE), 0);
    assert_int_equal(t.lane->posted, 4);
    assert_int_equal(signaled(&t), 0);
    assert_false(pr_sender_idle(&t.sender));
    assert_int_equal(pr_sender_close_group(&t.sender), 0);
    assert_int_equal(t.lane->posted, 5);
    assert_int_equal(signaled(&t), 1);
    assert_true(t.lane->posts[4].signaled);
    assert_int_equal(pr_sender_close_group(&t.sender), 0); /* nothing is open */
    assert_int_equal(t.lane->posted, 5);
    close_sender(&t);
}

static void writes_name_their_window(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    assert_int_equal(pr_sender_write(&t.sender, &t.window[1], t.memory[1] + 8, 0x2008, 100), 0);
    assert_int_equal(pr_sender_close_group(&t.sender), 0);
    const struct pr_rma *rma = &t.lane->posts[0].rma;
    assert_ptr_equal(rma->local, t.memory[1] + 8);
    assert_ptr_equal(rma->mr, &t.mr[1]);
    assert_ptr_equal(rma->key, &t.window[1].key);
    assert_int_equal(rma->remote, 0x2008);
    assert_int_equal(rma->len, 100);
    close_sender(&t);
}

/* Bytes count, and the window is free, when the group's completion came: not before. */
static void bytes_count_when_they_complete(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    for (int i = 0; i < 3; i++)
        write_to(&t, 0, PAGE);
    pr_sender_close_group(&t.sender);
    write_to(&t, 1, 100);
    assert_int_equal(t.sender.done_bytes, 0);
    assert_int_equal(t.sender.flight_bytes, 3 * PAGE + 100);
    assert_int_equal(t.window[0].users, 1); /* one a group, not one a write */
    assert_int_equal(t.window[1].users, 1);
    mock_complete(t.lane, 2); /* of three, of which the last is signalled */
    assert_int_equal(reap(&t), 0);
    assert_int_equal(t.sender.done_bytes, 0);
    mock_complete(t.lane, 1);
    assert_int_equal(reap(&t), 0);
    assert_int_equal(t.sender.done_bytes, 3 * PAGE);
    assert_int_equal(t.sender.done_writes, 3);
    assert_int_equal(t.sender.flight_bytes, 100);
    assert_int_equal(t.window[0].users, 0);
    assert_int_equal(t.window[1].users, 1);
    assert_int_equal(t.sender.epoch_bytes, 3 * PAGE + 100);
    assert_int_equal(t.sender.epoch_writes, 4);
    close_sender(&t);
}

static void the_last_user_wakes_whoever_starves(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    atomic_store(&t.windows.starving, true);
    write_to(&t, 0, PAGE);
    pr_sender_close_group(&t.sender);
    assert_int_equal(t.woken, 0);
    mock_complete(t.lane, 1);
    reap(&t);
    assert_int_equal(t.woken, 1);
    assert_false(t.windows.starving);
    close_sender(&t);
}

static void another_window_is_another_group(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    write_to(&t, 0, PAGE);
    write_to(&t, 1, PAGE);
    write_to(&t, 0, PAGE);
    pr_sender_close_group(&t.sender);
    assert_int_equal(signaled(&t), 3);
    mock_complete(t.lane, 3);
    assert_int_equal(reap(&t), 0);
    assert_true(pr_sender_idle(&t.sender));
    close_sender(&t);
}

static void groups_have_a_limit(void **state)
{
    (void)state;
    static const struct {
        uint32_t depth;
        uint64_t write_bytes;
        uint32_t writes; /* in a group */
    } rows[] = {
        {1024, 64, PR_GROUP_WRITES},
        {1024, PR_GROUP_BYTES / 4, 4},
        {1024, PR_GROUP_BYTES, 1},
        {64, 64, 16}, /* a quarter of the send queue */
        {4, 64, 1},
        {3, 64, 1},
        {1, 64, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_sender(&t, rows[i].depth);
        for (uint32_t n = 0; n < rows[i].writes; n++) {
            assert_int_equal(write_to(&t, 0, rows[i].write_bytes), 0);
            assert_int_equal(signaled(&t), 0);
        }
        assert_int_equal(write_to(&t, 0, rows[i].write_bytes), 0);
        assert_int_equal(signaled(&t), 1);
        close_sender(&t);
    }
}

/* A full lane stops a write wherever it is met, and nothing is lost, doubled or counted twice. */
static void a_full_lane_stops_a_write_without_a_trace(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    assert_int_equal(write_to(&t, 0, PAGE), 0);
    mock_post_err(t.lane, -EAGAIN);
    assert_int_equal(write_to(&t, 0, PAGE), -EAGAIN); /* the held one has no place */
    assert_int_equal(write_to(&t, 1, PAGE), -EAGAIN); /* nor signalled, for another window */
    assert_int_equal(pr_sender_close_group(&t.sender), -EAGAIN);
    assert_int_equal(t.sender.flight_bytes, PAGE);
    assert_int_equal(t.sender.epoch_writes, 1);
    assert_int_equal(t.window[1].users, 0);
    mock_post_err(t.lane, 0);
    assert_int_equal(write_to(&t, 1, PAGE), 0);
    assert_int_equal(pr_sender_close_group(&t.sender), 0);
    assert_int_equal(t.lane->posted, 2);
    assert_int_equal(signaled(&t), 2);
    mock_complete(t.lane, 2);
    assert_int_equal(reap(&t), 0);
    assert_int_equal(t.sender.done_bytes, 2 * PAGE);
    close_sender(&t);
}

/* However small the send queue: with every completion it goes on. */
static void small_queues_always_make_room(void **state)
{
    (void)state;
    for (uint32_t depth = 1; depth <= 40; depth++) {
        struct under_test t;
        open_sender(&t, depth);
        for (int done = 0, tries = 0; done < 200; tries++) {
            int err = write_to(&t, done / 7 % 2, PAGE);
            assert_true(err == 0 || err == -EAGAIN);
            done += !err;
            if (err) {
                uint32_t before = t.lane->arrived;
                mock_complete(t.lane, t.lane->posted);
                assert_true(t.lane->arrived > before); /* a full queue holds a signalled one */
                assert_int_equal(reap(&t), 0);
            }
            assert_true(tries < 1000);
        }
        while (pr_sender_close_group(&t.sender) == -EAGAIN) {
            mock_complete(t.lane, t.lane->posted);
            reap(&t);
        }
        mock_complete(t.lane, t.lane->posted);
        reap(&t);
        assert_int_equal(t.sender.done_bytes, 200 * PAGE);
        assert_int_equal(t.sender.done_writes, 200);
        close_sender(&t);
    }
}

static void too_many_groups_in_flight_wait(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 4096);
    int groups = 0;
    while (!write_to(&t, 0, PAGE) && !pr_sender_close_group(&t.sender))
        groups++;
    assert_int_equal(groups, 256);
    assert_int_equal(write_to(&t, 1, PAGE), -EAGAIN);
    mock_complete(t.lane, 1);
    assert_int_equal(reap(&t), 0);
    assert_int_equal(pr_sender_close_group(&t.sender), 0);
    close_sender(&t);
}

static void completions_of_nothing_are_an_error(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    assert_int_equal(pr_sender_written(&t.sender, 1), -EIO);
    write_to(&t, 0, PAGE);
    pr_sender_close_group(&t.sender);
    assert_int_equal(pr_sender_written(&t.sender, 0), -EIO);
    assert_int_equal(pr_sender_written(&t.sender, 2), -EIO);
    assert_int_equal(pr_sender_written(&t.sender, 1), 0);
    assert_int_equal(pr_sender_written(&t.sender, 1), -EIO); /* twice */
    close_sender(&t);
}

/* One completion says that all before it are complete too. */
static void a_later_completion_stands_for_earlier_ones(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    for (int i = 0; i < 3; i++) {
        write_to(&t, 0, PAGE);
        pr_sender_close_group(&t.sender);
    }
    assert_int_equal(pr_sender_written(&t.sender, 3), 0);
    assert_int_equal(t.sender.done_bytes, 3 * PAGE);
    assert_true(pr_sender_idle(&t.sender));
    close_sender(&t);
}

static void a_failed_lane_is_told(void **state)
{
    (void)state;
    struct under_test t;
    open_sender(&t, 64);
    write_to(&t, 0, PAGE);
    mock_post_err(t.lane, -EACCES);
    assert_int_equal(write_to(&t, 0, PAGE), -EACCES);
    close_sender(&t); /* and gives back the window of what never completed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_ends_signalled),
        cmocka_unit_test(writes_name_their_window),
        cmocka_unit_test(bytes_count_when_they_complete),
        cmocka_unit_test(the_last_user_wakes_whoever_starves),
        cmocka_unit_test(another_window_is_another_group),
        cmocka_unit_test(groups_have_a_limit),
        cmocka_unit_test(a_full_lane_stops_a_write_without_a_trace),
        cmocka_unit_test(small_queues_always_make_room),
        cmocka_unit_test(too_many_groups_in_flight_wait),
        cmocka_unit_test(completions_of_nothing_are_an_error),
        cmocka_unit_test(a_later_completion_stands_for_earlier_ones),
        cmocka_unit_test(a_failed_lane_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
