/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduling points inside calls that do not go through base/runtime.h: the linker sends the
 * library's calls of these functions here (--wrap, see meson.build). A thread that meets a locked
 * mutex waits in the world, not in the kernel, so a mutex may be held across any point and a circle
 * of mutexes is an ordinary deadlock report.
 */
#include "base/event.h"
#include "tests/sim/world_state.h"

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
void __wrap_pr_event_raise(const struct pr_event *event);
void __real_pr_event_raise(const struct pr_event *event);
void __wrap_pr_event_clear(const struct pr_event *event);
void __real_pr_event_clear(const struct pr_event *event);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!world_in_thread())
        return __real_pthread_mutex_lock(mutex);
    struct pr_thread *self = pr_world_self();
    world_point("lock", false);
    while (pthread_mutex_trylock(mutex) != 0) {
        self->state = THREAD_LOCKS;
        self->mutex = mutex;
        pr_world_pass(self->world, self);
    }
    return 0;
}

static void wake_waiters(struct world *w, const pthread_mutex_t *mutex)
{
    for (unsigned i = 0; i < w->thread_count; i++)
        if (w->threads[i]->state == THREAD_LOCKS && w->threads[i]->mutex == mutex)
            w->threads[i]->state = THREAD_READY;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int err = __real_pthread_mutex_unlock(mutex);
    if (world_in_thread()) {
        wake_waiters(world_current(), mutex);
        world_point("unlock", false);
    }
    return err;
}

void world_raise(const struct pr_event *event)
{
    __real_pr_event_raise(event);
}

void world_clear(const struct pr_event *event)
{
    __real_pr_event_clear(event);
}

void __wrap_pr_event_raise(const struct pr_event *event)
{
    world_point("raise", false);
    __real_pr_event_raise(event);
    world_point("raised", false);
}

void __wrap_pr_event_clear(const struct pr_event *event)
{
    world_point("clear", false);
    __real_pr_event_clear(event);
    world_point("cleared", false);
}
