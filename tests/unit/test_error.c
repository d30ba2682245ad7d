/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include "tests/unit/check.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void returns_negative_and_keeps_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(pr_error(ENOENT, "no %s at %d", "socket", 7), -ENOENT);
    assert_string_equal(pr_error_message(), "no socket at 7");
    assert_string_equal(pagerail_error_message(), "no socket at 7");
}

/* Code that forgets to look whether errno was set must not turn a failure into a success. */
static void never_returns_success(void **state)
{
    (void)state;
    assert_int_equal(pr_error(0, "x"), -EIO);
    assert_int_equal(pr_error(-EINVAL, "x"), -EIO);
}

static void may_quote_the_old_sentence(void **state)
{
    (void)state;
    pr_error(EIO, "inner");
    pr_error(EIO, "outer (%s)", pr_error_message());
    assert_string_equal(pr_error_message(), "outer (inner)");
}

static void prefix_keeps_the_number_and_a_long_sentence(void **state)
{
    char text[401];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    int err = pr_error(ETIMEDOUT, "%s", text);
    assert_int_equal(pr_error_prefix(err, "lane %d", 3), -ETIMEDOUT);
    assert_memory_equal(pr_error_message(), "lane 3: x", 9);
    /* What to do stands at the end of a sentence: a short prefix must not push it out. */
    assert_int_equal(strlen(pr_error_message()), 8 + 400);
}

static void cuts_at_the_limit(void **state)
{
    char text[2 * PAGERAIL_ERROR_MAX];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pr_error(EIO, "%s", text);
    assert_int_equal(strlen(pr_error_message()), PAGERAIL_ERROR_MAX - 1);
    pr_error_prefix(-EIO, "%s", text);
    assert_int_equal(strlen(pr_error_message()), PAGERAIL_ERROR_MAX - 1);
}

/* The sentence goes to terminals, logs and the peer, which refuses anything but clean text. */
static void is_one_clean_line(void **state)
{
    char text[PAGERAIL_ERROR_MAX + 1] = "";
    (void)state;
    pr_error(EIO, "no file 'a\nb\x1b[2J'");
    assert_string_equal(pr_error_message(), "no file 'a?b?[2J'");
    for (unsigned i = 0; i < PAGERAIL_ERROR_MAX / 2; i++)
        strcat(text, "\xc3\xa9");
    pr_error(EIO, "%s", text);
    assert_int_equal(strlen(pr_error_message()), PAGERAIL_ERROR_MAX - 2);
}

static void *other_thread(void *opaque)
{
    assert_string_equal(pr_error_message(), "");
    pr_error(EPERM, "the other thread's");
    pr_failure_set(opaque, -EPERM);
    return NULL;
}

static void run_other_thread(struct pr_failure *failure)
{
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, other_thread, failure), 0);
    pthread_join(id, NULL);
}

static void each_thread_has_its_own(void **state)
{
    struct pr_failure failure = PR_FAILURE_INIT;
    (void)state;
    pr_error(EIO, "mine");
    run_other_thread(&failure);
    assert_string_equal(pr_error_message(), "mine");
}

static void failure_carries_the_sentence_across(void **state)
{
    struct pr_failure failure = PR_FAILURE_INIT;
    (void)state;
    pr_error(EIO, "mine");
    assert_int_equal(pr_failure_get(&failure), 0);
    assert_string_equal(pr_error_message(), "mine");
    run_other_thread(&failure);
    assert_int_equal(pr_failure_get(&failure), -EPERM);
    assert_string_equal(pr_error_message(), "the other thread's");
}

static void first_failure_wins(void **state)
{
    struct pr_failure failure = PR_FAILURE_INIT;
    (void)state;
    pr_error(EIO, "cause");
    assert_true(pr_failure_set(&failure, -ECONNRESET));
    pr_error(EIO, "consequence");
    assert_false(pr_failure_set(&failure, -EPIPE));
    assert_int_equal(pr_failure_get(&failure), -ECONNRESET);
    assert_string_equal(pr_error_message(), "cause");
}

static void failure_is_never_stored_as_success(void **state)
{
    struct pr_failure failure = PR_FAILURE_INIT;
    (void)state;
    assert_true(pr_failure_set(&failure, 0));
    assert_int_equal(pr_failure_get(&failure), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_negative_and_keeps_the_sentence),
        cmocka_unit_test(never_returns_success),
        cmocka_unit_test(may_quote_the_old_sentence),
        cmocka_unit_test(prefix_keeps_the_number_and_a_long_sentence),
        cmocka_unit_test(cuts_at_the_limit),
        cmocka_unit_test(is_one_clean_line),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(failure_carries_the_sentence_across),
        cmocka_unit_test(first_failure_wins),
        cmocka_unit_test(failure_is_never_stored_as_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
