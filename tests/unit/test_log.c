/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include "tests/unit/check.h"

#include <string.h>
#include <unistd.h>

struct seen {
    unsigned lines;
    enum pagerail_log_level level;
    char line[2048];
};

static void remember(enum pagerail_log_level level, const char *line, void *opaque)
{
    struct seen *seen = opaque;
    seen->lines++;
    seen->level = level;
    snprintf(seen->line, sizeof(seen->line), "%s", line);
}

static int restore(void **state)
{
    (void)state;
    pagerail_log_set(PAGERAIL_LOG_WARN, NULL, NULL);
    return 0;
}

static void hands_lines_to_the_programs_function(void **state)
{
    struct seen seen = {0};
    (void)state;
    pagerail_log_set(PAGERAIL_LOG_DEBUG, remember, &seen);
    pr_log_info("lane %d of %s", 3, "mlx5_0");
    assert_int_equal(seen.lines, 1);
    assert_int_equal(seen.level, PAGERAIL_LOG_INFO);
    assert_string_equal(seen.line, "lane 3 of mlx5_0");
}

static void drops_what_is_above_the_level(void **state)
{
    (void)state;
    for (int limit = PAGERAIL_LOG_ERROR; limit <= PAGERAIL_LOG_DEBUG; limit++) {
        struct seen seen = {0};
        pagerail_log_set((enum pagerail_log_level)limit, remember, &seen);
        pr_log_error("x");
        pr_log_warn("x");
        pr_log_info("x");
        pr_log_debug("x");
        assert_int_equal(seen.lines, limit + 1);
        assert_int_equal(seen.level, limit);
    }
}

static void cuts_a_long_line(void **state)
{
    struct seen seen = {0};
    char text[1800];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pagerail_log_set(PAGERAIL_LOG_ERROR, remember, &seen);
    pr_log_error("%s", text);
    assert_int_equal(strlen(seen.line), 1023);
}

/* What `write` puts on stderr. */
static void capture_stderr(void (*write_it)(void), char *to, size_t size)
{
    int kept = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    write_it();
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    to[fread(to, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void warn_and_inform(void)
{
    pr_log_warn("pin budget is low");
    pr_log_info("not shown");
}

static void stderr_gets_warnings_by_default(void **state)
{
    char text[256];
    (void)state;
    capture_stderr(warn_and_inform, text, sizeof(text));
    assert_string_equal(text, "pagerail: warning: pin budget is low\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stderr_gets_warnings_by_default),
        cmocka_unit_test_teardown(hands_lines_to_the_programs_function, restore),
        cmocka_unit_test_teardown(drops_what_is_above_the_level, restore),
        cmocka_unit_test_teardown(cuts_a_long_line, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
