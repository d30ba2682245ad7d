/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/text.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define KIB 1024ull
#define GIB (KIB * KIB * KIB)

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"64K", 64 * KIB},
        {"64k", 64 * KIB},
        {"500M", 500 * KIB * KIB},
        {"4G", 4 * GIB},
        {"4GB", 4 * GIB},
        {"4GiB", 4 * GIB},
        {"24T", 24 * KIB * GIB},
        {"1P", KIB * KIB * GIB},
        {"15E", 15 * GIB * GIB},
        {"18446744073709551615", UINT64_MAX},
        {"18014398509481983K", UINT64_MAX - 1023},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(good); i++) {
        uint64_t bytes = 1;
        assert_int_equal(pr_size_parse(good[i].text, &bytes), 0);
        assert_true(bytes == good[i].bytes);
    }
}

static void other_texts_are_no_sizes(void **state)
{
    static const struct {
        const char *text;
        int err;
    } bad[] = {
        {"", -EINVAL},
        {"G", -EINVAL},
        {"4X", -EINVAL},
        {"4GX", -EINVAL},
        {"4GiBs", -EINVAL},
        {"4 G", -EINVAL},
        {" 4G", -EINVAL},
        {"-4G", -EINVAL},
        {"+4G", -EINVAL},
        {"4.5G", -EINVAL},
        {"0x10", -EINVAL},
        {"4iB", -EINVAL},
        {"4KM", -EINVAL},
        {"16E", -ERANGE},
        {"18446744073709551616", -ERANGE},
        {"18014398509481984K", -ERANGE},
        {"99999999999999999999999999G", -ERANGE},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        uint64_t bytes = 7;
        assert_int_equal(pr_size_parse(bad[i].text, &bytes), bad[i].err);
        assert_true(bytes == 7);
        assert_non_null(strstr(pr_error_message(), bad[i].text));
    }
}

static void numbers_are_held_to_their_range(void **state)
{
    uint64_t value = 7;
    (void)state;
    assert_int_equal(pr_number_parse("8", 1, 8, &value), 0);
    assert_true(value == 8);
    assert_int_equal(pr_number_parse("0", 1, 8, &value), -ERANGE);
    assert_int_equal(pr_number_parse("9", 1, 8, &value), -ERANGE);
    assert_int_equal(pr_number_parse("99999999999999999999999", 1, 8, &value), -ERANGE);
    assert_int_equal(pr_number_parse("8x", 1, 8, &value), -EINVAL);
    assert_int_equal(pr_number_parse("", 0, 8, &value), -EINVAL);
    assert_int_equal(pr_number_parse("-1", 0, UINT64_MAX, &value), -EINVAL);
    assert_true(value == 8);
}

static void sizes_are_shown(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } shown[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {2047, "1.9 KiB"},
        {1024 * 1024 - 1, "1023.9 KiB"},
        {768 * KIB * KIB, "768 MiB"},
        {4 * GIB, "4 GiB"},
        {4 * GIB + GIB / 2, "4.5 GiB"},
        {24 * KIB * GIB, "24 TiB"},
        {15 * GIB * GIB, "15 EiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char text[PR_SIZE_TEXT_MAX];
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(shown); i++)
        assert_string_equal(pr_size_text(shown[i].bytes, text), shown[i].text);
}

static void whole_sizes_read_back(void **state)
{
    char text[PR_SIZE_TEXT_MAX];
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t bytes = 0;
        pr_size_text(1ull << shift, text);
        char *space = strchr(text, ' ');
        memmove(space, space + 1, strlen(space));
        assert_int_equal(pr_size_parse(text, &bytes), 0);
        assert_true(bytes == 1ull << shift);
    }
}

static void columns_are_aligned(void **state)
{
    static const char *const headers[] = {"device", "port", "state"};
    static const char *const first[] = {"rxe0", "1", "active"};
    static const char *const second[] = {"mlx5_bond_0", NULL, ""};
    char *text = NULL;
    size_t size = 0;
    (void)state;
    struct pr_table *table = pr_table_open(3, headers);
    pr_table_row(table, first);
    pr_table_row(table, second);
    pr_table_row(table, second);
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    assert_int_equal(pr_table_print(table, 2, to), 0);
    fclose(to);
    assert_string_equal(text, "  device       port  state\n"
                              "  rxe0         1     active\n"
                              "  mlx5_bond_0  -     -\n"
                              "  mlx5_bond_0  -     -\n");
    free(text);
    pr_table_close(table);
}

static void a_lost_table_is_reported(void **state)
{
    (void)state;
    pr_table_row(NULL, NULL);
    assert_int_equal(pr_table_print(NULL, 0, stdout), -ENOMEM);
    pr_table_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(other_texts_are_no_sizes),
        cmocka_unit_test(numbers_are_held_to_their_range),
        cmocka_unit_test(sizes_are_shown),
        cmocka_unit_test(whole_sizes_read_back),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(a_lost_table_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
