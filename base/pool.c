/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include "base/error.h"
#include "base/event.h"
#include "base/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_THREADS 64

struct pr_pool {
    pthread_mutex_t lock;
    struct pr_job *first, *last;
    bool closing;
    unsigned running;     /* jobs taken and not finished */
    struct pr_event work; /* raised while jobs are queued or the pool closes */
    struct pr_event idle; /* raised while none is queued or running */
    unsigned threads;
    struct pr_thread *thread[MAX_THREADS];
};

/* The next job, or NULL with *closing set. `work` stays raised while more jobs wait. */
static struct pr_job *take(struct pr_pool *pool, bool *closing)
{
    pthread_mutex_lock(&pool->lock);
    struct pr_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        pool->running++;
    }
    if (!pool->first && !pool->closing)
        pr_event_clear(&pool->work);
    *closing = !job && pool->closing;
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void finish(struct pr_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    if (!pool->running && !pool->first)
        pr_event_raise(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

static void thread_main(void *opaque)
{
    struct pr_pool *pool = opaque;
    bool closing = false;
    while (!closing) {
        struct pr_job *job = take(pool, &closing);
        if (job) {
            job->fn(job);
            finish(pool);
        } else if (!closing) {
            pr_event_wait(&pool->work, PR_NEVER);
        }
    }
}

int pr_pool_open(struct pr_pool **out, unsigned threads, const char *name)
{
    struct pr_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return pr_error(ENOMEM, "no memory for a thread pool");
    pthread_mutex_init(&pool->lock, NULL);
    pool->work = pool->idle = (struct pr_event)PR_EVENT_CLOSED;
    int err = pr_event_open(&pool->work);
    if (!err)
        err = pr_event_open(&pool->idle);
    if (!err)
        pr_event_raise(&pool->idle);
    if (threads < 1)
        threads = 1;
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    for (; !err && pool->threads < threads; pool->threads += !err) {
        char full[16];
        snprintf(full, sizeof(full), "%.12s%u", name, pool->threads);
        err = pr_thread_spawn(&pool->thread[pool->threads], full, thread_main, pool);
    }
    if (err) {
        pr_pool_close(pool);
        return err;
    }
    *out = pool;
    return 0;
}

void pr_pool_close(struct pr_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    if (pool->threads)
        pr_event_raise(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pr_thread_join(pool->thread[i]);
    pr_event_close(&pool->work);
    pr_event_close(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void pr_pool_submit(struct pr_pool *pool, struct pr_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->first)
        pool->last->next = job;
    else
        pool->first = job;
    pool->last = job;
    pr_event_clear(&pool->idle);
    pr_event_raise(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

/* The lock orders what the jobs did before what the caller does next; the event alone orders
 * nothing that a sanitizer can see. */
static bool is_idle(struct pr_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool idle = !pool->running && !pool->first;
    pthread_mutex_unlock(&pool->lock);
    return idle;
}

void pr_pool_drain(struct pr_pool *pool)
{
    while (!is_idle(pool))
        pr_event_wait(&pool->idle, PR_NEVER);
}

/* One pr_pool_each call: its jobs draw indices from `next` until none is left. */
struct each {
    _Atomic uint64_t next;
    uint64_t count;
    int (*fn)(void *, uint64_t);
    void *arg;
    struct pr_failure failure;
    _Atomic unsigned running;
    struct pr_event done;
};

struct each_job {
    struct pr_job job; /* first: cast back */
    struct each *each;
};

static void each_main(struct pr_job *job)
{
    struct each *each = ((struct each_job *)job)->each;
    uint64_t i;
    while ((i = atomic_fetch_add(&each->next, 1)) < each->count) {
        int err = each->fn(each->arg, i);
        if (err < 0) {
            pr_failure_set(&each->failure, err);
            atomic_store(&each->next, each->count);
        }
    }
    if (atomic_fetch_sub(&each->running, 1) == 1)
        pr_event_raise(&each->done);
}

int pr_pool_each(struct pr_pool *pool, uint64_t count, int (*fn)(void *, uint64_t), void *arg)
{
    struct each each = {.count = count, .fn = fn, .arg = arg, .failure = PR_FAILURE_INIT};
    struct each_job jobs[MAX_THREADS];
    unsigned used = pool->threads < count ? pool->threads : (unsigned)count;
    if (!used)
        return 0;
    int err = pr_event_open(&each.done);
    if (err)
        return err;
    atomic_store(&each.running, used);
    for (unsigned i = 0; i < used; i++) {
        jobs[i] = (struct each_job){.job.fn = each_main, .each = &each};
        pr_pool_submit(pool, &jobs[i].job);
    }
    /* `each` and `jobs` are on this stack: never return before the last job is done with them. */
    while (!pr_event_wait(&each.done, PR_NEVER))
        continue;
    pr_event_clear(&each.done); /* reading it orders all that the raiser did before the close */
    pr_event_close(&each.done);
    return pr_failure_get(&each.failure);
}
