/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `pagerail guest`: what it means, and that nonsense is refused in one sentence
 * that names the option. */
#include "cli/command.h"
#include "cli/guest_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char said[4096]; /* on stderr by the last parse */

/* Splits the line at blanks and parses it with stdout and stderr caught. */
static int parse(const char *line, struct pr_guest_options *out)
{
    static char words[1024];
    char *argv[64] = {(char *)"guest"};
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    FILE *caught = tmpfile();
    assert_non_null(caught);
    fflush(stdout);
    int was[2] = {dup(1), dup(2)};
    dup2(fileno(caught), 1);
    dup2(fileno(caught), 2);
    int status = pr_guest_options_parse(argc, argv, out);
    fflush(stdout);
    dup2(was[0], 1);
    dup2(was[1], 2);
    close(was[0]);
    close(was[1]);
    rewind(caught);
    said[fread(said, 1, sizeof(said) - 1, caught)] = '\0';
    fclose(caught);
    return status;
}

static void test_defaults(void **state)
{
    (void)state;
    struct pr_guest_options o;
    assert_int_equal(parse("--size 1M", &o), -1);
    assert_int_equal(o.role, PR_GUEST_ALONE);
    assert_int_equal(o.len_bytes, 1u << 20);
    assert_int_equal(o.page_bytes, 4096);
    assert_int_equal(o.plan.threads, 2);
    assert_int_equal(o.plan.pattern, PR_GUEST_UNIFORM);
    assert_int_equal(o.plan.fill, PR_GUEST_FILL_MIXED);
    assert_int_equal(o.run_before_ms, 1000);
    assert_int_equal(o.run_after_ms, 2000);
    assert_null(o.json_path);
    assert_false(o.quiet);
    assert_string_equal(said, "");
}

static void test_seeds_are_drawn(void **state)
{
    (void)state;
    struct pr_guest_options a, b, c;
    assert_int_equal(parse("--size 1M", &a), -1);
    assert_int_equal(parse("--size 1M", &b), -1);
    assert_int_equal(parse("--size 1M", &c), -1);
    assert_true(a.plan.seed != b.plan.seed || b.plan.seed != c.plan.seed);
}

static void test_every_option_arrives(void **state)
{
    (void)state;
    struct pr_guest_options o;
    assert_int_equal(
        parse(
            "--size 2M --threads 7 --dirty 3M --pattern zipf --fill zero --seed 99 --tracking uffd "
            "--to local:/tmp/x --run-before 0.25 --run-after 12.5 --max-downtime 77 --on-stall "
            "force --lanes 3 --window 1M --pin-budget 8M --rails rxe0,rxe1 --json /tmp/y --quiet",
            &o),
        -1);
    assert_int_equal(o.role, PR_GUEST_SOURCE);
    assert_string_equal(o.uri, "local:/tmp/x");
    assert_int_equal(o.len_bytes, 2u << 20);
    assert_int_equal(o.plan.threads, 7);
    assert_int_equal(o.plan.rate_Bps, 3u << 20);
    assert_int_equal(o.plan.pattern, PR_GUEST_ZIPF);
    assert_int_equal(o.plan.fill, PR_GUEST_FILL_ZERO);
    assert_int_equal(o.plan.seed, 99);
    assert_int_equal(o.tracking, PR_TRACKER_UFFD);
    assert_int_equal(o.run_before_ms, 250);
    assert_int_equal(o.run_after_ms, 12500);
    assert_int_equal(o.migration.downtime_budget_ms, 77);
    assert_int_equal(o.migration.on_stall, PAGERAIL_STALL_FORCE);
    assert_int_equal(o.migration.lanes, 3);
    assert_int_equal(o.migration.window_bytes, 1u << 20);
    assert_int_equal(o.migration.pin_budget_bytes, 8u << 20);
    assert_string_equal(o.migration.rails, "rxe0,rxe1");
    assert_string_equal(o.json_path, "/tmp/y");
    assert_true(o.quiet);
    assert_int_equal(parse("--listen local:/tmp/x --size 2M", &o), -1);
    assert_int_equal(o.role, PR_GUEST_DESTINATION);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } table[] = {
        {"--size 0", "--size: a guest needs memory"},
        {"--size 1x", "--size: '1x' is no size"},
        {"--size -4G", "--size: '-4G' is no size"},
        {"--size", "--size needs a value"},
        {"--size 5000", "multiple of the pages' 4 KiB"},
        {"--size 8K --threads 3", "each of 3 threads"},
        {"--size 1P", "more than the"},
        {"--size 99999999999999999999", "more than 64 bits"},
        {"--hugepages 4K", "huge pages are of 2M or 1G"},
        {"--hugepages 2M --size 1M", "multiple of the pages' 2 MiB"},
        {"--hugepages 2M --size 512T", "sysctl vm.nr_hugepages"},
        {"--threads 0", "--threads: '0' is not between 1 and 256"},
        {"--threads 257", "--threads: '257' is not between 1 and 256"},
        {"--threads two", "--threads: 'two' is no whole number"},
        {"--dirty fast", "--dirty: 'fast' is no size"},
        {"--dirty 2P", "--dirty: '2P' is more than"},
        {"--pattern random", "--pattern: there is no pattern 'random'"},
        {"--fill seq", "--fill: there is no fill 'seq'"},
        {"--seed x", "--seed: 'x' is no whole number"},
        {"--to local:/a --listen local:/b", "either sent (--to) or received"},
        {"--listen local:/a --to local:/b", "either sent (--to) or received"},
        {"--to /a", "--to: '/a' is no migration URI"},
        {"--to local:", "--to: 'local:' is no migration URI"},
        {"--to smoke:signals", "--to: 'smoke:' is no known fabric"},
        {"--listen smoke:signals", "--listen: 'smoke:' is no known fabric"},
        {"--run-after -1", "--run-after: '-1' is no"},
        {"--run-after 1.2345", "--run-after: '1.2345' is no time"},
        {"--run-after 1.", "--run-after: '1.' is no time"},
        {"--run-after .5", "--run-after: '.5' is no time"},
        {"--run-after 1e3", "--run-after: '1e3' is no"},
        {"--to local:/a --max-downtime 0", "--max-downtime: '0' is not between"},
        {"--to local:/a --on-stall wait", "--on-stall: 'wait' is neither abort nor force"},
        {"--to local:/a --lanes 0", "--lanes: '0' is not between"},
        {"--to local:/a --window 3M", "--window: a window is a power of two"},
        {"--to local:/a --window 0", "--window: a window is a power of two"},
        {"--to local:/a --pin-budget 0", "--pin-budget: nothing can be sent"},
        {"--to local:/a --tracking magic", "--tracking: there is no tracking 'magic'"},
        {"--json /no/such/folder/file", "--json: no file can be made in '/no/such/folder'"},
        {"--lanes 2", "--lanes needs a migration: give --to"},
        {"--run-before 2", "--run-before needs a migration: give --to"},
        {"--listen local:/a --pattern seq", "--pattern is the source's to choose"},
        {"--listen local:/a --threads 4", "--threads is the source's to choose"},
        {"--no-such", "there is no option '--no-such'"},
        {"-x", "there is no option '-x'"},
        {"stray", "it takes no argument 'stray'"},
    };
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct pr_guest_options o;
        assert_int_equal(parse(table[i].line, &o), PR_EXIT_USAGE);
        if (!strstr(said, table[i].words))
            fail_msg("'%s' said '%s', not '%s'", table[i].line, said, table[i].words);
        if (strchr(said, '\n') != said + strlen(said) - 1)
            fail_msg("'%s' said more than one line: %s", table[i].line, said);
    }
}

static void test_help_names_every_option(void **state)
{
    (void)state;
    struct pr_guest_options o;
    assert_int_equal(parse("--help", &o), PR_EXIT_OK);
    static const char *const names[] = {
        "size",         "hugepages", "threads",    "dirty",      "pattern",   "fill",     "seed",
        "tracking",     "to",        "listen",     "run-before", "run-after", "on-stall", "lanes",
        "max-downtime", "window",    "pin-budget", "json",       "quiet",     "help"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char option[32];
        snprintf(option, sizeof(option), "  --%s ", names[i]);
        if (!strstr(said, option))
            fail_msg("--help does not explain --%s", names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_seeds_are_drawn),
        cmocka_unit_test(test_every_option_arrives),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
