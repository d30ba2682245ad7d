/* SPDX-License-Identifier: BSD-2-Clause */
/* The line that shows a migration: what it says, and that it never wraps. */
#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const struct pagerail_progress middle = {
    .phase = PAGERAIL_PHASE_PRECOPY,
    .round = 2,
    .round_bytes = 400u << 20,
    .remaining_bytes = 100u << 20,
    .bandwidth_Bps = 1u << 30,
    .dirty_rate_Bps = 300u << 20,
    .predicted_downtime_ns = 42000000,
    .eta_ns = UINT64_MAX,
    .throttle_percent = 20,
};

static void test_text(void **state)
{
    (void)state;
    char text[PR_PROGRESS_TEXT_MAX];
    pr_progress_text(&middle, 200, text);
    assert_string_equal(text, "[###############.....] round 2  100 MiB left  1 GiB/s  "
                              "dirty 300 MiB/s  downtime 42 ms  ETA -  slowed by 20 %");
}

static void test_odd_figures(void **state)
{
    (void)state;
    char text[PR_PROGRESS_TEXT_MAX];
    struct pagerail_progress now = middle;
    now.round_bytes = 0;
    now.throttle_percent = 0;
    now.eta_ns = 75000000000;
    pr_progress_text(&now, 200, text);
    assert_non_null(strstr(text, "[....................] "));
    assert_non_null(strstr(text, "ETA 75 s"));
    assert_null(strstr(text, "slowed"));
    now.round_bytes = now.remaining_bytes = UINT64_MAX;
    now.bandwidth_Bps = now.dirty_rate_Bps = UINT64_MAX;
    now.predicted_downtime_ns = UINT64_MAX - 1;
    now.round = UINT32_MAX;
    pr_progress_text(&now, 0, text);
    assert_non_null(strstr(text, "round 4294967295"));
}

static void test_never_wider_than_the_terminal(void **state)
{
    (void)state;
    char text[PR_PROGRESS_TEXT_MAX];
    for (unsigned columns = 1; columns < 300; columns++) {
        pr_progress_text(&middle, columns, text);
        assert_true(strlen(text) <= columns);
    }
}

/* What a log file gets: one line at each change of phase, nothing in between. */
static void test_lines(void **state)
{
    (void)state;
    FILE *to = tmpfile();
    assert_non_null(to);
    struct pr_progress progress;
    struct pagerail_progress now = middle;
    pr_progress_init(&progress, to, false);
    for (unsigned i = 0; i < 5; i++)
        pr_progress_show(&progress, &now);
    now.phase = PAGERAIL_PHASE_SWITCHOVER;
    pr_progress_show(&progress, &now);
    pr_progress_end(&progress);
    char text[256];
    rewind(to);
    text[fread(text, 1, sizeof(text) - 1, to)] = '\0';
    assert_string_equal(text, "phase: precopy\n"
                              "phase: switchover after 1 rounds, predicted downtime 42 ms\n");
    fclose(to);
}

static void test_quiet(void **state)
{
    (void)state;
    FILE *to = tmpfile();
    assert_non_null(to);
    struct pr_progress progress;
    pr_progress_init(&progress, to, true);
    pr_progress_show(&progress, &middle);
    pr_progress_end(&progress);
    assert_int_equal(ftell(to), 0);
    fclose(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_odd_figures),
        cmocka_unit_test(test_never_wider_than_the_terminal),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
