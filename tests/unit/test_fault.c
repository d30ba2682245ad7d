/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/fault.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/unit/check.h"

#ifdef PR_FAULTS

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int disarm(void **state)
{
    (void)state;
    return pr_fault_arm(NULL);
}

static void good_specs_are_taken(void **state)
{
    static const char *const good[] = {
        NULL,      "",         "a",
        "a.b-c",   "a@1",      "a@18446744073709551615",
        "a=break", "a@2=kill", "a@2=stop,b,c=linger",
        "a,a@2",   ",a,,b,",   "p,p,p,p,p,p,p,p,p,p,p,p,p,p,p,p", /* as many as there is room for */
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(pr_fault_arm(good[i]), 0);
}

static void bad_specs_are_refused_whole(void **state)
{
    static const char *const bad[] = {
        "a@",
        "a@0",
        "a@-1",
        "a@+1",
        "a@ 1",
        "a@1x",
        "a@x",
        "a@01",
        "a@18446744073709551616",
        "a=",
        "a=explode",
        "a=kill@2",
        "@1",
        "=kill",
        "good,a@0",
        "a@1@2",
        "p,p,p,p,p,p,p,p,p,p,p,p,p,p,p,p,p",
        "a-name-of-forty-eight-characters-is-one-too-long",
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        pr_error(EIO, "old");
        assert_int_equal(pr_fault_arm(bad[i]), -EINVAL);
        assert_string_not_equal(pr_error_message(), "old");
        assert_false(pr_fault("good"));
        assert_false(pr_fault("a"));
    }
}

/* The passes, from 1, at which the armed point "a" fires within the first six. */
static unsigned fires(const char *spec)
{
    unsigned bits = 0;
    assert_int_equal(pr_fault_arm(spec), 0);
    for (unsigned pass = 1; pass <= 6; pass++)
        bits |= (unsigned)pr_fault("a") << pass;
    return bits;
}

static void fires_when_the_spec_says(void **state)
{
    (void)state;
    assert_int_equal(fires(NULL), 0);
    assert_int_equal(fires("a"), 0x7e);
    assert_int_equal(fires("b"), 0);
    assert_int_equal(fires("ab"), 0);
    assert_int_equal(fires("a@1"), 1 << 1);
    assert_int_equal(fires("a@3"), 1 << 3);
    assert_int_equal(fires("b@1,a@3"), 1 << 3);
    /* Every point of the name counts every pass, also one at which another fires. */
    assert_int_equal(fires("a@1,a@2"), 1 << 1 | 1 << 2);
    assert_int_equal(fires("a@4,a@2"), 1 << 4 | 1 << 2);
}

static void arming_starts_to_count_afresh(void **state)
{
    (void)state;
    assert_int_equal(fires("a@3"), 1 << 3);
    assert_int_equal(fires("a@3"), 1 << 3);
}

/* How a child that passes the point once ends, or that it stopped. */
static int status_of_child(const char *spec)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        pr_fault_arm(spec);
        _exit(pr_fault("a") ? 42 : 43);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return status;
}

static void actions_do_what_they_say(void **state)
{
    (void)state;
    int status = status_of_child("a=break");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = status_of_child("a@2=kill");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 43);
    status = status_of_child("a=kill");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    uint64_t start = pr_now_ns();
    status = status_of_child("a=linger");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 43);
    assert_true(pr_now_ns() - start >= 2000000);
    status = status_of_child("a=stop");
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* Runs this program again as `test_fault pass` with the environment variable set. */
static int status_of_environment(const char *spec)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        setenv("PAGERAIL_FAULT", spec, 1);
        execl("/proc/self/exe", "test_fault", "pass", (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_environment_arms(void **state)
{
    (void)state;
    assert_int_equal(status_of_environment("a"), 42);
    assert_int_equal(status_of_environment("a@2"), 43);
    assert_int_equal(status_of_environment("b"), 43);
    /* A bad spec is logged and arms nothing. */
    assert_int_equal(status_of_environment("a@0"), 43);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "pass"))
        return pr_fault("a") ? 42 : 43;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(good_specs_are_taken, disarm),
        cmocka_unit_test_teardown(bad_specs_are_refused_whole, disarm),
        cmocka_unit_test_teardown(fires_when_the_spec_says, disarm),
        cmocka_unit_test_teardown(arming_starts_to_count_afresh, disarm),
        cmocka_unit_test_teardown(actions_do_what_they_say, disarm),
        cmocka_unit_test_teardown(the_environment_arms, disarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skip: built without fault points (-Dfaults=true)");
    return 77;
}

#endif
