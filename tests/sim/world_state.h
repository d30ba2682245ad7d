/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the world share. Everything here belongs to whoever holds the baton. */
#ifndef PR_SIM_WORLD_STATE_H
#define PR_SIM_WORLD_STATE_H

#include "tests/sim/world.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>

#define TRACE_LAST 48
#define FRAMES_MAX 24

enum thread_state {
    THREAD_READY, /* can run whenever it is drawn */
    THREAD_POLLS, /* until fds are ready or the deadline passed */
    THREAD_JOINS, /* until `target` is done */
    THREAD_LOCKS, /* until `mutex` is unlocked */
    THREAD_DONE,  /* returned from fn, waits to be joined */
};

/* The runtime's opaque thread. */
struct pr_thread {
    struct world *world;
    unsigned side;
    char name[16];
    void (*fn)(void *);
    void *arg;
    pthread_t id;
    sem_t baton; /* posted by whoever passes the baton to this thread */

    enum thread_state state;
    const char *at; /* the point where it stands */
    struct pollfd *fds;
    unsigned fd_count;
    uint64_t deadline_ns; /* PR_NEVER: none */
    struct pr_thread *target;
    const pthread_mutex_t *mutex;

    unsigned weight;           /* of its lot among the runnable ones */
    uint64_t stalled_until_ns; /* not drawn before, as on a busy host */

    bool show; /* woken only to write down its stack */
    void *frames[FRAMES_MAX];
    int frame_count;
};

enum side_state { SIDE_RUNS, SIDE_FROZEN, SIDE_KILLED };

struct trace_entry {
    uint64_t step, now_ns;
    char side[8], thread[16];
    const char *what;
};

struct step_call {
    uint64_t step;
    world_fn fn;
    void *arg;
};

struct timed_call {
    struct world_event event; /* first: cast back */
    struct world *world;
    world_fn fn;
    void *arg;
    struct timed_call *next;
};

/* Shared between a forked child and its parent, who reads it when the child has ended or hangs. */
struct world_shared {
    struct world_verdict verdict;
    bool over;         /* the verdict is complete */
    bool someone_died; /* a side was killed */
    char running[32];  /* the thread with the baton */
    char crash[2048];  /* where it died by a signal */
    const char *point; /* the last one passed: a string literal, same in parent and child */
};

struct world {
    const struct world_scenario *scenario;
    struct world_shared *shared;
    uint64_t max_steps, max_ns;
    unsigned preempt_percent, stall_ppm;
    bool print_trace;

    uint64_t random_state;
    uint64_t start_ns, now_ns, steps;
    enum side_state side_state[WORLD_SIDES_MAX];
    bool cut;

    struct pr_thread **threads; /* not yet joined, in the order of their start */
    unsigned thread_count, thread_room;
    struct pollfd *poll_all; /* the descriptors of all polling threads, for one poll(2) */
    unsigned poll_room;
    struct pr_thread **runnable;

    struct world_event **heap;
    unsigned heap_count, heap_room;
    uint64_t event_order;

    struct step_call *step_calls;
    unsigned step_call_count;
    uint64_t next_step_call;
    struct timed_call *timed_calls;
    struct world_device *devices;

    bool in_scheduler; /* callbacks run: nobody may block or pass the baton */
    bool failed;
    bool over;      /* `finished` was posted */
    sem_t finished; /* wakes world_run */
    sem_t shown;    /* a thread has written down its stack */

    struct trace_entry trace[TRACE_LAST]; /* ring, by step */
};

/* events.c */
void pr_world_events_fire(struct world *w);           /* all that are due */
uint64_t pr_world_events_next(const struct world *w); /* PR_NEVER: none */

/* schedule.c */
struct pr_thread *pr_world_self(void);
void pr_world_self_set(struct pr_thread *thread);
/* Gives the baton to a runnable thread, maybe the caller's own (`self`, NULL for the runner), and
 * returns when it is back. A thread that is done returns at once. */
void pr_world_pass(struct world *w, struct pr_thread *self);
/* One step: time moves, calls and events fire, limits are checked. */
void pr_world_count(struct world *w, struct pr_thread *self, const char *what);
/* The caller is out of the play for ever. */
void pr_world_stop(void) __attribute__((noreturn));
/* Wakes world_run. */
void pr_world_over(struct world *w);

/* runtime.c */
extern const struct pr_runtime_ops pr_world_runtime;
int pr_world_thread_start(struct world *w, unsigned side, const char *name, void (*fn)(void *),
                          void *arg, struct pr_thread **out);
void pr_world_thread_join(struct world *w, struct pr_thread *thread);

/* report.c */
void pr_world_trace(struct world *w, const struct pr_thread *self, const char *what);
/* Composes verdict.text behind the sentence. */
void pr_world_report_failure(struct world *w, const char *sentence, bool with_stacks);

/* stacks.c */
/* The calling thread's stack into thread->frames. */
void pr_world_stack_take(struct pr_thread *thread);
/* One line per frame of the program; returns how many bytes. */
int pr_world_stack_print(void *const *frames, int count, char *out, int room);

/* world.c */
void pr_world_fail_with_stacks(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pr_world_run_shared(const struct world_scenario *scenario, struct world_shared *shared);

#endif
