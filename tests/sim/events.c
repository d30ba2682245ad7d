/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap of future events. */
#include "base/runtime.h"
#include "tests/sim/world_state.h"

#include <stdlib.h>

static bool before(const struct world_event *a, const struct world_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void put(struct world *w, unsigned place, struct world_event *event)
{
    w->heap[place - 1] = event;
    event->place = place;
}

static void sift_up(struct world *w, struct world_event *event)
{
    unsigned place = event->place;
    for (; place > 1 && before(event, w->heap[place / 2 - 1]); place /= 2)
        put(w, place, w->heap[place / 2 - 1]);
    put(w, place, event);
}

static void sift_down(struct world *w, struct world_event *event)
{
    unsigned place = event->place;
    for (;;) {
        unsigned child = place * 2;
        if (child > w->heap_count)
            break;
        if (child < w->heap_count && before(w->heap[child], w->heap[child - 1]))
            child++;
        if (!before(w->heap[child - 1], event))
            break;
        put(w, place, w->heap[child - 1]);
        place = child;
    }
    put(w, place, event);
}

void world_event_cancel(struct world *w, struct world_event *event)
{
    unsigned place = event->place;
    if (!place)
        return;
    event->place = 0;
    struct world_event *last = w->heap[--w->heap_count];
    if (last == event)
        return;
    put(w, place, last);
    sift_up(w, last);
    sift_down(w, last);
}

void world_event_set(struct world *w, struct world_event *event, uint64_t at_ns)
{
    world_event_cancel(w, event);
    if (w->heap_count == w->heap_room) {
        w->heap_room = w->heap_room ? w->heap_room * 2 : 256;
        w->heap = realloc(w->heap, w->heap_room * sizeof(struct world_event *));
        if (!w->heap)
            abort();
    }
    event->at_ns = at_ns;
    event->order = w->event_order++;
    put(w, ++w->heap_count, event);
    sift_up(w, event);
}

uint64_t pr_world_events_next(const struct world *w)
{
    return w->heap_count ? w->heap[0]->at_ns : PR_NEVER;
}

void pr_world_events_fire(struct world *w)
{
    bool nested = w->in_scheduler;
    w->in_scheduler = true;
    while (w->heap_count && w->heap[0]->at_ns <= w->now_ns && !w->failed) {
        struct world_event *event = w->heap[0];
        world_event_cancel(w, event);
        event->fn(event);
    }
    w->in_scheduler = nested;
}
