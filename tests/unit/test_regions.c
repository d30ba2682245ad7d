/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/regions.h by table. The memory is never touched, so any address will do. */
#include "transport/regions.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "wire/messages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static char longest[PR_WIRE_MAX_NAME + 1], too_long[PR_WIRE_MAX_NAME + 2];

static struct pagerail_region usual(void)
{
    return (struct pagerail_region){"pc.ram", (void *)0x100000, 8 * MIB, 4096, 0};
}

static void legal_regions_are_copied(void **state)
{
    (void)state;
    static const struct pagerail_region rows[] = {
        {"a", (void *)0x1000, 4096, 4096, 0},
        {"a", (void *)0x1000, 2 * MIB, 2 * MIB, PAGERAIL_REGION_FRESH},
        {"a", (void *)0x1000, 3 * GIB, GIB, 0},
        {"a", (void *)0x1000, UINT64_C(1) << 48, 4096, 0},
        {longest, (void *)0x1000, 4096, 4096, 0},
        {"Größe/ram 日本", (void *)0x1000, 4096, 4096, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pr_regions regions;
        assert_int_equal(pr_regions_copy(&rows[i], 1, &regions), 0);
        assert_string_equal(regions.list[0].name, rows[i].name);
        assert_ptr_not_equal(regions.list[0].name, rows[i].name);
        assert_ptr_equal(regions.list[0].addr, rows[i].addr);
        assert_int_equal(regions.list[0].flags, rows[i].flags);
        assert_int_equal(regions.total_bytes, rows[i].len_bytes);
        pr_regions_free(&regions);
        assert_int_equal(regions.count, 0);
        pr_regions_free(&regions);
    }
}

static void illegal_regions_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pagerail_region region;
        const char *words;
    } rows[] = {
        {{NULL, (void *)0x1000, 4096, 4096, 0}, "name"},
        {{"", (void *)0x1000, 4096, 4096, 0}, "name"},
        {{too_long, (void *)0x1000, 4096, 4096, 0}, "name"},
        {{"new\nline", (void *)0x1000, 4096, 4096, 0}, "name"},
        {{"del\x7f", (void *)0x1000, 4096, 4096, 0}, "name"},
        {{"half\xc3", (void *)0x1000, 4096, 4096, 0}, "name"}, /* the wire would refuse it later */
        {{"csi\xc2\x9b", (void *)0x1000, 4096, 4096, 0}, "name"},
        {{"a", (void *)0x1000, 4096, 0, 0}, "'a' has pages of 0"},
        {{"a", (void *)0x1000, 16384, 16384, 0}, "pages of 16384"},
        {{"a", (void *)0x1000, 0, 4096, 0}, "0 bytes long"},
        {{"a", (void *)0x1000, 4097, 4096, 0}, "multiple"},
        {{"a", (void *)0x1000, 4096, 2 * MIB, 0}, "multiple"},
        {{"a", (void *)0x1000, (UINT64_C(1) << 48) + 4096, 4096, 0}, "256 TiB"},
        {{"a", NULL, 4096, 4096, 0}, "page boundary"},
        {{"a", (void *)0x1001, 4096, 4096, 0}, "page boundary"},
        {{"a", (void *)(UINTPTR_MAX - 4095), 8192, 4096, 0}, "beyond"},
        {{"a", (void *)0x1000, 4096, 4096, 4}, "unknown flags 0x4"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pagerail_region both[] = {usual(), rows[i].region};
        struct pr_regions regions = {.count = 77};
        assert_int_equal(pr_regions_copy(both, 2, &regions), -EINVAL);
        assert_int_equal(regions.count, 77); /* set on success only */
        if (!strstr(pr_error_message(), rows[i].words))
            fail_msg("row %zu: %s", i, pr_error_message());
    }
}

static void the_list_has_its_limits(void **state)
{
    (void)state;
    struct pr_regions regions;
    struct pagerail_region same[] = {usual(), usual()};
    assert_int_equal(pr_regions_copy(same, 0, &regions), -EINVAL);
    assert_int_equal(pr_regions_copy(NULL, 1, &regions), -EINVAL);
    assert_int_equal(pr_regions_copy(same, PR_WIRE_MAX_REGIONS + 1, &regions), -EINVAL);
    assert_int_equal(pr_regions_copy(same, 2, &regions), -EINVAL);
    assert_string_equal(pr_error_message(), "two regions are called 'pc.ram'");

    static struct pagerail_region all[PR_WIRE_MAX_REGIONS];
    static char names[PR_WIRE_MAX_REGIONS][8];
    for (uint32_t i = 0; i < PR_WIRE_MAX_REGIONS; i++) {
        snprintf(names[i], sizeof(names[i]), "r%u", i);
        all[i] = usual();
        all[i].name = names[i];
        all[i].len_bytes = PR_WIRE_MAX_REGION_BYTES;
        all[i].addr = (void *)0x1000;
    }
    assert_int_equal(pr_regions_copy(all, PR_WIRE_MAX_REGIONS, &regions), 0);
    assert_int_equal(regions.total_bytes, UINT64_C(1) << 60);
    assert_int_equal(pr_regions_find(&regions, "r4095"), 4095);
    assert_int_equal(pr_regions_find(&regions, "r4096"), -1);
    assert_int_equal(pr_regions_find(&regions, ""), -1);
    pr_regions_free(&regions);
}

static void ranges_inside_and_outside(void **state)
{
    (void)state;
    const struct pr_region region = {.len = 16 * KIB};
    static const struct {
        uint64_t offset, len;
        bool inside;
    } rows[] = {
        {0, 16 * KIB, true},
        {0, 4096, true},
        {12 * KIB, 4096, true},
        {0, 0, false},
        {0, 100, false},
        {100, 4096, false},
        {16 * KIB, 4096, false},
        {12 * KIB, 8192, false},
        {0, 20 * KIB, false},
        {4096, UINT64_MAX - 4095, false}, /* the sum is 0 */
        {UINT64_MAX - 4095, 8192, false},
        {UINT64_MAX - 4095, 4096, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pr_region_holds(&region, rows[i].offset, rows[i].len), rows[i].inside);
}

static void windows_of_a_region(void **state)
{
    (void)state;
    static const struct {
        uint64_t len, window, count, last;
    } rows[] = {
        {64 * KIB, 64 * KIB, 1, 64 * KIB},
        {68 * KIB, 64 * KIB, 2, 4 * KIB},
        {4 * KIB, 64 * KIB, 1, 4 * KIB},
        {4 * KIB, UINT64_C(1) << 40, 1, 4 * KIB},
        {UINT64_C(1) << 48, 64 * KIB, UINT64_C(1) << 32, 64 * KIB},
        {UINT64_C(1) << 48, UINT64_C(1) << 40, 256, UINT64_C(1) << 40},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct pr_region region = {.len = rows[i].len};
        uint64_t count = pr_region_windows(&region, rows[i].window);
        assert_int_equal(count, rows[i].count);
        assert_int_equal(pr_region_window_len(&region, rows[i].window, count - 1), rows[i].last);
        if (count > 1)
            assert_int_equal(pr_region_window_len(&region, rows[i].window, 0), rows[i].window);
    }
}

static void divisions_have_a_limit(void **state)
{
    (void)state;
    struct pr_region list[2] = {{.len = 64 * KIB * (PR_MAX_WINDOWS - 1)}, {.len = 64 * KIB}};
    const struct pr_regions regions = {.list = list, .count = 2};
    assert_int_equal(pr_regions_check_windows(&regions, 64 * KIB), 0);
    list[1].len += 4096;
    assert_int_equal(pr_regions_check_windows(&regions, 64 * KIB), -EINVAL);
    assert_non_null(strstr(pr_error_message(), "4194305 windows of 64 KiB"));
    assert_int_equal(pr_regions_check_windows(&regions, 128 * KIB), 0);
}

static void absent_pages_are_asked_for_where_they_are_zero(void **state)
{
    (void)state;
    static const int kinds[] = {MAP_PRIVATE, MAP_SHARED};
    static const char *const names[] = {"private", "shared", "nowhere", "lazy"};
    struct pagerail_region listed[4];
    struct pr_regions regions;
    for (int i = 0; i < 3; i++) {
        void *addr = (void *)0x1000;
        if (i < 2)
            addr = mmap(NULL, MIB, PROT_READ | PROT_WRITE, kinds[i] | MAP_ANONYMOUS, -1, 0);
        assert_true(addr != MAP_FAILED);
        listed[i] =
            (struct pagerail_region){names[i], addr, MIB, 4096, PAGERAIL_REGION_NO_LAZY_FILL};
    }
    listed[3] = listed[0]; /* the same memory, and nothing is claimed of it */
    listed[3].name = names[3];
    listed[3].flags = 0;
    assert_int_equal(pr_regions_copy(listed, 4, &regions), 0);
    for (int i = 0; i < 4; i++)
        assert_null(regions.list[i].absent);
    pr_regions_find_absent(&regions);
    assert_true(pr_absent_all(regions.list[0].absent, listed[0].addr));
    assert_null(regions.list[1].absent);
    assert_null(regions.list[2].absent);
    assert_null(regions.list[3].absent);
    pr_regions_free(&regions);
    munmap(listed[0].addr, MIB);
    munmap(listed[1].addr, MIB);
}

int main(void)
{
    memset(longest, 'x', PR_WIRE_MAX_NAME);
    memset(too_long, 'x', PR_WIRE_MAX_NAME + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_regions_are_copied),
        cmocka_unit_test(illegal_regions_are_refused),
        cmocka_unit_test(the_list_has_its_limits),
        cmocka_unit_test(ranges_inside_and_outside),
        cmocka_unit_test(windows_of_a_region),
        cmocka_unit_test(divisions_have_a_limit),
        cmocka_unit_test(absent_pages_are_asked_for_where_they_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
