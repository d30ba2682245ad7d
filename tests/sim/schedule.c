/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who runs next. The baton is a semaphore per thread: whoever passes it posts the next thread's and
 * waits for its own, which also orders all memory between the two, so the rest of the world needs
 * neither locks nor atomics.
 */
#include "base/runtime.h"
#include "tests/sim/world_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_MAX_NS 2000000u

static _Thread_local struct pr_thread *self_thread;

struct pr_thread *pr_world_self(void)
{
    return self_thread;
}

void pr_world_self_set(struct pr_thread *thread)
{
    self_thread = thread;
}

bool world_in_thread(void)
{
    return self_thread && !self_thread->world->in_scheduler;
}

void pr_world_stop(void)
{
    for (;;)
        pause();
}

void pr_world_over(struct world *w)
{
    if (w->over)
        return;
    w->over = true;
    sem_post(&w->finished);
}

/* splitmix64 */
uint64_t world_random(struct world *w)
{
    uint64_t x = w->random_state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t world_random_below(struct world *w, uint64_t below)
{
    return world_random(w) % below;
}

static void fire_step_calls(struct world *w)
{
    w->in_scheduler = true;
    w->next_step_call = UINT64_MAX;
    for (unsigned i = 0; i < w->step_call_count; i++) {
        struct step_call call = w->step_calls[i];
        if (call.step == w->steps)
            call.fn(w, call.arg);
        else if (call.step > w->steps && call.step < w->next_step_call)
            w->next_step_call = call.step;
    }
    w->in_scheduler = false;
}

static void check_limits(struct world *w)
{
    if (w->steps >= w->max_steps)
        pr_world_fail_with_stacks(w, "livelock: %llu steps and still no end",
                                  (unsigned long long)w->steps);
    else if (w->now_ns - w->start_ns >= w->max_ns)
        pr_world_fail_with_stacks(w, "%llu ms of simulated time and still no end",
                                  (unsigned long long)(w->max_ns / 1000000u));
}

void pr_world_count(struct world *w, struct pr_thread *self, const char *what)
{
    w->steps++;
    w->now_ns += 20 + world_random_below(w, 100);
    self->at = what;
    pr_world_trace(w, self, what);
    if (w->steps >= w->next_step_call)
        fire_step_calls(w);
    if (pr_world_events_next(w) <= w->now_ns)
        pr_world_events_fire(w);
    check_limits(w);
}

static bool can_be_drawn(const struct world *w, const struct pr_thread *t)
{
    return t->state != THREAD_DONE && w->side_state[t->side] == SIDE_RUNS;
}

/* One poll(2) over the descriptors of all threads that poll. */
static void poll_all(struct world *w)
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->thread_count; i++) {
        struct pr_thread *t = w->threads[i];
        if (t->state != THREAD_POLLS || !can_be_drawn(w, t))
            continue;
        if (count + t->fd_count > w->poll_room) {
            w->poll_room = (count + t->fd_count) * 2;
            w->poll_all = realloc(w->poll_all, w->poll_room * sizeof(*w->poll_all));
            if (!w->poll_all)
                abort();
        }
        if (t->fd_count)
            memcpy(w->poll_all + count, t->fds, t->fd_count * sizeof(*t->fds));
        count += t->fd_count;
    }
    while (count && poll(w->poll_all, count, 0) < 0)
        if (errno != EINTR)
            abort();
}

static bool any_ready(const struct pollfd *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fds[i].revents)
            return true;
    return false;
}

/* Fills w->runnable and returns how many; *earliest is when the others could run by time alone. */
static unsigned gather(struct world *w, uint64_t *earliest)
{
    unsigned count = 0, at_fd = 0;
    *earliest = PR_NEVER;
    poll_all(w);
    for (unsigned i = 0; i < w->thread_count; i++) {
        struct pr_thread *t = w->threads[i];
        if (!can_be_drawn(w, t))
            continue;
        uint64_t from = PR_NEVER;
        if (t->state == THREAD_READY) {
            from = 0;
        } else if (t->state == THREAD_POLLS) {
            from = any_ready(w->poll_all + at_fd, t->fd_count) ? 0 : t->deadline_ns;
            at_fd += t->fd_count;
        } else if (t->state == THREAD_JOINS) {
            from = t->target->state == THREAD_DONE ? 0 : PR_NEVER;
        }
        if (from != PR_NEVER && from < t->stalled_until_ns)
            from = t->stalled_until_ns;
        if (from <= w->now_ns)
            w->runnable[count++] = t;
        else if (from < *earliest)
            *earliest = from;
    }
    return count;
}

static struct pr_thread *draw(struct world *w, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += w->runnable[i]->weight;
    uint64_t lot = world_random_below(w, sum);
    unsigned i = 0;
    while (lot >= w->runnable[i]->weight)
        lot -= w->runnable[i++]->weight;
    return w->runnable[i];
}

static bool anyone_left(const struct world *w)
{
    for (unsigned i = 0; i < w->thread_count; i++)
        if (w->threads[i]->state != THREAD_DONE &&
            w->side_state[w->threads[i]->side] != SIDE_KILLED)
            return true;
    return false;
}

/* The thread that runs next; NULL when the run is over. */
static struct pr_thread *pick(struct world *w)
{
    while (!w->failed && anyone_left(w)) {
        uint64_t earliest;
        unsigned count = gather(w, &earliest);
        if (!count) {
            uint64_t event = pr_world_events_next(w);
            uint64_t next = event < earliest ? event : earliest;
            if (next == PR_NEVER) {
                pr_world_fail_with_stacks(w, "deadlock: no thread can ever run again");
                break;
            }
            if (next > w->now_ns)
                w->now_ns = next;
            pr_world_events_fire(w);
            check_limits(w);
            continue;
        }
        struct pr_thread *t = draw(w, count);
        if (world_random_below(w, 1000000u) >= w->stall_ppm)
            return t;
        t->stalled_until_ns = w->now_ns + world_random_below(w, STALL_MAX_NS);
    }
    return NULL;
}

/* Waits for the baton; writes down its stack whenever somebody asks instead. */
static void wait_for_baton(struct world *w, struct pr_thread *self)
{
    for (;;) {
        while (sem_wait(&self->baton) < 0)
            ;
        if (!self->show)
            return;
        self->show = false;
        pr_world_stack_take(self);
        sem_post(&w->shown);
    }
}

void pr_world_pass(struct world *w, struct pr_thread *self)
{
    w->in_scheduler = true;
    struct pr_thread *next = pick(w);
    w->in_scheduler = false;
    bool done = self && self->state == THREAD_DONE;
    if (!next) {
        pr_world_over(w);
        if (done || !self)
            return;
        pr_world_stop();
    }
    snprintf(w->shared->running, sizeof(w->shared->running), "%s:%s",
             w->scenario->sides[next->side].name, next->name);
    if (next != self) {
        w->shared->verdict.switches++;
        sem_post(&next->baton);
        if (self && !done)
            wait_for_baton(w, self);
    }
}

static bool may_run_on(const struct world *w, const struct pr_thread *self)
{
    return !w->failed && w->side_state[self->side] == SIDE_RUNS;
}

void world_point(const char *name, bool must)
{
    if (!world_in_thread())
        return;
    struct pr_thread *self = self_thread;
    struct world *w = self->world;
    pr_world_count(w, self, name);
    if (must || !may_run_on(w, self) || world_random_below(w, 100) < w->preempt_percent) {
        self->state = THREAD_READY;
        pr_world_pass(w, self);
    }
}

void pr_sim_step(const char *name)
{
    world_point(name, false);
}
