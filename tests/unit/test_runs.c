/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs against a walk over single bits; takers beside setters. */
#include "base/runtime.h"
#include "pagecopy/runs.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct seeded rng;

enum { MOST_WORDS = 80, MOST = MOST_WORDS * 64 };

/* The reference. */
static bool naive_next(const uint64_t *words, uint64_t *at, uint64_t end, uint64_t max,
                       struct pr_run *out)
{
    while (*at < end && !pr_bits_test(words, *at))
        ++*at;
    out->first_page = *at;
    while (*at < end && pr_bits_test(words, *at) && *at - out->first_page < max)
        ++*at;
    out->pages = *at - out->first_page;
    return out->pages != 0;
}

static void set_naive(uint64_t *words, uint64_t first, uint64_t pages)
{
    for (uint64_t i = first; i < first + pages; i++)
        words[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Dense noise, sparse noise, clusters, all, or none. */
static void fill(uint64_t *words, uint64_t pages)
{
    uint64_t shape = seeded_below(&rng, 5);
    memset(words, 0, MOST_WORDS * sizeof(*words));
    if (shape == 0)
        for (uint64_t i = 0; i < pages; i++)
            if (seeded_below(&rng, 3))
                set_naive(words, i, 1);
    if (shape == 1)
        for (uint64_t n = seeded_below(&rng, 5); n; n--)
            set_naive(words, seeded_below(&rng, pages), 1);
    if (shape == 2)
        for (uint64_t n = seeded_below(&rng, 8); n; n--) {
            uint64_t first = seeded_below(&rng, pages);
            set_naive(words, first, seeded_below(&rng, pages - first + 1));
        }
    if (shape == 3)
        set_naive(words, 0, pages);
}

static uint64_t draw_max(void)
{
    return seeded_below(&rng, 2) ? PR_RUNS_UNLIMITED : 1 + seeded_below(&rng, 200);
}

/* Compares the runs of [first, end) of `words` one by one. */
static void compare(struct pr_runs *runs, const uint64_t *words, uint64_t first, uint64_t end,
                    uint64_t max)
{
    struct pr_run got, expected;
    uint64_t at = first;
    while (naive_next(words, &at, end, max, &expected)) {
        assert_true(pr_runs_next(runs, &got));
        if (got.first_page != expected.first_page || got.pages != expected.pages)
            fail_msg("run %" PRIu64 "+%" PRIu64 " instead of %" PRIu64 "+%" PRIu64, got.first_page,
                     got.pages, expected.first_page, expected.pages);
    }
    assert_false(pr_runs_next(runs, &got));
    assert_false(pr_runs_next(runs, &got));
}

static void test_random_maps_random_ranges(void **state)
{
    (void)state;
    uint64_t words[MOST_WORDS], before[MOST_WORDS];
    for (unsigned round = 0; round < 4000; round++) {
        uint64_t pages = 1 + seeded_below(&rng, MOST), first = seeded_below(&rng, pages);
        uint64_t end = first + seeded_below(&rng, pages - first + 1), max = draw_max();
        fill(words, pages);
        memcpy(before, words, sizeof(words));

        struct pr_runs runs = pr_runs_over(words, first, end - first, max);
        compare(&runs, before, first, end, max);
        assert_memory_equal(words, before, sizeof(words));

        struct pr_bitmap bitmap = pr_bitmap_over(words, pages);
        runs = pr_runs_take(&bitmap, first, end - first, max);
        compare(&runs, before, first, end, max);
        for (uint64_t i = 0; i < pages; i++) {
            bool outside = i < first || i >= end;
            assert_int_equal(pr_bits_test(words, i), outside && pr_bits_test(before, i));
        }
    }
}

/* Every pair of ends around a word boundary, alone in the map. */
static void test_one_run_with_any_ends(void **state)
{
    (void)state;
    enum { PAGES = 260 };
    uint64_t words[MOST_WORDS];
    for (uint64_t first = 0; first < PAGES; first++) {
        for (uint64_t pages = 1; pages <= PAGES - first; pages++) {
            struct pr_run run;
            memset(words, 0, sizeof(words));
            struct pr_bitmap bitmap = pr_bitmap_over(words, PAGES);
            pr_bitmap_set_range(&bitmap, first, pages);
            struct pr_runs runs = pr_runs_take(&bitmap, 0, PAGES, PR_RUNS_UNLIMITED);
            assert_true(pr_runs_next(&runs, &run));
            assert_int_equal(run.first_page, first);
            assert_int_equal(run.pages, pages);
            assert_false(pr_runs_next(&runs, &run));
            assert_int_equal(pr_bitmap_count(&bitmap, 0, PAGES), 0);
        }
    }
}

static void test_stop_gives_back_what_was_not_handed_out(void **state)
{
    (void)state;
    uint64_t words[MOST_WORDS], before[MOST_WORDS];
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t pages = 1 + seeded_below(&rng, MOST), max = draw_max();
        fill(words, pages);
        memcpy(before, words, sizeof(words));
        struct pr_bitmap bitmap = pr_bitmap_over(words, pages);
        struct pr_runs runs = pr_runs_take(&bitmap, 0, pages, max);
        struct pr_run run;
        for (uint64_t n = seeded_below(&rng, 6); n && pr_runs_next(&runs, &run); n--)
            for (uint64_t i = run.first_page; i < run.first_page + run.pages; i++) {
                assert_true(pr_bits_test(before, i));
                before[i / 64] &= ~(UINT64_C(1) << (i % 64));
            }
        pr_runs_stop(&runs);
        assert_memory_equal(words, before, sizeof(words));
        assert_false(pr_runs_next(&runs, &run));
    }
}

/* A page is clear by the time it is handed out, and dirtied again it is found by the next walk. */
static void test_clear_before_handed_out(void **state)
{
    (void)state;
    struct pr_bitmap bitmap;
    assert_int_equal(pr_bitmap_open(&bitmap, 1000), 0);
    pr_bitmap_set_range(&bitmap, 30, 200);
    struct pr_runs runs = pr_runs_take(&bitmap, 0, 1000, 100);
    struct pr_run run;
    assert_true(pr_runs_next(&runs, &run));
    assert_int_equal(pr_bitmap_count(&bitmap, run.first_page, run.pages), 0);
    pr_bitmap_set_range(&bitmap, run.first_page + 5, 1);
    assert_true(pr_runs_next(&runs, &run));
    assert_false(pr_runs_next(&runs, &run));
    runs = pr_runs_take(&bitmap, 0, 1000, 100);
    assert_true(pr_runs_next(&runs, &run));
    assert_int_equal(run.first_page, 35);
    assert_int_equal(run.pages, 1);
    pr_bitmap_close(&bitmap);
}

/* Takers on ranges that share words, setters all over: each set is handed out exactly once. */
enum { STRESS_PAGES = 1 << 15, PARTS = 2 };

static struct pr_bitmap stress;
static _Atomic unsigned char handed_out[STRESS_PAGES];
static _Atomic unsigned setting;

static void setter_main(void *opaque)
{
    (void)opaque;
    for (uint64_t i = 0; i < STRESS_PAGES; i += 4)
        pr_bitmap_set_range(&stress, i * 12345 % STRESS_PAGES / 4 * 4, 4);
    atomic_fetch_sub(&setting, 1);
}

static void take_part(uint64_t part)
{
    /* The border lies inside a word. */
    uint64_t border = STRESS_PAGES / 2 + 17;
    uint64_t first = part ? border : 0, end = part ? STRESS_PAGES : border;
    struct pr_runs runs = pr_runs_take(&stress, first, end - first, 50);
    struct pr_run run;
    while (pr_runs_next(&runs, &run))
        for (uint64_t i = run.first_page; i < run.first_page + run.pages; i++)
            atomic_fetch_add(&handed_out[i], 1);
}

static void taker_main(void *opaque)
{
    while (atomic_load(&setting))
        take_part(*(uint64_t *)opaque);
}

static void test_takers_beside_a_setter_lose_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct pr_thread *setter, *takers[PARTS];
        uint64_t part[PARTS] = {0, 1};
        assert_int_equal(pr_bitmap_open(&stress, STRESS_PAGES), 0);
        memset((void *)handed_out, 0, sizeof(handed_out));
        atomic_store(&setting, 1);
        for (unsigned i = 0; i < PARTS; i++)
            assert_int_equal(pr_thread_spawn(&takers[i], "taker", taker_main, &part[i]), 0);
        assert_int_equal(pr_thread_spawn(&setter, "setter", setter_main, NULL), 0);
        pr_thread_join(setter);
        for (unsigned i = 0; i < PARTS; i++) {
            pr_thread_join(takers[i]);
            take_part(i);
        }
        for (uint64_t i = 0; i < STRESS_PAGES; i++)
            if (atomic_load(&handed_out[i]) != 1)
                fail_msg("page %" PRIu64 " came %d times", i, atomic_load(&handed_out[i]));
        assert_int_equal(pr_bitmap_count(&stress, 0, STRESS_PAGES), 0);
        pr_bitmap_close(&stress);
    }
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_maps_random_ranges),
        cmocka_unit_test(test_one_run_with_any_ends),
        cmocka_unit_test(test_stop_gives_back_what_was_not_handed_out),
        cmocka_unit_test(test_clear_before_handed_out),
        cmocka_unit_test(test_takers_beside_a_setter_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
