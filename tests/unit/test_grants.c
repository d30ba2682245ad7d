/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/grants.h: wants and drops of a source, within the destination's own budget. */
#include "tests/unit/mock_session.h"
#include "transport/grants.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define W (UINT64_C(64) << 10)

/* The source's regions stand the other way round. */
static const uint32_t local_of[] = {1, 0};

struct under_test {
    struct mock_session ms;
    struct pr_grants grants;
};

/* Ours: eight windows and two. The source's: two and eight. */
static void open_grants(struct under_test *t, uint64_t budget)
{
    static const uint64_t lens[] = {8 * W, 2 * W};
    mock_session_open(&t->ms, lens, 2, budget);
    assert_int_equal(pr_grants_open(&t->grants, &t->ms.session, local_of), 0);
}

static void close_grants(struct under_test *t)
{
    pr_pool_drain(t->ms.session.pool);
    pr_grants_close(&t->grants);
    pr_grants_close(&t->grants);
    assert_int_equal(t->ms.fabric->registered, 0);
    mock_session_close(&t->ms);
}

static int want(struct under_test *t, uint32_t region, uint32_t window)
{
    const struct pr_wire_want message = {.count = 1, .window = {{region, window}}};
    return pr_grants_want(&t->grants, &message);
}

static int drop(struct under_test *t, uint32_t region, uint32_t window)
{
    const struct pr_wire_drop message = {{region, window}};
    return pr_grants_drop(&t->grants, &message);
}

/* Lets the pool work and the grants go out. */
static void settle(struct under_test *t)
{
    pr_pool_drain(t->ms.session.pool);
    mock_session_pump(&t->ms);
}

static uint32_t granted(struct under_test *t)
{
    return mock_messages(t->ms.control, PR_WIRE_GRANT);
}

static struct pr_wire_grant nth_grant(struct under_test *t, uint32_t n)
{
    const void *body;
    struct pr_wire_grant message;
    struct pr_wire_header header = mock_message(t->ms.control, PR_WIRE_GRANT, n, &body);
    assert_int_equal(pr_wire_grant_decode(&message, body, header.body_len), 0);
    return message;
}

static void a_want_is_registered_and_granted(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 0);
    assert_int_equal(want(&t, 1, 3), 0);
    settle(&t);
    assert_int_equal(granted(&t), 1);
    struct pr_wire_grant g = nth_grant(&t, 0);
    assert_int_equal(g.window.region, 1);
    assert_int_equal(g.window.window, 3);
    assert_int_equal(g.addr, (uintptr_t)t.ms.memory + 3 * W); /* the source's region 1 is our 0 */
    assert_int_equal(g.len, W);
    assert_int_equal(t.grants.registered_bytes, W);
    close_grants(&t);
}

static void wants_out_of_turn_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t region, window;
        const char *words;
    } rows[] = {
        {0, 2, "does not exist"}, /* it has two */
        {1, 8, "does not exist"},
        {2, 0, "does not exist"},
        {UINT32_MAX, UINT32_MAX, "does not exist"},
        {1, 0, "twice"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_grants(&t, 0);
        assert_int_equal(want(&t, 1, 0), 0);
        assert_int_equal(want(&t, rows[i].region, rows[i].window), -EPROTO);
        assert_non_null(strstr(pr_error_message(), rows[i].words));
        close_grants(&t);
    }
}

static void only_what_was_granted_can_be_dropped(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 0);
    assert_int_equal(drop(&t, 0, 0), -EPROTO); /* never wanted */
    assert_int_equal(drop(&t, 0, 9), -EPROTO);
    assert_int_equal(want(&t, 0, 0), 0);
    pr_pool_drain(t.ms.session.pool);
    assert_int_equal(drop(&t, 0, 0), -EPROTO); /* the grant is still in the outbox */
    mock_session_pump(&t.ms);
    assert_int_equal(drop(&t, 0, 0), 0);
    assert_int_equal(drop(&t, 0, 0), -EPROTO); /* twice */
    close_grants(&t);
}

static void what_does_not_fit_waits_in_order(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 4 * W);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(want(&t, 1, i), 0);
    settle(&t);
    assert_int_equal(granted(&t), 4);
    assert_int_equal(want(&t, 1, 5), -EPROTO); /* it waits already */
    assert_int_equal(drop(&t, 1, 2), 0);
    settle(&t);
    assert_int_equal(granted(&t), 5);
    assert_int_equal(nth_grant(&t, 4).window.window, 4);
    assert_int_equal(drop(&t, 1, 0), 0);
    settle(&t);
    assert_int_equal(nth_grant(&t, 5).window.window, 5);
    assert_int_equal(t.grants.registered_bytes, 4 * W);
    close_grants(&t);
}

static void a_dropped_window_may_be_wanted_again_at_once(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 0);
    for (uint32_t round = 1; round <= 50; round++) {
        assert_int_equal(want(&t, 0, 1), 0);
        settle(&t);
        assert_int_equal(granted(&t), round);
        assert_int_equal(drop(&t, 0, 1), 0); /* and the next want may meet it leaving */
    }
    settle(&t);
    assert_int_equal(t.grants.registered_bytes, 0);
    assert_int_equal(t.grants.used_bytes, 0);
    close_grants(&t);
}

static void a_failed_registration_fails_the_session(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 0);
    t.ms.fabric->reg_err = -ENOMEM;
    assert_int_equal(want(&t, 0, 0), 0);
    settle(&t);
    assert_int_equal(pr_session_failed(&t.ms.session), -ENOMEM);
    assert_int_equal(granted(&t), 0);
    close_grants(&t);
}

static void the_end_takes_all_keys_back(void **state)
{
    (void)state;
    struct under_test t;
    open_grants(&t, 4 * W);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(want(&t, 1, i), 0);
    close_grants(&t); /* checks that nothing is registered: some wait, some are given */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_want_is_registered_and_granted),
        cmocka_unit_test(wants_out_of_turn_are_refused),
        cmocka_unit_test(only_what_was_granted_can_be_dropped),
        cmocka_unit_test(what_does_not_fit_waits_in_order),
        cmocka_unit_test(a_dropped_window_may_be_wanted_again_at_once),
        cmocka_unit_test(a_failed_registration_fails_the_session),
        cmocka_unit_test(the_end_takes_all_keys_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
