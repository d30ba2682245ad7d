/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/lanes.h by table, and against a line that is played. */
#include "transport/lanes.h"

#include "tests/unit/check.h"

#define MS UINT64_C(1000000)
#define KIB UINT64_C(1024)
#define MEGA UINT64_C(1000000)

static void lanes_follow_the_product(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate_Bps, flight_bytes, rtt_ns;
        uint32_t suggested, wanted;
    } table[] = {
        /* a NIC: what the fabric suggests, however far the peer is */
        {50000 * MEGA, 0, 0, 4, 4},
        {50000 * MEGA, 0, 150 * MS, 4, 4},
        {0, 0, 0, 0, 1},
        /* 10 MB/s: 1.5 MB are 2.9 lanes of 512 KiB */
        {10 * MEGA, 512 * KIB, 150 * MS, 1, 3},
        {10 * MEGA, 512 * KIB, 150 * MS, 4, 4},
        {250 * MEGA, 512 * KIB, 12 * MS, 4, 6},
        {250 * MEGA, 512 * KIB, 1 * MS, 4, 4},
        /* no more than that, unless the fabric itself suggests more */
        {250 * MEGA, 512 * KIB, 150 * MS, 4, PR_LANES_UNTOLD_MAX},
        {UINT64_MAX, 1, UINT64_MAX, 4, PR_LANES_UNTOLD_MAX},
        {UINT64_MAX, 1, UINT64_MAX, 99, 99},
        /* not known */
        {0, 512 * KIB, 150 * MS, 4, 4},
        {250 * MEGA, 512 * KIB, 0, 4, 4},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_fabric_limits limits = {.suggested_lanes = table[i].suggested,
                                          .lane_flight_bytes = table[i].flight_bytes,
                                          .rate_Bps = table[i].rate_Bps};
        assert_int_equal(pr_lanes_wanted(&limits, table[i].rtt_ns), table[i].wanted);
    }
}

static void the_queue_decides(void **state)
{
    (void)state;
    static const struct {
        uint64_t idle_ns, rtt_ns;
        uint32_t used, count, next;
    } table[] = {
        /* no queue to speak of: twice as many */
        {1 * MS, 2 * MS, 1, 8, 2},
        {150 * MS, 150 * MS, 4, 16, 8},
        {150 * MS, 100 * MS, 4, 16, 8}, /* faster than idle: a matter of measuring */
        {1 * MS, 2 * MS, 3, 4, 4},
        {1 * MS, 2 * MS, 4, 4, 4},
        /* some: one more */
        {1 * MS, 40 * MS, 2, 8, 3},
        {150 * MS, 500 * MS, 4, 16, 5},
        /* too much: as many as make the queue that is allowed */
        {10 * MS, 300 * MS, 4, 4, 1},
        {10 * MS, 100 * MS, 4, 4, 2},
        {150 * MS, 1200 * MS, 8, 16, 4},
        {10 * MS, 9000 * MS, 1, 4, 1},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++)
        assert_int_equal(
            pr_lanes_next(table[i].used, table[i].count, table[i].idle_ns, table[i].rtt_ns),
            table[i].next);
}

/* A line of so many bytes a second and so long an idle round trip, looked at every 10 ms. Returns
 * the share of the line that was used in the last of the seconds. */
static double play(struct pr_lanes *lanes, uint64_t line_Bps, uint64_t idle_ns, uint64_t flight,
                   unsigned seconds)
{
    uint64_t now = 1, last_second = 0;
    double done = 0;
    for (unsigned i = 0; i < seconds * 100; i++) {
        if (i + 100 == seconds * 100)
            last_second = (uint64_t)done;
        double windows = (double)lanes->used * (double)flight;
        double most = windows * 1e9 / (double)idle_ns;
        done += (most < (double)line_Bps ? most : (double)line_Bps) / 100;
        now += 10 * MS;
        pr_lanes_look(lanes, now, (uint64_t)done, true, idle_ns);
    }
    return (done - (double)last_second) / (double)line_Bps;
}

static void the_line_is_filled_and_no_more(void **state)
{
    (void)state;
    static const struct {
        uint64_t line_Bps, idle_ns;
        uint32_t least, most; /* lanes in the end */
    } table[] = {
        {10 * MEGA, 150 * MS, 3, 13}, {10 * MEGA, 5 * MS, 1, 2}, {40 * MEGA, 150 * MS, 12, 16},
        {1000 * MEGA, 1 * MS, 2, 16}, {3 * MEGA, 10 * MS, 1, 2},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        for (uint32_t start = 1; start <= 16; start += 5) {
            struct pr_lanes lanes = {
                .lane_bytes = 512 * KIB, .flight_bytes = 512 * KIB, .count = 16, .used = start};
            double share = play(&lanes, table[i].line_Bps, table[i].idle_ns, 512 * KIB, 30);
            assert_in_range(lanes.used, table[i].least, table[i].most);
            assert_true(share > 0.99);
        }
    }
}

/* Something else lets only a fraction of lane_bytes be under way. */
static void what_is_really_under_way_is_learnt(void **state)
{
    (void)state;
    for (uint32_t start = 1; start <= 16; start += 3) {
        for (uint64_t flight = 60 * KIB; flight < 512 * KIB; flight += 50 * KIB) {
            struct pr_lanes lanes = {
                .lane_bytes = 512 * KIB, .flight_bytes = 512 * KIB, .count = 16, .used = start};
            assert_true(play(&lanes, 5 * MEGA, 150 * MS, flight, 60) > 0.9);
        }
    }
}

static void what_is_not_full_says_nothing(void **state)
{
    (void)state;
    struct pr_lanes lanes = {
        .lane_bytes = 512 * KIB, .flight_bytes = 512 * KIB, .count = 8, .used = 4};
    for (uint64_t i = 1; i < 1000; i++)
        pr_lanes_look(&lanes, i * 10 * MS, i * MEGA, i % 5 != 0, 1 * MS);
    assert_int_equal(lanes.used, 4);
}

static void where_nothing_bounds_a_lane_all_are_used(void **state)
{
    (void)state;
    struct pr_lanes lanes = {.count = 8, .used = 8};
    for (uint64_t i = 1; i < 1000; i++)
        pr_lanes_look(&lanes, i * 10 * MS, i * 1000, true, 1 * MS);
    assert_int_equal(lanes.used, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_follow_the_product),
        cmocka_unit_test(the_queue_decides),
        cmocka_unit_test(the_line_is_filled_and_no_more),
        cmocka_unit_test(what_is_really_under_way_is_learnt),
        cmocka_unit_test(what_is_not_full_says_nothing),
        cmocka_unit_test(where_nothing_bounds_a_lane_all_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
