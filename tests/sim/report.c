/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace of a run and the text of a failure. */
#include "base/runtime.h"
#include "tests/sim/world_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9fb21c651e98df25u;
    return hash ^ (hash >> 29);
}

void pr_world_trace(struct world *w, const struct pr_thread *self, const char *what)
{
    const char *side = w->scenario->sides[self->side].name;
    struct trace_entry *entry = &w->trace[w->steps % TRACE_LAST];
    entry->step = w->steps;
    entry->now_ns = w->now_ns;
    snprintf(entry->side, sizeof(entry->side), "%s", side);
    memcpy(entry->thread, self->name, sizeof(entry->thread));
    entry->what = what;
    uint64_t hash = mix(w->shared->verdict.hash, w->now_ns);
    for (const char *c = self->name; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    w->shared->verdict.hash = mix(hash, self->side * 256 + (unsigned char)*what);
    w->shared->point = what;
    if (w->print_trace)
        fprintf(stderr, "%8llu %12llu ns %s:%s %s\n", (unsigned long long)w->steps,
                (unsigned long long)(w->now_ns - w->start_ns), side, self->name, what);
}

struct text {
    char *at;
    int room;
};

static void __attribute__((format(printf, 2, 3))) say(struct text *text, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int len = vsnprintf(text->at, (size_t)text->room, format, ap);
    va_end(ap);
    if (len >= text->room)
        len = text->room - 1;
    text->at += len;
    text->room -= len;
}

static void say_wait(struct text *text, const struct world *w, const struct pr_thread *t)
{
    switch (t->state) {
    case THREAD_READY:
        say(text, "stands at '%s'", t->at);
        break;
    case THREAD_POLLS:
        say(text, "polls");
        for (unsigned i = 0; i < t->fd_count; i++)
            say(text, " fd %d", t->fds[i].fd);
        if (t->deadline_ns == PR_NEVER)
            say(text, " without a limit");
        else
            say(text, " until %llu ns", (unsigned long long)(t->deadline_ns - w->start_ns));
        break;
    case THREAD_JOINS:
        say(text, "joins %s", t->target->name);
        break;
    case THREAD_LOCKS:
        say(text, "waits for a mutex");
        break;
    case THREAD_DONE:
        say(text, "has ended and was not joined");
        break;
    }
}

/* Has a waiting thread write down where it waits. One that never ran has nothing to show. */
static bool fetch_stack(struct world *w, struct pr_thread *t)
{
    if (t == pr_world_self()) {
        pr_world_stack_take(t);
        return true;
    }
    if (t->state == THREAD_DONE || strcmp(t->at, "start") == 0)
        return false;
    t->show = true;
    sem_post(&t->baton);
    while (sem_wait(&w->shown) < 0)
        ;
    return true;
}

static void say_threads(struct text *text, struct world *w, bool with_stacks)
{
    static const char *const notes[] = {"", " (frozen)", " (killed)"};
    for (unsigned i = 0; i < w->thread_count; i++) {
        struct pr_thread *t = w->threads[i];
        say(text, "  %s:%s%s ", w->scenario->sides[t->side].name, t->name,
            notes[w->side_state[t->side]]);
        say_wait(text, w, t);
        say(text, "\n");
        if (with_stacks && w->side_state[t->side] != SIDE_KILLED && fetch_stack(w, t)) {
            int len = pr_world_stack_print(t->frames, t->frame_count, text->at, text->room);
            text->at += len;
            text->room -= len;
        }
    }
}

static void say_trace(struct text *text, const struct world *w)
{
    uint64_t count = w->steps < TRACE_LAST ? w->steps : TRACE_LAST;
    for (uint64_t step = w->steps - count + 1; count && step <= w->steps; step++) {
        const struct trace_entry *entry = &w->trace[step % TRACE_LAST];
        say(text, "  %7llu %12llu ns  %s:%s %s\n", (unsigned long long)entry->step,
            (unsigned long long)(entry->now_ns - w->start_ns), entry->side, entry->thread,
            entry->what);
    }
}

void pr_world_report_failure(struct world *w, const char *sentence, bool with_stacks)
{
    struct text text = {w->shared->verdict.text, sizeof(w->shared->verdict.text)};
    say(&text, "%s\nseed %llu, step %llu, %llu ns\nthreads:\n", sentence,
        (unsigned long long)w->scenario->seed, (unsigned long long)w->steps,
        (unsigned long long)(w->now_ns - w->start_ns));
    say_threads(&text, w, with_stacks);
    say(&text, "last steps:\n");
    say_trace(&text, w);
}
