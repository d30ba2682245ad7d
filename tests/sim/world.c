/* SPDX-License-Identifier: BSD-2-Clause */
/* A run from its first thread to its verdict, and what can befall a side. */
#include "tests/sim/world.h"

#include "base/runtime.h"
#include "tests/sim/world_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *the_world;

struct world *world_current(void)
{
    return the_world;
}

uint64_t world_now_ns(const struct world *w)
{
    return w->now_ns;
}

uint64_t world_steps(const struct world *w)
{
    return w->steps;
}

int world_side_now(const struct world *w)
{
    (void)w;
    return world_in_thread() ? (int)pr_world_self()->side : -1;
}

void world_report(struct world *w, unsigned index, uint64_t value)
{
    w->shared->verdict.values[index % WORLD_VALUES] = value;
}

static void fail(struct world *w, bool with_stacks, const char *format, va_list ap)
{
    if (!w->failed) {
        char sentence[1024];
        vsnprintf(sentence, sizeof(sentence), format, ap);
        w->failed = true;
        pr_world_report_failure(w, sentence, with_stacks);
    }
    if (world_in_thread()) {
        pr_world_over(w);
        pr_world_stop();
    }
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail(w, false, format, ap);
    va_end(ap);
}

void pr_world_fail_with_stacks(struct world *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail(w, true, format, ap);
    va_end(ap);
}

/* ---- what can befall a side ---- */

bool world_killed(const struct world *w, unsigned side)
{
    return w->side_state[side] == SIDE_KILLED;
}

void world_kill(struct world *w, unsigned side)
{
    if (!world_killed(w, side)) {
        w->side_state[side] = SIDE_KILLED;
        w->shared->someone_died = true;
        for (struct world_device *d = w->devices; d; d = d->next)
            d->killed(d, side);
    }
    world_point("kill", false);
}

void world_freeze(struct world *w, unsigned side)
{
    if (w->side_state[side] == SIDE_RUNS)
        w->side_state[side] = SIDE_FROZEN;
    world_point("freeze", false);
}

void world_thaw(struct world *w, unsigned side)
{
    if (w->side_state[side] == SIDE_FROZEN)
        w->side_state[side] = SIDE_RUNS;
    world_point("thaw", false);
}

void world_cut(struct world *w)
{
    w->cut = true;
    for (struct world_device *d = w->devices; d; d = d->next)
        d->cut(d);
}

void world_mend(struct world *w)
{
    w->cut = false;
}

bool world_is_cut(const struct world *w)
{
    return w->cut;
}

/* ---- what happens later ---- */

void world_at_step(struct world *w, uint64_t step, world_fn fn, void *arg)
{
    w->step_calls = realloc(w->step_calls, (w->step_call_count + 1) * sizeof(*w->step_calls));
    if (!w->step_calls)
        abort();
    w->step_calls[w->step_call_count++] = (struct step_call){step, fn, arg};
    if (step > w->steps && step < w->next_step_call)
        w->next_step_call = step;
}

static void kill_side(struct world *w, void *arg)
{
    world_kill(w, (unsigned)(uintptr_t)arg);
}

void world_kill_at_step(struct world *w, unsigned side, uint64_t step)
{
    world_at_step(w, step, kill_side, (void *)(uintptr_t)side);
}

static void timed(struct world_event *event)
{
    struct timed_call *call = (struct timed_call *)event;
    call->fn(call->world, call->arg);
}

void world_at_ms(struct world *w, uint64_t ms, world_fn fn, void *arg)
{
    struct timed_call *call = calloc(1, sizeof(*call));
    if (!call)
        abort();
    *call = (struct timed_call){
        .event.fn = timed, .world = w, .fn = fn, .arg = arg, .next = w->timed_calls};
    w->timed_calls = call;
    world_event_set(w, &call->event, w->start_ns + ms * 1000000u);
}

void world_device_add(struct world *w, struct world_device *device)
{
    device->next = w->devices;
    w->devices = device;
}

struct world_device *world_devices(struct world *w)
{
    return w->devices;
}

/* ---- a run ---- */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value ? value : otherwise;
}

static struct world *open_world(const struct world_scenario *scenario, struct world_shared *shared)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w || !scenario->side_count || scenario->side_count > WORLD_SIDES_MAX)
        abort();
    w->scenario = scenario;
    w->shared = shared;
    w->max_steps = or_default(scenario->max_steps, 2000000);
    w->max_ns = or_default(scenario->max_sim_ms, 3600000) * 1000000u;
    w->preempt_percent = (unsigned)or_default(scenario->preempt_percent, 10);
    w->stall_ppm = (unsigned)or_default(scenario->stall_ppm, 200);
    w->random_state = scenario->seed * 0xd1342543de82ef95u;
    w->start_ns = w->now_ns = 1000000000u + world_random_below(w, 1000000000u);
    w->next_step_call = UINT64_MAX;
    w->print_trace = scenario->trace || getenv("SIM_TRACE");
    sem_init(&w->finished, 0, 0);
    sem_init(&w->shown, 0, 0);
    return w;
}

/* Only after a run that left no thread behind. */
static void close_world(struct world *w)
{
    while (w->timed_calls) {
        struct timed_call *call = w->timed_calls;
        w->timed_calls = call->next;
        free(call);
    }
    free(w->step_calls);
    free(w->heap);
    free(w->threads);
    free(w->runnable);
    free(w->poll_all);
    sem_destroy(&w->finished);
    sem_destroy(&w->shown);
    free(w);
}

struct main_arg {
    struct world *world;
    const struct world_side *side;
};

static void main_of_side(void *opaque)
{
    struct main_arg *arg = opaque;
    arg->side->fn(arg->world, arg->side->arg);
}

static void start_sides(struct world *w, struct main_arg *args, struct pr_thread **mains)
{
    for (unsigned i = 0; i < w->scenario->side_count; i++) {
        args[i] = (struct main_arg){w, &w->scenario->sides[i]};
        if (pr_world_thread_start(w, i, "main", main_of_side, &args[i], &mains[i]) < 0)
            abort();
    }
}

/* Joins the main threads of an ok run; any other that is left was forgotten by its side. */
static void collect(struct world *w, struct pr_thread **mains)
{
    for (unsigned i = 0; i < w->scenario->side_count; i++)
        if (w->side_state[i] != SIDE_KILLED)
            pr_world_thread_join(w, mains[i]);
    for (unsigned i = 0; i < w->thread_count; i++)
        if (w->side_state[w->threads[i]->side] != SIDE_KILLED)
            world_fail(w, "thread %s was never joined", w->threads[i]->name);
}

void pr_world_run_shared(const struct world_scenario *scenario, struct world_shared *shared)
{
    struct world *w = open_world(scenario, shared);
    /* Static, for after a failure the threads outlive this call. One world a process. */
    static struct main_arg args[WORLD_SIDES_MAX];
    struct pr_thread *mains[WORLD_SIDES_MAX] = {NULL};
    the_world = w;
    pr_runtime_set(&pr_world_runtime);
    if (scenario->begin)
        scenario->begin(w, scenario->arg);
    start_sides(w, args, mains);
    pr_world_pass(w, NULL);
    while (sem_wait(&w->finished) < 0)
        ;
    if (!w->failed)
        collect(w, mains);
    if (!w->failed && scenario->end)
        scenario->end(w, scenario->arg);
    for (struct world_device *d = w->devices, *next; d && !w->failed; d = next) {
        next = d->next;
        d->ended(d);
    }
    shared->verdict.ok = !w->failed;
    shared->verdict.steps = w->steps;
    shared->verdict.sim_ns = w->now_ns - w->start_ns;
    shared->over = true;
    pr_runtime_set(NULL);
    the_world = NULL;
    if (!w->failed && !shared->someone_died)
        close_world(w);
}

void world_run(const struct world_scenario *scenario, struct world_verdict *out)
{
    static struct world_shared shared;
    memset(&shared, 0, sizeof(shared));
    pr_world_run_shared(scenario, &shared);
    *out = shared.verdict;
}
