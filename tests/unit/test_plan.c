/* SPDX-License-Identifier: BSD-2-Clause */
/* The transfers of a run: by table, and random runs against the properties of plan.h. */
#include "base/error.h"
#include "pagecopy/bits.h"
#include "pagecopy/plan.h"
#include "pagecopy/zero.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define PAGE ((uint64_t)PR_ZERO_PAGE_BYTES)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct seeded rng;

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        struct pr_plan_limits limits;
        int result;
    } cases[] = {
        {{PAGE, PAGE}, 0},         {{MIB, GIB}, 0},        {{3 * PAGE, 5 * PAGE}, 0},
        {{0, GIB}, -EINVAL},       {{MIB, 0}, -EINVAL},    {{MIB + 1, GIB}, -EINVAL},
        {{MIB, GIB + 1}, -EINVAL}, {{2048, GIB}, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pr_plan_limits_check(&cases[i].limits), cases[i].result);
    assert_non_null(strstr(pr_error_message(), "largest write"));
}

/* In pages: D = data page, 0 = zero page, from offset `at`. */
static const struct {
    const char *name;
    uint64_t max_write, window, at;
    const char *pages;
    struct {
        char kind;
        uint64_t offset, len;
    } expected[8];
} table[] = {
    {"nothing", 4, 8, 3, "", {{0}}},
    {"one data page", 4, 8, 3, "D", {{'D', 3, 1}}},
    {"one zero page", 4, 8, 3, "0", {{'0', 3, 1}}},
    {"cut at the largest write", 4, 100, 1, "DDDDDDDDD", {{'D', 1, 4}, {'D', 5, 4}, {'D', 9, 1}}},
    {"cut at windows", 100, 8, 6, "DDDDDDDDDDDD", {{'D', 6, 2}, {'D', 8, 8}, {'D', 16, 2}}},
    {"cut at both", 3, 8, 6, "DDDDDDDD", {{'D', 6, 2}, {'D', 8, 3}, {'D', 11, 3}}},
    {"a zero stretch crosses windows whole", 2, 8, 6, "000000000000", {{'0', 6, 12}}},
    {"alternating", 4, 8, 0, "D0D0", {{'D', 0, 1}, {'0', 1, 1}, {'D', 2, 1}, {'0', 3, 1}}},
    {"zero between data", 4, 8, 6, "DD00DD", {{'D', 6, 2}, {'0', 8, 2}, {'D', 10, 2}}},
    {"zero at both ends",
     4,
     8,
     0,
     "00DDDDD0",
     {{'0', 0, 2}, {'D', 2, 4}, {'D', 6, 1}, {'0', 7, 1}}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        uint64_t zero = 0, pages = strlen(table[t].pages);
        for (uint64_t i = 0; i < pages; i++)
            zero |= (uint64_t)(table[t].pages[i] == '0') << i;
        struct pr_plan_limits limits = {table[t].max_write * PAGE, table[t].window * PAGE};
        struct pr_plan plan = pr_plan_start(&limits, table[t].at * PAGE, pages * PAGE, &zero);
        struct pr_transfer got;
        size_t n = 0;
        for (; pr_plan_next(&plan, &got); n++) {
            print_message("%s: %c %" PRIu64 "+%" PRIu64 "\n", table[t].name, got.zero ? '0' : 'D',
                          got.offset_bytes / PAGE, got.len_bytes / PAGE);
            assert_int_equal(got.zero ? '0' : 'D', table[t].expected[n].kind);
            assert_int_equal(got.offset_bytes, table[t].expected[n].offset * PAGE);
            assert_int_equal(got.len_bytes, table[t].expected[n].len * PAGE);
        }
        assert_int_equal(table[t].expected[n].kind, 0);
    }
}

/* Limits that the properties must hold for; windows that are no power of two among them. */
static struct pr_plan_limits draw_limits(void)
{
    return (struct pr_plan_limits){
        .max_write_bytes = (1 + seeded_below(&rng, 40)) * PAGE,
        .window_bytes = (1 + seeded_below(&rng, 100)) * PAGE,
    };
}

static bool is_zero(const uint64_t *zero_bits, uint64_t page)
{
    return zero_bits && pr_bits_test(zero_bits, page);
}

/* Would the next page have fitted as well? Then the transfer is shorter than it must be. */
static bool could_grow(const struct pr_plan_limits *limits, const struct pr_transfer *t,
                       bool next_zero)
{
    uint64_t end = t->offset_bytes + t->len_bytes;
    if (t->zero)
        return next_zero;
    return !next_zero && t->len_bytes < limits->max_write_bytes && end % limits->window_bytes;
}

static void check(const struct pr_plan_limits *limits, uint64_t offset, uint64_t pages,
                  const uint64_t *zero_bits)
{
    struct pr_plan plan = pr_plan_start(limits, offset, pages * PAGE, zero_bits);
    struct pr_transfer t;
    uint64_t at = 0;
    while (pr_plan_next(&plan, &t)) {
        assert_int_equal(t.offset_bytes, offset + at * PAGE);
        assert_true(t.len_bytes && t.len_bytes % PAGE == 0);
        uint64_t end = at + t.len_bytes / PAGE;
        assert_true(end <= pages);
        for (; at < end; at++)
            assert_int_equal(is_zero(zero_bits, at), t.zero);
        if (!t.zero) {
            assert_true(t.len_bytes <= limits->max_write_bytes);
            assert_int_equal(t.offset_bytes / limits->window_bytes,
                             (t.offset_bytes + t.len_bytes - 1) / limits->window_bytes);
        }
        if (end < pages)
            assert_false(could_grow(limits, &t, is_zero(zero_bits, end)));
    }
    assert_int_equal(at, pages);
    assert_false(pr_plan_next(&plan, &t));
}

static void test_random_runs(void **state)
{
    (void)state;
    enum { WORDS = 10 };
    uint64_t zero[WORDS];
    for (unsigned round = 0; round < 5000; round++) {
        uint64_t pages = seeded_below(&rng, WORDS * 64 + 1);
        struct pr_plan_limits limits = draw_limits();
        for (unsigned i = 0; i < WORDS; i++) {
            uint64_t shape = seeded_below(&rng, 5);
            zero[i] = seeded_next(&rng);
            for (uint64_t n = 0; n < shape; n++) /* denser or sparser */
                zero[i] = i % 2 ? zero[i] & seeded_next(&rng) : zero[i] | seeded_next(&rng);
        }
        check(&limits, seeded_below(&rng, 1000) * PAGE, pages, round % 8 ? zero : NULL);
    }
}

/* Huge pages are longer runs, nothing else; offsets beyond 32 bits. */
static void test_huge_pages(void **state)
{
    (void)state;
    struct pr_plan_limits limits = {MIB, GIB};
    uint64_t pages = GIB / PAGE, words = pr_bits_words(pages);
    uint64_t *zero = calloc(words, sizeof(*zero));
    assert_int_equal(pr_plan_limits_check(&limits), 0);
    check(&limits, 23 * (GIB << 10), 2 * MIB / PAGE, NULL);
    check(&limits, 23 * (GIB << 10), pages, NULL);
    for (uint64_t i = 0; i < words; i++)
        zero[i] = i % 5 ? 0 : UINT64_MAX;
    check(&limits, 23 * (GIB << 10), pages, zero);
    memset(zero, 0xff, words * sizeof(*zero));
    check(&limits, 7 * GIB, pages, zero);
    free(zero);
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random_runs),
        cmocka_unit_test(test_huge_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
