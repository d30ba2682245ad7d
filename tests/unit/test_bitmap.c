/* SPDX-License-Identifier: BSD-2-Clause */
/* The dirty bitmap against an array of bytes, and with threads that set and take at once. */
#include "base/error.h"
#include "base/runtime.h"
#include "pagecopy/bitmap.h"
#include "pagecopy/skip.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct seeded rng;

static void test_open_refuses_an_empty_one(void **state)
{
    (void)state;
    struct pr_bitmap bitmap = {0};
    assert_int_equal(pr_bitmap_open(&bitmap, 0), -EINVAL);
    assert_string_not_equal(pr_error_message(), "");
    pr_bitmap_close(&bitmap);
}

/* 24 TiB of pages: must not cost 768 MiB. */
static void test_a_huge_one_opens_clean(void **state)
{
    (void)state;
    const uint64_t pages = UINT64_C(24) << 28;
    struct pr_bitmap bitmap;
    assert_int_equal(pr_bitmap_open(&bitmap, pages), 0);
    assert_false(pr_bitmap_test(&bitmap, 0));
    pr_bitmap_set_range(&bitmap, pages - 3, 3);
    assert_int_equal(pr_bitmap_count(&bitmap, pages - 1000, 1000), 3);
    pr_bitmap_close(&bitmap);
    pr_bitmap_close(&bitmap);
}

static void compare(const struct pr_bitmap *bitmap, const unsigned char *model, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (pr_bitmap_test(bitmap, i) != model[i])
            fail_msg("page %" PRIu64 " of %" PRIu64 " should be %d", i, pages, model[i]);
}

static void test_set_range_test_count(void **state)
{
    (void)state;
    enum { MOST = 700 };
    unsigned char model[MOST];
    for (unsigned round = 0; round < 400; round++) {
        uint64_t pages = 1 + seeded_below(&rng, MOST);
        struct pr_bitmap bitmap;
        assert_int_equal(pr_bitmap_open(&bitmap, pages), 0);
        memset(model, 0, sizeof(model));
        for (unsigned i = 0; i < 3; i++) {
            uint64_t first = seeded_below(&rng, pages);
            uint64_t len = seeded_below(&rng, pages - first + 1);
            pr_bitmap_set_range(&bitmap, first, len);
            memset(model + first, 1, len);
        }
        compare(&bitmap, model, pages);
        uint64_t first = seeded_below(&rng, pages), len = seeded_below(&rng, pages - first + 1);
        uint64_t count = 0;
        for (uint64_t i = first; i < first + len; i++)
            count += model[i];
        assert_int_equal(pr_bitmap_count(&bitmap, first, len), count);
        pr_bitmap_close(&bitmap);
    }
}

static void test_set_word_adds_and_drops_what_lies_past_the_end(void **state)
{
    (void)state;
    struct pr_bitmap bitmap;
    assert_int_equal(pr_bitmap_open(&bitmap, 70), 0);
    pr_bitmap_set_word(&bitmap, 1, 1);
    pr_bitmap_set_word(&bitmap, 1, UINT64_MAX << 2);
    pr_bitmap_set_word(&bitmap, 0, 0);
    assert_int_equal(pr_bitmap_take(&bitmap, 1, UINT64_MAX), 0x3d);
    assert_int_equal(pr_bitmap_take(&bitmap, 0, UINT64_MAX), 0);
    pr_bitmap_close(&bitmap);
}

static void test_take_clears_what_it_returns_and_nothing_else(void **state)
{
    (void)state;
    uint64_t word;
    struct pr_bitmap bitmap = pr_bitmap_over(&word, 64);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t start = seeded_next(&rng), mask = i % 2 ? seeded_next(&rng) : UINT64_MAX;
        word = start;
        assert_int_equal(pr_bitmap_take(&bitmap, 0, mask), start & mask);
        assert_int_equal(word, start & ~mask);
        assert_int_equal(pr_bitmap_take(&bitmap, 0, mask), 0);
    }
}

static void check_skip(const struct pr_skip_variant *v, const uint64_t *words, uint64_t count)
{
    for (uint64_t at = 0; at <= count; at++) {
        uint64_t end = at + seeded_below(&rng, count - at + 1), expected = at;
        while (expected < end && !words[expected])
            expected++;
        assert_int_equal(v->find(words, at, end), expected);
    }
}

static void test_skip_finds_the_first_word(void **state)
{
    (void)state;
    enum { COUNT = 150 };
    uint64_t *words = calloc(COUNT, sizeof(*words));
    struct pr_skip_variant v;
    for (unsigned i = 0; pr_skip_variant_get(i, &v); i++) {
        printf("# skip variant %s: %s\n", v.name, v.supported ? "tested" : "not here");
        for (unsigned round = 0; v.supported && round < 300; round++) {
            memset(words, 0, COUNT * sizeof(*words));
            for (uint64_t set = seeded_below(&rng, 4); set; set--)
                words[seeded_below(&rng, COUNT)] = UINT64_C(1) << seeded_below(&rng, 64);
            check_skip(&v, words, COUNT);
        }
    }
    free(words);
}

/*
 * Setters mark every page once, one at a time in an order of their own, while takers empty the
 * bitmap. Each page must be taken exactly once in all, and what was stored for it before it was
 * marked must be visible to who took it.
 */
enum { STRESS_PAGES = 1 << 16, SETTERS = 2, TAKERS = 2 };

static struct pr_bitmap stress;
static unsigned char stored[STRESS_PAGES];        /* plain: ordered by the bitmap alone */
static _Atomic unsigned char taken[STRESS_PAGES]; /* how often */
static _Atomic unsigned setting;
static _Atomic uint64_t stale;

static void setter_main(void *opaque)
{
    uint64_t part = *(uint64_t *)opaque;
    for (uint64_t i = 0; i < STRESS_PAGES / SETTERS; i++) {
        /* An odd factor visits every page; neighbours of one word belong to different setters. */
        uint64_t page = (i * SETTERS + part) * 40503 % STRESS_PAGES;
        stored[page] = (unsigned char)(page % 251 + 1);
        pr_bitmap_set_range(&stress, page, 1);
    }
    atomic_fetch_sub(&setting, 1);
}

static void take_all(void)
{
    for (uint64_t i = 0; i < STRESS_PAGES / 64; i++) {
        uint64_t bits = pr_bitmap_take(&stress, i, UINT64_MAX);
        for (; bits; bits &= bits - 1) {
            uint64_t page = i * 64 + (unsigned)__builtin_ctzll(bits);
            atomic_fetch_add(&taken[page], 1);
            if (stored[page] != page % 251 + 1)
                atomic_fetch_add(&stale, 1);
        }
    }
}

static void taker_main(void *opaque)
{
    (void)opaque;
    while (atomic_load(&setting))
        take_all();
}

static void test_threads_that_set_and_take_lose_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct pr_thread *threads[SETTERS + TAKERS];
        uint64_t part[SETTERS];
        assert_int_equal(pr_bitmap_open(&stress, STRESS_PAGES), 0);
        memset(stored, 0, sizeof(stored));
        memset((void *)taken, 0, sizeof(taken));
        atomic_store(&setting, SETTERS);
        for (unsigned i = 0; i < TAKERS; i++)
            assert_int_equal(pr_thread_spawn(&threads[i], "taker", taker_main, NULL), 0);
        for (unsigned i = 0; i < SETTERS; i++) {
            part[i] = i;
            assert_int_equal(pr_thread_spawn(&threads[TAKERS + i], "setter", setter_main, &part[i]),
                             0);
        }
        for (unsigned i = 0; i < SETTERS + TAKERS; i++)
            pr_thread_join(threads[i]);
        take_all();
        for (uint64_t i = 0; i < STRESS_PAGES; i++)
            if (atomic_load(&taken[i]) != 1)
                fail_msg("page %" PRIu64 " was taken %d times", i, atomic_load(&taken[i]));
        assert_int_equal(atomic_load(&stale), 0);
        pr_bitmap_close(&stress);
    }
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_refuses_an_empty_one),
        cmocka_unit_test(test_a_huge_one_opens_clean),
        cmocka_unit_test(test_set_range_test_count),
        cmocka_unit_test(test_set_word_adds_and_drops_what_lies_past_the_end),
        cmocka_unit_test(test_take_clears_what_it_returns_and_nothing_else),
        cmocka_unit_test(test_skip_finds_the_first_word),
        cmocka_unit_test(test_threads_that_set_and_take_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
