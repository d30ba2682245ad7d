/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/runtime.h"

#include "base/event.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static void the_clock_never_goes_back(void **state)
{
    (void)state;
    uint64_t before = pr_now_ns();
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = pr_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

/* A clock that stands where the test puts it; the rest of the runtime is never called. */
static uint64_t fake_now;

static uint64_t fake_now_ns(void)
{
    return fake_now;
}

static int restore(void **state)
{
    (void)state;
    pr_runtime_set(NULL);
    return 0;
}

static void deadlines_round_up_and_saturate(void **state)
{
    static const struct pr_runtime_ops fake = {.now_ns = fake_now_ns};
    (void)state;
    pr_runtime_set(&fake);
    fake_now = 5000000000u;
    assert_true(pr_deadline_after_ms(-1) == PR_NEVER);
    assert_true(pr_deadline_after_ms(0) == 5000000000u);
    assert_true(pr_deadline_after_ms(7) == 5007000000u);
    assert_true(pr_deadline_after_ms(INT64_MAX) == PR_NEVER);

    assert_int_equal(pr_deadline_left_ms(PR_NEVER), -1);
    assert_int_equal(pr_deadline_left_ms(0), 0);
    assert_int_equal(pr_deadline_left_ms(5000000000u), 0);
    assert_int_equal(pr_deadline_left_ms(5000000001u), 1); /* never wakes early and spins */
    assert_int_equal(pr_deadline_left_ms(5001000000u), 1);
    assert_int_equal(pr_deadline_left_ms(5001000001u), 2);
    assert_int_equal(pr_deadline_left_ms(UINT64_MAX - 1), INT_MAX);
}

static void poll_reports_what_is_ready(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(pipe(pair), 0);
    struct pollfd fds[] = {{.fd = pair[0], .events = POLLIN}, {.fd = pair[1], .events = POLLOUT}};
    assert_int_equal(pr_poll(fds, 2, -1), 1);
    assert_int_equal(pr_poll(fds, 1, 0), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(pr_poll(fds, 2, -1), 2);
    close(pair[0]);
    close(pair[1]);
}

static atomic_uint alarms;

static void on_alarm(int signal)
{
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

/* Signals neither end a poll early nor show up as an error. */
static void poll_outlasts_signals(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval every_2_ms = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    setitimer(ITIMER_REAL, &every_2_ms, NULL);
    do {
        uint64_t start = pr_now_ns();
        assert_int_equal(pr_poll(NULL, 0, 30), 0);
        assert_true(pr_now_ns() - start >= 30000000u);
    } while (!atomic_load(&alarms));
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
}

struct look {
    char name[16];
    sigset_t blocked;
};

static void look_around(void *opaque)
{
    struct look *look = opaque;
    pthread_getname_np(pthread_self(), look->name, sizeof(look->name));
    pthread_sigmask(SIG_SETMASK, NULL, &look->blocked);
}

static struct look look_from_thread(const char *name)
{
    struct look look = {.name = ""};
    struct pr_thread *thread;
    assert_int_equal(pr_thread_spawn(&thread, name, look_around, &look), 0);
    pr_thread_join(thread);
    return look;
}

static void threads_are_named(void **state)
{
    (void)state;
    assert_string_equal(look_from_thread("worker").name, "worker");
    assert_string_equal(look_from_thread("a-name-that-is-too-long").name, "a-name-that-is-");
}

/* The program's handlers must not run on our threads, but a fault on ours must reach its handler.
 */
static void threads_take_only_faults(void **state)
{
    static const int ours[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static const int theirs[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE};
    sigset_t before, after;
    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    struct look look = look_from_thread("look");
    for (unsigned i = 0; i < COUNT_OF(ours); i++)
        assert_int_equal(sigismember(&look.blocked, ours[i]), 0);
    for (unsigned i = 0; i < COUNT_OF(theirs); i++)
        assert_int_equal(sigismember(&look.blocked, theirs[i]), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (unsigned i = 0; i < COUNT_OF(theirs); i++)
        assert_int_equal(sigismember(&after, theirs[i]), sigismember(&before, theirs[i]));
}

static void an_event_stays_raised_until_cleared(void **state)
{
    struct pr_event event = PR_EVENT_CLOSED;
    (void)state;
    assert_int_equal(pr_event_open(&event), 0);
    assert_false(pr_event_wait(&event, 0));
    pr_event_raise(&event);
    pr_event_raise(&event);
    assert_true(pr_event_wait(&event, PR_NEVER));
    assert_true(pr_event_wait(&event, 0));
    pr_event_clear(&event);
    assert_false(pr_event_wait(&event, 0));
    pr_event_clear(&event); /* must not block */
    pr_event_close(&event);
    pr_event_close(&event);
    assert_int_equal(event.fd, -1);
}

/* The counter behind it is full after 2^64 - 2 raises: raising must neither block nor fail. */
static void raising_a_full_event_is_harmless(void **state)
{
    struct pr_event event;
    uint64_t almost = UINT64_MAX - 1;
    (void)state;
    assert_int_equal(pr_event_open(&event), 0);
    assert_int_equal(write(event.fd, &almost, sizeof(almost)), sizeof(almost));
    errno = 123;
    pr_event_raise(&event);
    assert_int_equal(errno, 123);
    assert_true(pr_event_wait(&event, 0));
    pr_event_clear(&event);
    assert_false(pr_event_wait(&event, 0));
    pr_event_close(&event);
}

struct relay {
    struct pr_event there, back;
    unsigned rounds;
};

static void answer(void *opaque)
{
    struct relay *relay = opaque;
    for (unsigned i = 0; i < relay->rounds; i++) {
        pr_event_wait(&relay->there, PR_NEVER);
        pr_event_clear(&relay->there);
        pr_event_raise(&relay->back);
    }
}

static void a_raise_wakes_the_other_thread(void **state)
{
    struct relay relay = {.rounds = 2000};
    struct pr_thread *thread;
    (void)state;
    assert_int_equal(pr_event_open(&relay.there), 0);
    assert_int_equal(pr_event_open(&relay.back), 0);
    assert_int_equal(pr_thread_spawn(&thread, "answer", answer, &relay), 0);
    for (unsigned i = 0; i < relay.rounds; i++) {
        pr_event_raise(&relay.there);
        assert_true(pr_event_wait(&relay.back, PR_NEVER));
        pr_event_clear(&relay.back);
    }
    pr_thread_join(thread);
    pr_event_close(&relay.there);
    pr_event_close(&relay.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_never_goes_back),
        cmocka_unit_test_teardown(deadlines_round_up_and_saturate, restore),
        cmocka_unit_test(poll_reports_what_is_ready),
        cmocka_unit_test(poll_outlasts_signals),
        cmocka_unit_test(threads_are_named),
        cmocka_unit_test(threads_take_only_faults),
        cmocka_unit_test(an_event_stays_raised_until_cleared),
        cmocka_unit_test(raising_a_full_event_is_harmless),
        cmocka_unit_test(a_raise_wakes_the_other_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
