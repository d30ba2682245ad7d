/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/options.h by table. */
#include "transport/options.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static void nothing_given_means_defaults(void **state)
{
    (void)state;
    struct pagerail_options zero = PAGERAIL_OPTIONS_INIT, out[2];
    assert_int_equal(pr_options_resolve(NULL, &out[0]), 0);
    assert_int_equal(pr_options_resolve(&zero, &out[1]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(out[i].size, sizeof(out[i]));
        assert_int_equal(out[i].connect_timeout_ms, 0);
        assert_int_equal(out[i].silence_timeout_ms, 0);
        assert_int_equal(out[i].pin_budget_bytes, 0);
        assert_int_equal(out[i].registration_threads, 2);
        assert_int_equal(out[i].lanes, 0);
        assert_int_equal(out[i].window_bytes, 0);
        assert_int_equal(out[i].downtime_budget_ms, 500);
        assert_int_equal(out[i].max_rounds, 60);
        assert_int_equal(out[i].max_throttle_percent, 90);
        assert_int_equal(out[i].on_stall, PAGERAIL_STALL_ABORT);
        assert_int_equal(out[i].switchover_timeout_ms, 10000);
    }
}

static void what_nobody_set_suits_the_fabric(void **state)
{
    (void)state;
    const struct pr_fabric_limits none = {0}, far = {.connect_ms = 10000, .silence_ms = 8000};
    struct pagerail_options options = {0};
    pr_options_suit(&options, &none);
    assert_int_equal(options.connect_timeout_ms, 4000);
    assert_int_equal(options.silence_timeout_ms, 3000);
    options = (struct pagerail_options){0};
    pr_options_suit(&options, &far);
    assert_int_equal(options.connect_timeout_ms, 10000);
    assert_int_equal(options.silence_timeout_ms, 8000);
    options = (struct pagerail_options){.connect_timeout_ms = 1, .silence_timeout_ms = 2};
    pr_options_suit(&options, &far);
    assert_int_equal(options.connect_timeout_ms, 1);
    assert_int_equal(options.silence_timeout_ms, 2);
}

static void what_was_resolved_resolves_to_itself(void **state)
{
    (void)state;
    struct pagerail_options given = {
        .size = sizeof(given), .lanes = 7, .pin_budget_bytes = 3 * MIB};
    struct pagerail_options once, twice;
    assert_int_equal(pr_options_resolve(&given, &once), 0);
    assert_int_equal(pr_options_resolve(&once, &twice), 0);
    assert_memory_equal(&once, &twice, sizeof(once));
}

#define FIELD(name) offsetof(struct pagerail_options, name), #name

static void ranges_of_every_option(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *name;
        uint32_t least, most;
    } rows[] = {
        {FIELD(connect_timeout_ms), 1, 3600000},
        {FIELD(silence_timeout_ms), 300, 60000},
        {FIELD(registration_threads), 1, 64},
        {FIELD(lanes), 1, 256},
        {FIELD(downtime_budget_ms), 1, 3600000},
        {FIELD(max_rounds), 1, 100000},
        {FIELD(max_throttle_percent), 1, 99},
        {FIELD(on_stall), PAGERAIL_STALL_ABORT, PAGERAIL_STALL_FORCE},
        {FIELD(switchover_timeout_ms), 1, 3600000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const uint32_t values[] = {rows[i].least, rows[i].most, rows[i].most + 1, rows[i].least - 1,
                                   UINT32_MAX};
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            struct pagerail_options given = PAGERAIL_OPTIONS_INIT, out;
            memcpy((char *)&given + rows[i].at, &values[v], sizeof(values[v]));
            bool legal = values[v] <= rows[i].most && (values[v] >= rows[i].least || !values[v]);
            memset(&out, 0x55, sizeof(out));
            int err = pr_options_resolve(&given, &out);
            assert_int_equal(err, legal ? 0 : -EINVAL);
            if (legal && values[v])
                assert_memory_equal((char *)&out + rows[i].at, &values[v], sizeof(values[v]));
            if (!legal) {
                assert_non_null(strstr(pr_error_message(), rows[i].name));
                assert_int_equal(out.size, 0x5555555555555555); /* set on success only */
            }
        }
    }
}

#define GIB (1024 * MIB)

static void windows_by_options_pages_and_fabric(void **state)
{
    (void)state;
    static const struct {
        uint64_t window, budget, page, max, wanted; /* 0 = refused */
    } rows[] = {
        {64 * KIB, 0, 4 * KIB, UINT64_MAX, 64 * KIB},
        {1024 * GIB, 0, 4 * KIB, UINT64_MAX, 1024 * GIB},
        {2048 * GIB, 0, 4 * KIB, UINT64_MAX, 0},
        {32 * KIB, 0, 4 * KIB, UINT64_MAX, 0},
        {96 * KIB, 0, 4 * KIB, UINT64_MAX, 0},
        {1, 0, 4 * KIB, UINT64_MAX, 0},
        {UINT64_MAX, 0, 4 * KIB, UINT64_MAX, 0},
        /* by pages */
        {0, 0, 4 * KIB, UINT64_MAX, 64 * MIB},
        {0, 0, 64 * KIB, UINT64_MAX, 64 * MIB},
        {0, 0, 2 * MIB, UINT64_MAX, 256 * MIB},
        {0, 0, GIB, UINT64_MAX, GIB},
        {128 * KIB, 0, 2 * MIB, UINT64_MAX, 128 * KIB}, /* as told */
        /* four windows at least fit the budget */
        {0, 256 * MIB, 4 * KIB, UINT64_MAX, 64 * MIB},
        {0, 256 * MIB - 1, 4 * KIB, UINT64_MAX, 32 * MIB},
        {0, 4 * MIB, 4 * KIB, UINT64_MAX, 1 * MIB},
        {0, 256 * KIB, 4 * KIB, UINT64_MAX, 64 * KIB},
        {0, 256 * KIB - 1, 4 * KIB, UINT64_MAX, 0},
        {0, 1, 4 * KIB, UINT64_MAX, 0},
        {128 * KIB, UINT64_MAX, 4 * KIB, UINT64_MAX, 128 * KIB},
        {1 * MIB, 2 * MIB, 4 * KIB, UINT64_MAX, 512 * KIB},
        {0, 8 * MIB, 2 * MIB, UINT64_MAX, 2 * MIB},
        {0, 8 * MIB - 1, 2 * MIB, UINT64_MAX, 0}, /* a part of a page pins all of it */
        {0, 4 * GIB, GIB, UINT64_MAX, GIB},
        {0, 4 * GIB - 1, GIB, UINT64_MAX, 0},
        /* the fabric */
        {0, 0, 4 * KIB, 64 * MIB, 64 * MIB},
        {0, 0, 4 * KIB, 64 * MIB - 1, 32 * MIB},
        {0, 0, 4 * KIB, 100 * KIB, 64 * KIB},
        {0, 0, 4 * KIB, 64 * KIB, 64 * KIB},
        {0, 0, 4 * KIB, 64 * KIB - 1, 0},
        {0, 0, 4 * KIB, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pagerail_options given = PAGERAIL_OPTIONS_INIT, resolved;
        given.window_bytes = rows[i].window;
        given.pin_budget_bytes = rows[i].budget;
        uint64_t window = 0;
        int err = pr_options_resolve(&given, &resolved);
        if (!err)
            err = pr_options_window(&resolved, rows[i].page, rows[i].max, &window);
        if (err != (rows[i].wanted ? 0 : -EINVAL) || window != rows[i].wanted)
            fail_msg("row %zu: %d, %llu", i, err, (unsigned long long)window);
    }
}

/* A program of another version has a struct of another size. */
static void sizes_of_other_versions(void **state)
{
    (void)state;
    struct {
        struct pagerail_options known;
        uint64_t later;
    } newer = {.known = {.lanes = 3}};
    struct pagerail_options out;
    newer.known.size = sizeof(newer);
    assert_int_equal(pr_options_resolve(&newer.known, &out), 0);
    assert_int_equal(out.lanes, 3);
    assert_int_equal(out.size, sizeof(out));
    newer.later = 1;
    assert_int_equal(pr_options_resolve(&newer.known, &out), -EINVAL);
    assert_non_null(strstr(pr_error_message(), "does not know"));

    struct pagerail_options older = {.size = offsetof(struct pagerail_options, lanes),
                                     .lanes = 999};
    older.connect_timeout_ms = 77;
    assert_int_equal(pr_options_resolve(&older, &out), 0);
    assert_int_equal(out.connect_timeout_ms, 77);
    assert_int_equal(out.lanes, 0); /* not looked at */

    for (size_t size = 0; size < sizeof(size_t); size++) {
        older.size = size;
        assert_int_equal(pr_options_resolve(&older, &out), -EINVAL);
        assert_non_null(strstr(pr_error_message(), "PAGERAIL_OPTIONS_INIT"));
    }
}

static void rails_are_names_with_commas(void **state)
{
    (void)state;
    static const struct {
        const char *rails;
        bool good;
    } rows[] = {{"", true},        {"mlx5_0", true},  {"rxe0,mlx5-bond.1", true}, {",", false},
                {"rxe0,", false},  {",rxe0", false},  {"rxe0,,rxe1", false},      {"rxe 0", false},
                {"rxe0\n", false}, {"../rxe0", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pagerail_options given = PAGERAIL_OPTIONS_INIT, out;
        strcpy(given.rails, rows[i].rails);
        if (pr_options_resolve(&given, &out) != (rows[i].good ? 0 : -EINVAL))
            fail_msg("'%s'", rows[i].rails);
        if (!rows[i].good)
            assert_non_null(strstr(pr_error_message(), "rails"));
        given.fabric = PAGERAIL_FABRIC_LOCAL;
        assert_int_equal(pr_options_resolve(&given, &out), *rows[i].rails ? -EINVAL : 0);
    }
    struct pagerail_options endless = PAGERAIL_OPTIONS_INIT, out;
    memset(endless.rails, 'x', sizeof(endless.rails));
    assert_int_equal(pr_options_resolve(&endless, &out), -EINVAL);
    endless.rails[sizeof(endless.rails) - 1] = '\0';
    assert_int_equal(pr_options_resolve(&endless, &out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_means_defaults),
        cmocka_unit_test(what_nobody_set_suits_the_fabric),
        cmocka_unit_test(what_was_resolved_resolves_to_itself),
        cmocka_unit_test(ranges_of_every_option),
        cmocka_unit_test(windows_by_options_pages_and_fabric),
        cmocka_unit_test(sizes_of_other_versions),
        cmocka_unit_test(rails_are_names_with_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
