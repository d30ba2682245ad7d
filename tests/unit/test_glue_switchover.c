/* SPDX-License-Identifier: BSD-2-Clause */
/* qemu-glue/switchover.h: what QEMU is told is left, and how fast it goes. */
#include "qemu-glue/switchover.h"

#include "tests/unit/check.h"

#define MIB (UINT64_C(1) << 20)

/* As if a 64th of downtime-limit were allowed, or all of it. */
static void the_rest_counts_for_more_while_rounds_shrink(void **state)
{
    (void)state;
    static const struct {
        uint64_t left, pending, dirty, told;
    } looks[] = {
        {512 * MIB, 0, 512 * MIB, 63 * 512 * MIB}, /* all of it, in the first round */
        {100 * MIB, 32 * MIB, 80 * MIB, 7088 * MIB},
        {79 * MIB, 0, 79 * MIB, 63 * 79 * MIB},
        {70 * MIB, 10 * MIB, 60 * MIB, 10 * MIB}, /* no longer */
        {70 * MIB, 0, 70 * MIB, 0},
        {5 * MIB, 1 * MIB, 5 * MIB, 379 * MIB}, /* again */
        {10 * MIB, 0, 10 * MIB, 0},
        {6 * MIB, 0, 6 * MIB, 0}, /* less than before, but not than ever */
        {0, 0, 0, 0},
        {0, 0, 0, 0},
    };
    RdmaSwitchover s;
    rdma_switchover_begin(&s);
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        rdma_switchover_look(&s, looks[i].left);
        assert_int_equal(rdma_switchover_pending(&s, looks[i].pending, looks[i].dirty),
                         looks[i].told);
    }
}

static void assert_near(double found, double wanted)
{
    if (found < wanted * 0.999 || found > wanted * 1.001)
        fail_msg("%f, not %f", found, wanted);
}

/* Ten kibibytes a millisecond that complete as one burst in five tenths of a second. */
static void a_burst_is_no_bandwidth(void **state)
{
    (void)state;
    RdmaSwitchover s;
    double most = 0;
    rdma_switchover_begin(&s);
    for (int i = 0; i < 100; i++) {
        double now = rdma_switchover_bandwidth(&s, i % 5 == 4 ? 5000e3 : 0, 100);
        if (i >= 20 && now > most)
            most = now;
    }
    assert_true(most < 15e3); /* a tenth of a second by itself says 50e3 */
}

/* As with throttled processors: 3 MB in a period, then a log that takes a second to read. */
static void reading_the_log_is_no_bandwidth(void **state)
{
    (void)state;
    RdmaSwitchover s;
    rdma_switchover_begin(&s);
    rdma_switchover_look(&s, 100 * MIB);
    for (int i = 0; i < 50; i++) {
        assert_near(rdma_switchover_bandwidth(&s, 3e6, 100), 3e4);
        rdma_switchover_look(&s, 3 * MIB);
        assert_near(rdma_switchover_bandwidth(&s, 1e6, 1100), 3e4);
    }
}

/* As with a large guest that is mostly empty: seconds of zeroes, and then short rounds only. */
static void short_rounds_have_a_bandwidth(void **state)
{
    (void)state;
    RdmaSwitchover s;
    rdma_switchover_begin(&s);
    rdma_switchover_look(&s, 100 * MIB);
    for (int i = 0; i < 100; i++)
        rdma_switchover_bandwidth(&s, 0, 100);
    assert_near(s.bandwidth, 0);
    for (int i = 0; i < 20; i++) {
        rdma_switchover_look(&s, 4 * MIB);
        rdma_switchover_bandwidth(&s, i % 5 == 4 ? 20e6 : 0, 100); /* in bursts */
    }
    assert_near(s.bandwidth, 4e4);
}

static void a_steady_flow_is_its_bandwidth_from_the_start(void **state)
{
    (void)state;
    RdmaSwitchover s;
    rdma_switchover_begin(&s);
    for (int i = 0; i < 30; i++)
        assert_near(rdma_switchover_bandwidth(&s, 7e5, 100), 7e3);
    assert_near(rdma_switchover_bandwidth(&s, 7e3 * 2500, 2500),
                7e3); /* longer than it remembers */
    for (int i = 0; i < 60; i++)
        rdma_switchover_bandwidth(&s, 1e5, 100);
    assert_true(s.bandwidth < 1.1e3); /* what was is forgotten */
}

static void the_first_second_is_a_plain_average(void **state)
{
    (void)state;
    RdmaSwitchover s;
    rdma_switchover_begin(&s);
    assert_near(rdma_switchover_bandwidth(&s, 4e5, 100), 4e3);
    assert_near(rdma_switchover_bandwidth(&s, 0, 100), 2e3);
    assert_near(rdma_switchover_bandwidth(&s, 8e5, 200), 3e3);
}

static void the_downtime_ends_where_the_guest_runs(void **state)
{
    (void)state;
    enum { MS = 1000000 };
    static const struct {
        int64_t released, told;
        uint64_t rtt, resume;
        int64_t downtime; /* of a guest that stood from 1000 ms on */
    } rows[] = {
        {1080LL * MS, 1130LL * MS, 4 * MS, 20 * MS, 102},
        {1080LL * MS, 1130LL * MS, 0, 0, 80},
        {1080LL * MS, 1090LL * MS, 4 * MS, 20 * MS, 90}, /* it cannot have been so long */
        {1080LL * MS, 1090LL * MS, 400 * MS, 0, 90},
        {1080LL * MS, 1130LL * MS, 4 * MS, UINT64_MAX, 130},
        {1080LL * MS, 1130LL * MS, 4 * MS, UINT64_MAX - 1080LL * MS, 130},
        {1080LL * MS, 1130LL * MS, UINT64_MAX, UINT64_MAX, 130},
        {1080LL * MS, 1079LL * MS, 4 * MS, 20 * MS, 80}, /* a clock that goes back */
        {1000LL * MS, 1000LL * MS, 0, 0, 1},
        {900LL * MS, 901LL * MS, 0, 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(rdma_switchover_downtime(1000, rows[i].released, rows[i].told, rows[i].rtt,
                                                  rows[i].resume),
                         rows[i].downtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rest_counts_for_more_while_rounds_shrink),
        cmocka_unit_test(a_burst_is_no_bandwidth),
        cmocka_unit_test(reading_the_log_is_no_bandwidth),
        cmocka_unit_test(short_rounds_have_a_bandwidth),
        cmocka_unit_test(a_steady_flow_is_its_bandwidth_from_the_start),
        cmocka_unit_test(the_first_second_is_a_plain_average),
        cmocka_unit_test(the_downtime_ends_where_the_guest_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
