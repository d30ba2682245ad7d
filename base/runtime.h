/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the library meets time and threads: now, poll, spawn, join. Nothing else in the library
 * reads a clock, blocks or starts a thread (a mutex held over no blocking call is the one
 * exception). So a test that swaps these four runs whole sessions, many threads on both sides, one
 * at a time in an order drawn from a seed and in simulated time (tests/sim).
 */
#ifndef PR_BASE_RUNTIME_H
#define PR_BASE_RUNTIME_H

#include <poll.h>
#include <stdint.h>

struct pr_thread; /* opaque: a running thread until it is joined */

struct pr_runtime_ops {
    /* Monotonic nanoseconds. */
    uint64_t (*now_ns)(void);
    /* As poll(2): waits for the descriptors, at most timeout_ms (-1 = for ever). Returns how many
     * are ready, 0 at the timeout, negative errno. -EINTR never comes back. */
    int (*poll)(struct pollfd *fds, unsigned count, int timeout_ms);
    /* Starts fn(arg) on a new thread. name: at most 15 bytes, shown by the debugger. */
    int (*spawn)(struct pr_thread **out, const char *name, void (*fn)(void *), void *arg);
    /* Waits for the thread to return from fn and frees it. */
    void (*join)(struct pr_thread *thread);
};

/* Swaps the runtime; NULL restores the real one. Only with no session alive. */
void pr_runtime_set(const struct pr_runtime_ops *ops);

uint64_t pr_now_ns(void);
int pr_poll(struct pollfd *fds, unsigned count, int timeout_ms);
int pr_thread_spawn(struct pr_thread **out, const char *name, void (*fn)(void *), void *arg);
void pr_thread_join(struct pr_thread *thread);

/* Sleeps by pr_poll with no descriptors. */
void pr_sleep_ms(int ms);

/* Processor time that the calling thread has used. */
uint64_t pr_thread_cpu_ns(void);

/* A point in time, so that several waits share one limit. */
#define PR_NEVER UINT64_MAX

/* now + timeout_ms; PR_NEVER for a negative timeout, and for one beyond the end of the clock. */
uint64_t pr_deadline_after_ms(int64_t timeout_ms);

/* Milliseconds until the deadline, rounded up, for pr_poll: -1 for PR_NEVER, 0 once it passed. */
int pr_deadline_left_ms(uint64_t deadline_ns);

#endif
