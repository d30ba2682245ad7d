/* SPDX-License-Identifier: BSD-2-Clause */
/* migrate/converge.h by table. */
#include "migrate/converge.h"

#include "tests/unit/check.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define MB UINT64_C(1000000)
#define GB (1000 * MB)

static void predicted_downtime(void **state)
{
    (void)state;
    static const struct {
        struct pr_estimates e;
        uint64_t remaining, wanted;
    } rows[] = {
        {{1 * GB, 0, 0, 0}, 100 * MB, 100 * MS},
        {{1 * GB, 0, 20 * MS, 0}, 100 * MB, 120 * MS},
        /* what the guest writes while the log is read is copied too */
        {{1 * GB, 500 * MB, 20 * MS, 0}, 100 * MB, 130 * MS},
        {{1 * GB, 0, 0, 5 * MS}, 100 * MB, 110 * MS},
        {{1 * GB, 0, 7 * MS, 1 * MS}, 0, 9 * MS},
        {{0, 0, 7 * MS, 0}, 0, 7 * MS},
        {{0, 0, 0, 0}, 1, UINT64_MAX},
        {{0, 1, 1 * S, 0}, 0, UINT64_MAX},
        {{1, 0, 0, 0}, UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pr_converge_downtime_ns(&rows[i].e, rows[i].remaining), rows[i].wanted);
}

static void what_the_next_round_leaves(void **state)
{
    (void)state;
    static const struct {
        struct pr_estimates e;
        uint64_t remaining, wanted;
    } rows[] = {
        {{1 * GB, 500 * MB, 0, 0}, 1 * GB, 500 * MB},
        {{1 * GB, 2 * GB, 0, 0}, 1 * GB, 2 * GB},
        /* reading the log takes as long as copying: twice as much is left */
        {{1 * GB, 500 * MB, 900 * MS, 100 * MS}, 1 * GB, 1 * GB},
        {{1 * GB, 0, 1 * S, 0}, 1 * GB, 0},
        {{0, 0, 0, 0}, 0, UINT64_MAX},
        {{1, UINT64_MAX, 0, 0}, UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pr_converge_next_bytes(&rows[i].e, rows[i].remaining), rows[i].wanted);
}

static void time_until_completion(void **state)
{
    (void)state;
    static const struct {
        uint64_t bandwidth, dirty_rate, remaining, wanted;
    } rows[] = {
        {1 * GB, 0, 1 * GB, 1 * S},           {1 * GB, 500 * MB, 1 * GB, 2 * S},
        {1 * GB, 1 * GB, 1 * GB, UINT64_MAX}, {1 * GB, 2 * GB, 1, UINT64_MAX},
        {0, 0, 1 * GB, UINT64_MAX},           {1 * GB, 0, 0, 0},
        {2, 1, UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct pr_estimates e = {.bandwidth_Bps = rows[i].bandwidth,
                                       .dirty_rate_Bps = rows[i].dirty_rate};
        assert_int_equal(pr_converge_eta_ns(&e, rows[i].remaining), rows[i].wanted);
    }
}

static void throttle_steps(void **state)
{
    (void)state;
    static const uint32_t rows[][3] = {
        {0, 90, 20}, {20, 90, 40}, {80, 90, 90}, {90, 90, 90}, {0, 10, 10}, {0, 0, 0}, {99, 99, 99},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pr_converge_throttle(rows[i][0], rows[i][1]), rows[i][2]);
}

/* A guest whose third round left half of what it had; budget 500 ms, fixed costs 10 ms. */
static struct pr_converge_input usual(uint64_t predicted_ms)
{
    return (struct pr_converge_input){
        .rounds = 3,
        .max_rounds = 60,
        .sent_bytes = 2 * GB,
        .remaining_bytes = 1 * GB,
        .next_bytes = 500 * MB,
        .predicted_ns = predicted_ms * MS,
        .careful_ns = predicted_ms * MS,
        .fixed_ns = 10 * MS,
        .budget_ns = 500 * MS,
        .max_throttle_percent = 90,
    };
}

static struct pr_converge_input steady(uint64_t predicted_ms)
{
    struct pr_converge_input in = usual(predicted_ms);
    in.sent_bytes = in.remaining_bytes = in.next_bytes = 1 * GB;
    return in;
}

static void expect(struct pr_converge_input in, enum pr_verdict wanted)
{
    assert_int_equal(pr_converge_judge(&in), wanted);
}

static void shrinking_rounds_go_on_to_half_of_the_budget(void **state)
{
    (void)state;
    expect(usual(1000), PR_VERDICT_ROUND);
    expect(usual(400), PR_VERDICT_ROUND);
    expect(usual(251), PR_VERDICT_ROUND);
    expect(usual(250), PR_VERDICT_SWITCHOVER);
    expect(usual(0), PR_VERDICT_SWITCHOVER);
}

static void a_slow_round_counts_as_long_as_rounds_shrink(void **state)
{
    (void)state;
    struct pr_converge_input in = usual(130);
    in.careful_ns = 251 * MS;
    expect(in, PR_VERDICT_ROUND);
    in.careful_ns = 250 * MS;
    expect(in, PR_VERDICT_SWITCHOVER);
    in = steady(500);
    in.careful_ns = 1000 * MS;
    expect(in, PR_VERDICT_SWITCHOVER);
    in = usual(500);
    in.careful_ns = 1000 * MS;
    in.rounds = in.max_rounds;
    expect(in, PR_VERDICT_SWITCHOVER);
}

static void steady_rounds_use_the_whole_budget(void **state)
{
    (void)state;
    expect(steady(500), PR_VERDICT_SWITCHOVER);
    expect(steady(501), PR_VERDICT_THROTTLE);
    struct pr_converge_input in = steady(501);
    in.throttle_percent = 80;
    expect(in, PR_VERDICT_THROTTLE);
    in.throttle_percent = 90;
    expect(in, PR_VERDICT_STALL);
    in.throttle_percent = 0;
    in.max_throttle_percent = 0; /* the VMM cannot */
    expect(in, PR_VERDICT_STALL);
}

/* However slow the first pass was: it pays for first touches, and a guest that writes all of its
 * memory meanwhile leaves as much as was sent. */
static void the_first_round_is_no_evidence(void **state)
{
    (void)state;
    struct pr_converge_input in = steady(5000);
    in.rounds = 1;
    expect(in, PR_VERDICT_ROUND);
    in.predicted_ns = 400 * MS;
    expect(in, PR_VERDICT_ROUND);
    in.rounds = 2;
    expect(in, PR_VERDICT_SWITCHOVER);
    in.predicted_ns = 5000 * MS;
    expect(in, PR_VERDICT_THROTTLE);
}

/* A burst: the round left more than it sent, but the link is much faster than the guest. */
static void the_rates_may_promise_more_than_the_last_round(void **state)
{
    (void)state;
    struct pr_converge_input in = steady(2000);
    in.next_bytes = 100 * MB;
    expect(in, PR_VERDICT_ROUND);
    in.next_bytes = 800 * MB;
    expect(in, PR_VERDICT_ROUND);
    in.next_bytes = 801 * MB;
    expect(in, PR_VERDICT_THROTTLE);
}

static void nothing_left_is_not_worth_another_round(void **state)
{
    (void)state;
    struct pr_converge_input in = usual(300); /* fixed costs alone */
    in.fixed_ns = in.predicted_ns;
    in.remaining_bytes = in.next_bytes = 0;
    expect(in, PR_VERDICT_SWITCHOVER);
    in.sent_bytes = 0;
    expect(in, PR_VERDICT_SWITCHOVER);
    in.rounds = 1;
    expect(in, PR_VERDICT_SWITCHOVER);
}

/* When reading the log, or a round trip, alone breaks the budget, slowing the guest is no cure. */
static void the_guest_is_not_slowed_for_what_it_does_not_cause(void **state)
{
    (void)state;
    struct pr_converge_input in = usual(900);
    in.fixed_ns = 600 * MS;
    expect(in, PR_VERDICT_ROUND); /* whoever forces it wants little left */
    in = steady(900);
    in.fixed_ns = 600 * MS;
    for (in.rounds = 1; in.rounds < 6; in.rounds++)
        expect(in, PR_VERDICT_ROUND); /* it may have been measured on a busy processor */
    expect(in, PR_VERDICT_STALL);
    in.remaining_bytes = 0;
    expect(in, PR_VERDICT_STALL);
    in.rounds = 1;
    expect(in, PR_VERDICT_ROUND);
    in.fixed_ns = in.budget_ns;
    in.remaining_bytes = 1 * GB;
    in.rounds = 3;
    expect(in, PR_VERDICT_THROTTLE);
}

static void the_last_round_decides(void **state)
{
    (void)state;
    struct pr_converge_input in = usual(501);
    in.rounds = 60;
    expect(in, PR_VERDICT_STALL);
    in.predicted_ns = 500 * MS;
    expect(in, PR_VERDICT_SWITCHOVER);
    in.rounds = in.max_rounds = 1;
    expect(in, PR_VERDICT_SWITCHOVER);
    in.predicted_ns = UINT64_MAX;
    expect(in, PR_VERDICT_STALL);
}

/* Any guest in this model ends: rounds until it fits, or until the throttle or the rounds are used
 * up; and one that the link outruns is never slowed. */
static void every_guest_comes_to_an_end(void **state)
{
    (void)state;
    for (uint64_t rate = 0; rate <= 20 * GB; rate += 250 * MB) {
        struct pr_estimates e = {.bandwidth_Bps = 10 * GB, .sync_ns = 5 * MS, .rtt_ns = MS};
        uint64_t sent = 64 * GB, working_set = 32 * GB;
        uint32_t throttle = 0, rounds = 0;
        enum pr_verdict verdict;
        do {
            e.dirty_rate_Bps = rate * (100 - throttle) / 100;
            uint64_t left = pr_converge_next_bytes(&e, sent);
            left = left < working_set ? left : working_set;
            const struct pr_converge_input in = {
                .rounds = ++rounds,
                .max_rounds = 60,
                .sent_bytes = sent,
                .remaining_bytes = left,
                .next_bytes = pr_converge_next_bytes(&e, left),
                .predicted_ns = pr_converge_downtime_ns(&e, left),
                .careful_ns = pr_converge_downtime_ns(&e, left),
                .fixed_ns = pr_converge_downtime_ns(&e, 0),
                .budget_ns = 300 * MS,
                .throttle_percent = throttle,
                .max_throttle_percent = 90,
            };
            verdict = pr_converge_judge(&in);
            if (verdict == PR_VERDICT_THROTTLE)
                throttle = pr_converge_throttle(throttle, 90);
            sent = left;
        } while (verdict == PR_VERDICT_ROUND || verdict == PR_VERDICT_THROTTLE);
        assert_int_equal(verdict, PR_VERDICT_SWITCHOVER);
        if (rate <= 7 * GB)
            assert_int_equal(throttle, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predicted_downtime),
        cmocka_unit_test(what_the_next_round_leaves),
        cmocka_unit_test(time_until_completion),
        cmocka_unit_test(throttle_steps),
        cmocka_unit_test(shrinking_rounds_go_on_to_half_of_the_budget),
        cmocka_unit_test(a_slow_round_counts_as_long_as_rounds_shrink),
        cmocka_unit_test(steady_rounds_use_the_whole_budget),
        cmocka_unit_test(the_first_round_is_no_evidence),
        cmocka_unit_test(the_rates_may_promise_more_than_the_last_round),
        cmocka_unit_test(nothing_left_is_not_worth_another_round),
        cmocka_unit_test(the_guest_is_not_slowed_for_what_it_does_not_cause),
        cmocka_unit_test(the_last_round_decides),
        cmocka_unit_test(every_guest_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
