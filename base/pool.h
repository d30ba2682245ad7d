/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few threads for work that blocks in the kernel and must not block a worker: memory
 * registration, scans of the dirty log.
 */
#ifndef PR_BASE_POOL_H
#define PR_BASE_POOL_H

#include <stdint.h>

struct pr_pool;

/* A unit of work, owned by its submitter until fn has been called with it. */
struct pr_job {
    void (*fn)(struct pr_job *job);
    struct pr_job *next; /* the pool's */
};

/* threads: 1 to 64, less or more counts as that. name: at most 12 bytes. */
int pr_pool_open(struct pr_pool **out, unsigned threads, const char *name);

/* Runs every submitted job, then ends the threads. NULL is allowed. */
void pr_pool_close(struct pr_pool *pool);

/* Queues the job; any thread. Jobs start in order of submission. */
void pr_pool_submit(struct pr_pool *pool, struct pr_job *job);

/* Waits until no job is queued or running. While nobody submits, that stays so. */
void pr_pool_drain(struct pr_pool *pool);

/* Calls fn(arg, i) for 0 <= i < count on all the pool's threads and waits for the last. Returns the
 * first negative result, with its sentence; the rest are then skipped. Not from a pool thread. */
int pr_pool_each(struct pr_pool *pool, uint64_t count, int (*fn)(void *arg, uint64_t i), void *arg);

#endif
