/* SPDX-License-Identifier: BSD-2-Clause */
/* The sequences stay in range, can be replayed, and have the shape that their names promise. */
#include "cli/guest_pattern.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct seeded rng;

static uint32_t *count_writes(enum pr_guest_pattern pattern, uint64_t pages, uint64_t writes)
{
    struct pr_guest_sequence sequence;
    pr_guest_sequence_start(&sequence, pattern, seeded_next(&rng), 1, pages);
    uint32_t *counts = calloc(pages, sizeof(*counts));
    assert_non_null(counts);
    pr_guest_sequence_replay(&sequence, writes, counts);
    assert_int_equal(sequence.made, writes);
    return counts;
}

static void test_every_page_is_in_range(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        1, 2, 3, 9, 10, 11, 64, 1000, 65537, 1u << 20, PR_GUEST_SEQUENCE_PAGES_MAX};
    for (unsigned p = 0; p < PR_GUEST_PATTERNS; p++) {
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct pr_guest_sequence sequence;
            pr_guest_sequence_start(&sequence, (enum pr_guest_pattern)p, seeded_next(&rng), s,
                                    sizes[s]);
            for (unsigned i = 0; i < 20000; i++) {
                uint64_t page = pr_guest_sequence_next(&sequence);
                if (page >= sizes[s])
                    fail_msg("%s: page %" PRIu64 " of %" PRIu64,
                             pr_guest_pattern_name((enum pr_guest_pattern)p), page, sizes[s]);
            }
        }
    }
}

/* What the destination relies on: steps one by one and a replay in one go agree. */
static void test_a_replay_is_the_same_as_the_steps(void **state)
{
    (void)state;
    enum { PAGES = 1237, WRITES = 50000 };
    for (unsigned p = 0; p < PR_GUEST_PATTERNS; p++) {
        uint64_t seed = seeded_next(&rng);
        struct pr_guest_sequence stepped, replayed;
        pr_guest_sequence_start(&stepped, (enum pr_guest_pattern)p, seed, 3, PAGES);
        pr_guest_sequence_start(&replayed, (enum pr_guest_pattern)p, seed, 3, PAGES);
        static uint32_t one[PAGES], other[PAGES];
        memset(one, 0, sizeof(one));
        memset(other, 0, sizeof(other));
        for (unsigned i = 0; i < WRITES; i++)
            one[pr_guest_sequence_next(&stepped)]++;
        pr_guest_sequence_replay(&replayed, WRITES, other);
        assert_memory_equal(one, other, sizeof(one));
        assert_int_equal(pr_guest_sequence_next(&stepped), pr_guest_sequence_next(&replayed));
    }
}

/* Guests on two machines must agree for ever: these are this version's numbers. */
static void test_sequences_are_pinned(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PR_GUEST_PATTERNS; p++) {
        struct pr_guest_sequence sequence;
        pr_guest_sequence_start(&sequence, (enum pr_guest_pattern)p, 42, 1, 100000);
        uint64_t digest = 0;
        for (unsigned i = 0; i < 100000; i++)
            digest = digest * 1000003 + pr_guest_sequence_next(&sequence);
        static const uint64_t pinned[PR_GUEST_PATTERNS] = {
            [PR_GUEST_SEQ] = 0xb08ffa7f3764c8d0,       [PR_GUEST_UNIFORM] = 0x96099951e461f632,
            [PR_GUEST_HOT] = 0x6d4a1cf25eceebfb,       [PR_GUEST_ZIPF] = 0x1b1883d880086145,
            [PR_GUEST_ALTERNATE] = 0xab2ab44886257da0, [PR_GUEST_ZEROING] = 0x96099951e461f632,
        };
        if (digest != pinned[p])
            fail_msg("%s: 0x%016" PRIx64, pr_guest_pattern_name((enum pr_guest_pattern)p), digest);
    }
}

static void test_threads_and_seeds_differ(void **state)
{
    (void)state;
    uint64_t seed = seeded_next(&rng);
    struct pr_guest_sequence a, b, c;
    pr_guest_sequence_start(&a, PR_GUEST_UNIFORM, seed, 0, 1u << 30);
    pr_guest_sequence_start(&b, PR_GUEST_UNIFORM, seed, 1, 1u << 30);
    pr_guest_sequence_start(&c, PR_GUEST_UNIFORM, seed + 1, 0, 1u << 30);
    unsigned same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t page = pr_guest_sequence_next(&a);
        same += page == pr_guest_sequence_next(&b);
        same += page == pr_guest_sequence_next(&c);
    }
    assert_in_range(same, 0, 3);
}

static void test_seq_visits_each_page_in_turn(void **state)
{
    (void)state;
    uint32_t *counts = count_writes(PR_GUEST_SEQ, 1000, 2500);
    for (unsigned page = 0; page < 1000; page++)
        assert_int_equal(counts[page], page < 500 ? 3 : 2);
    free(counts);
}

static void test_alternate_leaves_every_second_page(void **state)
{
    (void)state;
    uint32_t *counts = count_writes(PR_GUEST_ALTERNATE, 1001, 501);
    for (unsigned page = 0; page < 1001; page++)
        assert_int_equal(counts[page], page % 2 == 0);
    free(counts);
}

static void test_uniform_is_even(void **state)
{
    (void)state;
    static const enum pr_guest_pattern even[] = {PR_GUEST_UNIFORM, PR_GUEST_ZEROING};
    for (unsigned p = 0; p < 2; p++) {
        uint32_t *counts = count_writes(even[p], 1000, 1000000);
        for (unsigned page = 0; page < 1000; page++)
            assert_in_range(counts[page], 800, 1200); /* six standard deviations */
        free(counts);
    }
}

static void test_hot_sends_nine_tenths_to_a_tenth(void **state)
{
    (void)state;
    uint32_t *counts = count_writes(PR_GUEST_HOT, 10000, 1000000);
    uint64_t hot = 0;
    unsigned cold_pages = 0;
    for (unsigned page = 0; page < 1000; page++)
        hot += counts[page];
    for (unsigned page = 1000; page < 10000; page++)
        cold_pages += counts[page] != 0;
    assert_in_range(hot, 898000, 902000);
    assert_in_range(cold_pages, 8990, 9000);
    free(counts);
}

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The law itself: rank k has its share 1 / (k H), H = 1 + 1/2 + ... + 1/pages. */
static void test_zipf_follows_its_law(void **state)
{
    (void)state;
    enum { PAGES = 5000, WRITES = 10000000 };
    uint32_t *counts = count_writes(PR_GUEST_ZIPF, PAGES, WRITES);
    qsort(counts, PAGES, sizeof(*counts), descending);
    double harmonic = 0;
    for (unsigned k = 1; k <= PAGES; k++)
        harmonic += 1.0 / k;
    for (unsigned k = 1; k <= 100; k++) {
        double expected = WRITES / (k * harmonic);
        if (counts[k - 1] < 0.97 * expected || counts[k - 1] > 1.03 * expected)
            fail_msg("rank %u: %u writes, expected %.0f", k, counts[k - 1], expected);
    }
    assert_true(counts[PAGES - 1] > 0);
    free(counts);
}

static void test_zipf_scatters_its_ranks(void **state)
{
    (void)state;
    uint32_t *counts = count_writes(PR_GUEST_ZIPF, 10000, 1000000);
    unsigned lower_half = 0, hot = 0;
    for (unsigned page = 0; page < 10000; page++) {
        hot += counts[page] > 500;
        lower_half += counts[page] > 500 && page < 5000;
    }
    assert_in_range(hot, 100, 400);
    assert_in_range(lower_half, hot / 4, hot * 3 / 4);
    free(counts);
}

static void test_names_go_both_ways(void **state)
{
    (void)state;
    enum pr_guest_pattern pattern;
    for (unsigned i = 0; i < PR_GUEST_PATTERNS; i++) {
        assert_true(
            pr_guest_pattern_find(pr_guest_pattern_name((enum pr_guest_pattern)i), &pattern));
        assert_int_equal(pattern, i);
    }
    assert_false(pr_guest_pattern_find("", &pattern));
    assert_null(pr_guest_pattern_name(PR_GUEST_PATTERNS));
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_page_is_in_range),
        cmocka_unit_test(test_a_replay_is_the_same_as_the_steps),
        cmocka_unit_test(test_sequences_are_pinned),
        cmocka_unit_test(test_threads_and_seeds_differ),
        cmocka_unit_test(test_seq_visits_each_page_in_turn),
        cmocka_unit_test(test_alternate_leaves_every_second_page),
        cmocka_unit_test(test_uniform_is_even),
        cmocka_unit_test(test_hot_sends_nine_tenths_to_a_tenth),
        cmocka_unit_test(test_zipf_follows_its_law),
        cmocka_unit_test(test_zipf_scatters_its_ranks),
        cmocka_unit_test(test_names_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
