/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/windows.h: who is registered when, within the budget, and what the destination hears.
 */
#include "tests/unit/mock_session.h"
#include "transport/windows.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>

#define W (UINT64_C(64) << 10)

struct under_test {
    struct mock_session ms;
    struct pr_windows windows;
    _Atomic unsigned changes;
};

static void on_change(void *opaque)
{
    atomic_fetch_add(&((struct under_test *)opaque)->changes, 1);
}

/* Two regions: ten windows, and one and a half. */
static void open_windows(struct under_test *t, uint64_t budget, uint64_t peer_budget)
{
    static const uint64_t lens[] = {10 * W, W + W / 2};
    mock_session_open(&t->ms, lens, 2, budget);
    t->changes = 0;
    assert_int_equal(pr_windows_open(&t->windows, &t->ms.session, peer_budget, on_change, t), 0);
}

static void close_windows(struct under_test *t)
{
    pr_pool_drain(t->ms.session.pool);
    pr_windows_close(&t->windows);
    assert_int_equal(t->ms.fabric->registered, 0);
    mock_session_close(&t->ms);
}

static int acquire(struct under_test *t, uint32_t region, uint64_t offset, struct pr_window **out)
{
    int err = pr_windows_acquire(&t->windows, region, offset, out);
    mock_session_pump(&t->ms);
    return err;
}

static int grant(struct under_test *t, uint32_t region, uint32_t index)
{
    const struct pr_wire_grant message = {
        .window = {region, index},
        .addr = 0x100000,
        .len = pr_region_window_len(&t->ms.session.regions.list[region], W, index),
        .rkey = 9,
    };
    pr_pool_drain(t->ms.session.pool);
    return pr_windows_granted(&t->windows, &message);
}

/* Asks for the window, grants it, and gets it. */
static struct pr_window *take(struct under_test *t, uint32_t region, uint32_t index)
{
    struct pr_window *window;
    int err = acquire(t, region, index * W, &window);
    if (err) {
        assert_int_equal(err, -EAGAIN);
        assert_int_equal(grant(t, region, index), 0);
        assert_int_equal(acquire(t, region, index * W + 4096, &window), 0);
    }
    return window;
}

static void a_window_needs_both_halves(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *window;
    open_windows(&t, 0, 0);
    assert_int_equal(acquire(&t, 0, 3 * W + 4096, &window), -EAGAIN);
    assert_int_equal(mock_session_wanted(&t.ms), 1);
    assert_int_equal(mock_session_want(&t.ms, 0).window, 3);
    pr_pool_drain(t.ms.session.pool);
    assert_int_equal(t.changes, 0); /* registered here: nobody can do anything with that yet */
    assert_int_equal(acquire(&t, 0, 3 * W, &window), -EAGAIN);
    assert_int_equal(mock_session_wanted(&t.ms), 1); /* asked once only */
    assert_int_equal(grant(&t, 0, 3), 0);
    assert_int_equal(t.changes, 1);
    assert_int_equal(acquire(&t, 0, 3 * W, &window), 0);
    assert_ptr_equal(window->mr->addr, t.ms.memory + 3 * W);
    assert_int_equal(window->mr->key.len, W);
    assert_int_equal(window->key.addr, 0x100000);
    assert_int_equal(window->users, 1);
    assert_int_equal(t.windows.registered_bytes, W);
    pr_window_release(window);
    close_windows(&t);
}

static void the_last_window_of_a_region_may_be_short(void **state)
{
    (void)state;
    struct under_test t;
    open_windows(&t, 0, 0);
    struct pr_window *window = take(&t, 1, 1);
    assert_ptr_equal(window->mr->addr, t.ms.memory + 11 * W);
    assert_int_equal(window->mr->key.len, W / 2);
    pr_window_release(window);
    close_windows(&t);
}

static void grants_that_were_not_asked_for_are_refused(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *window;
    open_windows(&t, 0, 0);
    assert_int_equal(grant(&t, 0, 1), -EPROTO);
    assert_int_equal(acquire(&t, 0, W, &window), -EAGAIN);
    struct pr_wire_grant wrong = {.window = {0, 1}, .addr = 4096, .len = W - 4096, .rkey = 1};
    assert_int_equal(pr_windows_granted(&t.windows, &wrong), -EPROTO);
    assert_int_equal(grant(&t, 0, 1), 0);
    assert_int_equal(grant(&t, 0, 1), -EPROTO); /* twice */
    wrong.window = (struct pr_wire_window){0, 10};
    assert_int_equal(pr_windows_granted(&t.windows, &wrong), -EPROTO);
    wrong.window = (struct pr_wire_window){2, 0};
    assert_int_equal(pr_windows_granted(&t.windows, &wrong), -EPROTO);
    close_windows(&t);
}

static void prefetch_goes_in_order_of_address_as_far_as_the_budgets_allow(void **state)
{
    (void)state;
    static const struct {
        uint64_t ours, peers;
        uint32_t asked;
    } rows[] = {
        {0, 0, 12},        {4 * W, 0, 4},     {0, 4 * W, 4},        {8 * W, 5 * W, 5},
        {5 * W, 8 * W, 5}, {5 * W - 1, 0, 4}, {64 * W, 64 * W, 12},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_windows(&t, rows[i].ours, rows[i].peers);
        assert_int_equal(pr_windows_prefetch(&t.windows), 0);
        mock_session_pump(&t.ms);
        assert_int_equal(mock_session_wanted(&t.ms), rows[i].asked);
        for (uint32_t n = 0; n < rows[i].asked; n++) {
            assert_int_equal(mock_session_want(&t.ms, n).region, n / 10);
            assert_int_equal(mock_session_want(&t.ms, n).window, n % 10);
        }
        close_windows(&t);
    }
}

/* Not while a budget may be short of room for them: whoever finds data there waits for room. */
static void empty_windows_are_asked_for_when_needed(void **state)
{
    (void)state;
    static const struct {
        uint64_t budget;
        uint32_t asked;
    } rows[] = {{0, 0}, {12 * W, 0}, {4 * W, 4}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_windows(&t, rows[i].budget, 0);
        t.ms.fabric->all_empty = true;
        pr_windows_leave_out_empty(&t.windows);
        assert_int_equal(pr_windows_prefetch(&t.windows), 0);
        mock_session_pump(&t.ms);
        assert_int_equal(mock_session_wanted(&t.ms), rows[i].asked);
        close_windows(&t);
    }
    struct under_test t;
    struct pr_window *window = NULL;
    open_windows(&t, 0, 0);
    t.ms.fabric->all_empty = true;
    pr_windows_leave_out_empty(&t.windows);
    assert_int_equal(pr_windows_prefetch(&t.windows), 0);
    assert_int_equal(pr_windows_look(&t.windows, 0, 3 * W, &window), 0);
    assert_null(window);
    assert_int_equal(acquire(&t, 0, 3 * W, &window), -EAGAIN);
    assert_int_equal(mock_session_wanted(&t.ms), 1);
    assert_int_equal(pr_windows_look(&t.windows, 0, 3 * W, &window), -EAGAIN); /* no more */
    assert_int_equal(grant(&t, 0, 3), 0);
    assert_int_equal(pr_windows_look(&t.windows, 0, 3 * W, &window), 0);
    pr_window_release(window);
    assert_int_equal(pr_windows_prefetch_all(&t.windows), 0);
    mock_session_pump(&t.ms);
    assert_int_equal(mock_session_wanted(&t.ms), 12);
    close_windows(&t);
}

static void the_window_idle_for_longest_makes_room(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *w[4], *fifth;
    open_windows(&t, 4 * W, 0);
    for (uint32_t i = 0; i < 4; i++) {
        w[i] = take(&t, 0, i);
        pr_window_release(w[i]);
    }
    pr_window_release(take(&t, 0, 0)); /* used again: now 1 is the oldest */
    unsigned before = t.changes;
    assert_int_equal(acquire(&t, 0, 4 * W, &fifth), -EAGAIN);
    assert_int_equal(mock_session_dropped(&t.ms), 1);
    assert_int_equal(mock_session_drop(&t.ms, 0).window, 1);
    /* Not asked for before the other one has left. */
    assert_int_equal(mock_session_wanted(&t.ms), 4);
    pr_pool_drain(t.ms.session.pool);
    assert_true(t.changes > before);
    assert_int_equal(acquire(&t, 0, 4 * W, &fifth), -EAGAIN);
    assert_int_equal(mock_session_wanted(&t.ms), 5);
    assert_int_equal(t.windows.used_bytes, 4 * W);
    assert_int_equal(mock_session_dropped(&t.ms), 1); /* one was enough */
    close_windows(&t);
}

static void windows_in_use_or_promised_stay(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *w[4], *another;
    open_windows(&t, 4 * W, 0);
    for (uint32_t i = 0; i < 3; i++)
        w[i] = take(&t, 0, i);
    /* The fourth is ready and nobody uses it, but a worker that parked work for it was told so. */
    assert_int_equal(acquire(&t, 0, 3 * W, &w[3]), -EAGAIN);
    assert_int_equal(grant(&t, 0, 3), 0);
    assert_int_equal(acquire(&t, 0, 5 * W, &another), -EAGAIN);
    assert_int_equal(mock_session_dropped(&t.ms), 0);
    /* That worker has it and is done: it may go. */
    assert_int_equal(acquire(&t, 0, 3 * W, &w[3]), 0);
    unsigned before = t.changes;
    pr_window_release(w[3]);
    assert_int_equal(t.changes, before + 1); /* whoever starves is woken */
    assert_int_equal(acquire(&t, 0, 5 * W, &another), -EAGAIN);
    assert_int_equal(mock_session_dropped(&t.ms), 1);
    assert_int_equal(mock_session_drop(&t.ms, 0).window, 3);
    for (uint32_t i = 0; i < 3; i++)
        pr_window_release(w[i]);
    close_windows(&t);
}

static void a_second_user_keeps_a_window(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *another;
    open_windows(&t, 4 * W, 0);
    struct pr_window *w[4];
    for (uint32_t i = 0; i < 4; i++)
        w[i] = take(&t, 0, i);
    pr_window_retain(w[0]);
    pr_window_release(w[0]);
    assert_int_equal(acquire(&t, 1, 0, &another), -EAGAIN);
    assert_int_equal(mock_session_dropped(&t.ms), 0);
    pr_window_release(w[0]);
    assert_int_equal(acquire(&t, 1, 0, &another), -EAGAIN);
    assert_int_equal(mock_session_dropped(&t.ms), 1);
    for (uint32_t i = 1; i < 4; i++)
        pr_window_release(w[i]);
    close_windows(&t);
}

static void what_was_dropped_can_be_had_again(void **state)
{
    (void)state;
    struct under_test t;
    open_windows(&t, 4 * W, 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++) {
            struct pr_window *window;
            int err;
            while ((err = acquire(&t, 0, i * W, &window)) == -EAGAIN) {
                pr_pool_drain(t.ms.session.pool);
                (void)grant(&t, 0, i); /* refused while it waits for room */
            }
            assert_int_equal(err, 0);
            assert_true(t.windows.registered_bytes <= 4 * W);
            pr_window_release(window);
        }
    }
    assert_int_equal(mock_session_wanted(&t.ms), 30);
    assert_int_equal(mock_session_dropped(&t.ms), 26);
    close_windows(&t);
}

static void a_failed_registration_fails_the_session(void **state)
{
    (void)state;
    struct under_test t;
    struct pr_window *window;
    open_windows(&t, 0, 0);
    t.ms.fabric->reg_err = -ENOMEM;
    assert_int_equal(acquire(&t, 0, 0, &window), -EAGAIN);
    pr_pool_drain(t.ms.session.pool);
    assert_int_equal(pr_session_failed(&t.ms.session), -ENOMEM);
    assert_string_equal(pr_error_message(), "the mock refused a registration");
    close_windows(&t);
}

static void a_failed_session_registers_nothing_more(void **state)
{
    (void)state;
    struct under_test t;
    open_windows(&t, 0, 0);
    pr_session_fail(&t.ms.session, pr_error(EIO, "over"));
    assert_int_equal(pr_windows_prefetch(&t.windows), 0);
    pr_pool_drain(t.ms.session.pool);
    assert_int_equal(t.ms.fabric->reg_calls, 0);
    close_windows(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_needs_both_halves),
        cmocka_unit_test(the_last_window_of_a_region_may_be_short),
        cmocka_unit_test(grants_that_were_not_asked_for_are_refused),
        cmocka_unit_test(prefetch_goes_in_order_of_address_as_far_as_the_budgets_allow),
        cmocka_unit_test(empty_windows_are_asked_for_when_needed),
        cmocka_unit_test(the_window_idle_for_longest_makes_room),
        cmocka_unit_test(windows_in_use_or_promised_stay),
        cmocka_unit_test(a_second_user_keeps_a_window),
        cmocka_unit_test(what_was_dropped_can_be_had_again),
        cmocka_unit_test(a_failed_registration_fails_the_session),
        cmocka_unit_test(a_failed_session_registers_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
