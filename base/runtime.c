/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/runtime.h"

#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pr_thread {
    pthread_t id;
    void (*fn)(void *);
    void *arg;
    char name[16];
};

static uint64_t real_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int real_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    uint64_t deadline = pr_deadline_after_ms(timeout_ms);
    for (;;) {
        int ready = poll(fds, count, timeout_ms);
        if (ready >= 0)
            return ready;
        if (errno != EINTR)
            return pr_error(errno, "poll failed: %s", strerror(errno));
        timeout_ms = pr_deadline_left_ms(deadline);
    }
}

static void *thread_main(void *opaque)
{
    struct pr_thread *thread = opaque;
    pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    return NULL;
}

/*
 * The library's threads run none of the program's signal handlers but those for faults of their
 * own: a fault while its signal is blocked kills the process past the handler, and a VMM's SIGBUS
 * handler is how it survives a broken page of guest memory.
 */
static int create_with_signals_blocked(struct pr_thread *thread)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, old;
    sigfillset(&blocked);
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &old);
    int err = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err;
}

static int real_spawn(struct pr_thread **out, const char *name, void (*fn)(void *), void *arg)
{
    struct pr_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return pr_error(ENOMEM, "no memory for a thread");
    thread->fn = fn;
    thread->arg = arg;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    int err = create_with_signals_blocked(thread);
    if (err) {
        free(thread);
        return pr_error(err,
                        "cannot start thread %s: %s (raise `ulimit -u` or the cgroup's pids.max)",
                        name, strerror(err));
    }
    *out = thread;
    return 0;
}

static void real_join(struct pr_thread *thread)
{
    pthread_join(thread->id, NULL);
    free(thread);
}

static const struct pr_runtime_ops real_ops = {real_now_ns, real_poll, real_spawn, real_join};
static const struct pr_runtime_ops *ops = &real_ops;

void pr_runtime_set(const struct pr_runtime_ops *swapped)
{
    ops = swapped ? swapped : &real_ops;
}

uint64_t pr_now_ns(void)
{
    return ops->now_ns();
}

int pr_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    return ops->poll(fds, count, timeout_ms);
}

int pr_thread_spawn(struct pr_thread **out, const char *name, void (*fn)(void *), void *arg)
{
    return ops->spawn(out, name, fn, arg);
}

void pr_thread_join(struct pr_thread *thread)
{
    ops->join(thread);
}

void pr_sleep_ms(int ms)
{
    ops->poll(NULL, 0, ms);
}

uint64_t pr_thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t pr_deadline_after_ms(int64_t timeout_ms)
{
    uint64_t deadline_ns;
    if (timeout_ms < 0 || __builtin_mul_overflow((uint64_t)timeout_ms, 1000000u, &deadline_ns) ||
        __builtin_add_overflow(deadline_ns, pr_now_ns(), &deadline_ns))
        return PR_NEVER;
    return deadline_ns;
}

int pr_deadline_left_ms(uint64_t deadline_ns)
{
    if (deadline_ns == PR_NEVER)
        return -1;
    uint64_t now = pr_now_ns();
    if (now >= deadline_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now - 1) / 1000000u + 1;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
