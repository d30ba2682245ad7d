/* SPDX-License-Identifier: BSD-2-Clause */
/* Every way in which a migrated page can be wrong is found, and told in words. */
#include "cli/guest_model.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define PAGE PR_GUEST_PAGE_BYTES

static struct seeded rng;
static _Alignas(64) unsigned char page_a[PAGE];
static _Alignas(64) unsigned char page_b[PAGE];

static struct pr_guest_model some_model(void)
{
    return (struct pr_guest_model){.seed = seeded_next(&rng), .fill = PR_GUEST_FILL_RANDOM};
}

static void test_what_is_written_checks(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct pr_guest_model model = {.seed = seeded_next(&rng),
                                       .fill = (enum pr_guest_fill)seeded_below(&rng, 3),
                                       .zeroing = seeded_below(&rng, 2)};
        uint64_t page = seeded_next(&rng) >> 28;
        uint32_t count = (uint32_t)seeded_next(&rng) >> seeded_below(&rng, 32);
        pr_guest_model_write(&model, page, count, page_a);
        assert_int_equal(pr_guest_model_check(&model, page, count, page_a), PAGE);
        memset(page_b, 0, PAGE);
        assert_int_equal(!memcmp(page_a, page_b, PAGE),
                         pr_guest_model_is_zero(&model, page, count));
    }
}

static void test_every_single_wrong_byte_is_found(void **state)
{
    (void)state;
    struct pr_guest_model model = some_model();
    pr_guest_model_write(&model, 7, 3, page_a);
    for (size_t i = 0; i < PAGE; i++) {
        page_a[i] ^= 0x40;
        assert_int_equal(pr_guest_model_check(&model, 7, 3, page_a), i / 8 * 8);
        page_a[i] ^= 0x40;
    }
}

static void expect_words(const struct pr_guest_model *model, uint64_t page, uint32_t count,
                         size_t offset, const char *words)
{
    char text[256];
    assert_int_equal(pr_guest_model_check(model, page, count, page_a), offset);
    pr_guest_model_describe(model, 1000, page, count, page_a, offset, text, sizeof(text));
    if (!strstr(text, words))
        fail_msg("'%s' does not say '%s'", text, words);
}

static void test_a_stale_page_tells_its_age(void **state)
{
    (void)state;
    struct pr_guest_model model = some_model();
    pr_guest_model_write(&model, 12, 4, page_a);
    expect_words(&model, 12, 9, 0, "a version 5 writes old");
    expect_words(&model, 12, 3, 0, "the version after write 4, from the future");
}

static void test_a_misplaced_page_tells_where_it_belongs(void **state)
{
    (void)state;
    struct pr_guest_model model = some_model();
    pr_guest_model_write(&model, 998, 6, page_a);
    expect_words(&model, 12, 6, 0, "page 998 after 6 writes");
}

static void test_foreign_bytes_and_zeroes_are_told(void **state)
{
    (void)state;
    struct pr_guest_model model = some_model();
    memset(page_a, 0xee, PAGE);
    expect_words(&model, 12, 6, 0, "belongs to no page");
    memset(page_a, 0, PAGE);
    expect_words(&model, 12, 6, 0, "found zeroes");
    model.zeroing = true;
    pr_guest_model_write(&model, 12, 6, page_a);
    expect_words(&model, 12, 7, 0, "expected zeroes after 7 writes, found a version 1 writes old");
}

/* Torn at any 8-byte boundary, between any two versions: the new half must not satisfy the old
 * model nor the other way round. */
static void test_a_torn_page_is_found_wherever_it_tears(void **state)
{
    (void)state;
    struct pr_guest_model model = some_model();
    for (size_t tear = 8; tear < PAGE; tear += 8) {
        uint32_t count = 1 + (uint32_t)seeded_below(&rng, 1000);
        pr_guest_model_write(&model, 12, count, page_a);
        pr_guest_model_write(&model, 12, count - 1, page_b);
        memcpy(page_a + tear, page_b + tear, PAGE - tear);
        expect_words(&model, 12, count, tear, "a torn page");
    }
}

static void test_fill_mixed_has_both_kinds_in_runs(void **state)
{
    (void)state;
    struct pr_guest_model model = {.seed = seeded_next(&rng), .fill = PR_GUEST_FILL_MIXED};
    unsigned zero = 0, changes = 0;
    bool last = false;
    for (uint64_t page = 0; page < 65536; page++) {
        bool is = pr_guest_model_is_zero(&model, page, 0);
        zero += is;
        changes += is != last;
        last = is;
        assert_false(pr_guest_model_is_zero(&model, page, 1));
    }
    assert_in_range(zero, 65536 / 3, 65536 * 2 / 3);
    assert_in_range(changes, 65536 / 64, 65536 / 4);
}

static void test_zeroing_flips(void **state)
{
    (void)state;
    struct pr_guest_model model = {.fill = PR_GUEST_FILL_ZERO, .zeroing = true};
    static const bool expected[] = {true, true, false, true, false};
    for (uint32_t count = 0; count < 5; count++)
        assert_int_equal(pr_guest_model_is_zero(&model, 5, count), expected[count]);
}

static void test_names_go_both_ways(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_GUEST_FILLS; i++) {
        enum pr_guest_fill fill;
        assert_true(pr_guest_fill_find(pr_guest_fill_name((enum pr_guest_fill)i), &fill));
        assert_int_equal(fill, i);
    }
    enum pr_guest_fill fill;
    assert_false(pr_guest_fill_find("Zero", &fill));
    assert_null(pr_guest_fill_name(PR_GUEST_FILLS));
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_checks),
        cmocka_unit_test(test_every_single_wrong_byte_is_found),
        cmocka_unit_test(test_a_stale_page_tells_its_age),
        cmocka_unit_test(test_a_misplaced_page_tells_where_it_belongs),
        cmocka_unit_test(test_foreign_bytes_and_zeroes_are_told),
        cmocka_unit_test(test_a_torn_page_is_found_wherever_it_tears),
        cmocka_unit_test(test_fill_mixed_has_both_kinds_in_runs),
        cmocka_unit_test(test_zeroing_flips),
        cmocka_unit_test(test_names_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
