/* SPDX-License-Identifier: BSD-2-Clause */
/* base/runtime.h inside a world. */
#include "base/runtime.h"

#include "base/error.h"
#include "tests/sim/world_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One in so many looks at the clock is a point, so that a loop which only looks at the clock lets
 * others run. */
#define NOW_PER_POINT 16

static uint64_t sim_now_ns(void)
{
    struct world *w = world_current();
    if (world_in_thread()) {
        w->now_ns += 1 + world_random_below(w, 16);
        if (world_random_below(w, NOW_PER_POINT) == 0)
            world_point("now", false);
    }
    return w->now_ns;
}

/* For begin, end and callbacks, which must not block. */
static int poll_at_once(struct pollfd *fds, unsigned count, int timeout_ms)
{
    int ready = poll(fds, count, 0);
    if (ready < 0)
        return pr_error(errno, "poll failed: %s", strerror(errno));
    if (!ready && timeout_ms)
        world_fail(world_current(), "pr_poll would block outside of the world's threads");
    return ready;
}

static uint64_t deadline(const struct world *w, int timeout_ms)
{
    return timeout_ms < 0 ? PR_NEVER : w->now_ns + (uint64_t)timeout_ms * 1000000u;
}

static int wait_until(struct world *w, struct pr_thread *self, const char *name, struct pollfd *fds,
                      unsigned count, uint64_t deadline_ns)
{
    pr_world_count(w, self, name);
    for (;;) {
        self->state = THREAD_POLLS;
        self->fds = fds;
        self->fd_count = count;
        self->deadline_ns = deadline_ns;
        pr_world_pass(w, self);
        self->state = THREAD_READY;
        int ready = poll(fds, count, 0);
        if (ready < 0 && errno != EINTR)
            return pr_error(errno, "poll failed: %s", strerror(errno));
        if (ready > 0)
            return ready;
        if (w->now_ns >= deadline_ns)
            return 0;
    }
}

static int sim_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    if (!world_in_thread())
        return poll_at_once(fds, count, timeout_ms);
    struct pr_thread *self = pr_world_self();
    return wait_until(self->world, self, count ? "poll" : "sleep", fds, count,
                      deadline(self->world, timeout_ms));
}

void world_sleep_ns(struct world *w, uint64_t ns)
{
    if (!world_in_thread())
        return;
    wait_until(w, pr_world_self(), "sleep", NULL, 0, w->now_ns + ns);
}

static void *thread_main(void *opaque)
{
    struct pr_thread *self = opaque;
    struct world *w = self->world;
    pthread_setname_np(pthread_self(), self->name);
    while (sem_wait(&self->baton) < 0)
        ;
    pr_world_self_set(self);
    self->fn(self->arg);
    pr_world_count(w, self, "return");
    self->state = THREAD_DONE;
    if (w->side_state[self->side] == SIDE_KILLED || w->failed) {
        pr_world_pass(w, self);
        pr_world_stop();
    }
    pr_world_pass(w, self);
    return NULL;
}

static void add(struct world *w, struct pr_thread *thread)
{
    if (w->thread_count == w->thread_room) {
        w->thread_room = w->thread_room ? w->thread_room * 2 : 64;
        w->threads = realloc(w->threads, w->thread_room * sizeof(struct pr_thread *));
        w->runnable = realloc(w->runnable, w->thread_room * sizeof(struct pr_thread *));
        if (!w->threads || !w->runnable)
            abort();
    }
    w->threads[w->thread_count++] = thread;
}

/* Some threads get many more turns than others, so that a slow one is among them often. */
static unsigned draw_weight(struct world *w)
{
    static const unsigned weights[] = {1, 1, 4, 16, 64};
    return weights[world_random_below(w, sizeof(weights) / sizeof(weights[0]))];
}

int pr_world_thread_start(struct world *w, unsigned side, const char *name, void (*fn)(void *),
                          void *arg, struct pr_thread **out)
{
    struct pr_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return pr_error(ENOMEM, "no memory for a thread");
    thread->world = w;
    thread->side = side;
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    thread->fn = fn;
    thread->arg = arg;
    thread->at = "start";
    thread->weight = draw_weight(w);
    sem_init(&thread->baton, 0, 0);
    int err = pthread_create(&thread->id, NULL, thread_main, thread);
    if (err) {
        sem_destroy(&thread->baton);
        free(thread);
        return pr_error(err, "cannot start thread %s: %s", name, strerror(err));
    }
    add(w, thread);
    *out = thread;
    return 0;
}

void pr_world_thread_join(struct world *w, struct pr_thread *thread)
{
    pthread_join(thread->id, NULL);
    unsigned i = 0;
    while (w->threads[i] != thread)
        i++;
    w->thread_count--;
    memmove(w->threads + i, w->threads + i + 1, (w->thread_count - i) * sizeof(struct pr_thread *));
    sem_destroy(&thread->baton);
    free(thread);
}

static int sim_spawn(struct pr_thread **out, const char *name, void (*fn)(void *), void *arg)
{
    if (!world_in_thread())
        return pr_error(EPERM, "threads start from the world's threads only");
    struct pr_thread *self = pr_world_self(), *thread;
    int err = pr_world_thread_start(self->world, self->side, name, fn, arg, &thread);
    if (err)
        return err;
    *out = thread;
    world_point("spawn", true);
    return 0;
}

static void sim_join(struct pr_thread *thread)
{
    struct pr_thread *self = pr_world_self();
    struct world *w = self->world;
    pr_world_count(w, self, "join");
    self->state = THREAD_JOINS;
    self->target = thread;
    pr_world_pass(w, self);
    self->state = THREAD_READY;
    pr_world_thread_join(w, thread);
}

const struct pr_runtime_ops pr_world_runtime = {sim_now_ns, sim_poll, sim_spawn, sim_join};
