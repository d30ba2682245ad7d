/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/crew.h"

#include "base/cpu.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

uint32_t pr_crew_size(uint32_t lanes, uint32_t cpus)
{
    return lanes < cpus ? lanes : cpus ? cpus : 1;
}

/* Worker i of n gets its even share of the lanes. */
static uint32_t share(uint32_t lanes, uint32_t workers, uint32_t i)
{
    return lanes / workers + (i < lanes % workers);
}

static int open_workers(struct pr_crew *crew, struct pr_lane **lanes, uint32_t lane_count,
                        const struct pr_wire_welcome *peer)
{
    uint32_t wanted = pr_crew_size(lane_count, pr_cpu_get()->count);
    crew->workers = calloc(wanted, sizeof(*crew->workers));
    if (!crew->workers)
        return pr_error(ENOMEM, "no memory for workers");
    int err = 0;
    uint32_t at = 0;
    while (crew->count < wanted && !err) {
        uint32_t n = share(lane_count, wanted, crew->count);
        err = pr_worker_open(&crew->workers[crew->count++], &crew->work, lanes + at, n,
                             peer->recv_depth, peer->message_bytes);
        at += n;
    }
    return err;
}

/* A write no longer than half of what a lane has under way: completions tell how it goes. */
static uint64_t longest_write(const struct pr_fabric_limits *limits)
{
    uint64_t half = limits->lane_flight_bytes / 2, most = limits->max_write_bytes;
    return (half && half < most ? half : most) & ~UINT64_C(4095);
}

int pr_crew_open(struct pr_crew *crew, struct pr_session *session, struct pr_windows *windows,
                 struct pr_written *written, struct pr_lane **lanes, uint32_t lane_count,
                 const struct pr_wire_welcome *peer)
{
    /* Field by field: another thread may look at `wakeable` to wake nobody. */
    crew->work.session = session;
    crew->work.windows = windows;
    crew->work.written = written;
    crew->work.limits = (struct pr_plan_limits){
        .max_write_bytes = longest_write(&session->fabric->limits),
        .window_bytes = session->window_bytes,
    };
    int err = pr_plan_limits_check(&crew->work.limits);
    if (!err)
        err = open_workers(crew, lanes, lane_count, peer);
    for (uint32_t i = 0; i < lane_count; i++) {
        pr_lane_close(lanes[i]); /* those that no worker took */
        lanes[i] = NULL;
    }
    if (!err)
        atomic_store(&crew->wakeable, crew->count);
    for (uint32_t i = 0; i < crew->count && !err; i++)
        err = pr_worker_start(&crew->workers[i], i);
    return err;
}

void pr_crew_stop(struct pr_crew *crew)
{
    for (uint32_t i = 0; i < crew->count; i++)
        pr_worker_stop(&crew->workers[i]);
    for (uint32_t i = 0; i < crew->count; i++)
        pr_worker_join(&crew->workers[i]);
}

void pr_crew_close(struct pr_crew *crew)
{
    atomic_store(&crew->wakeable, 0);
    for (uint32_t i = 0; i < crew->count; i++)
        pr_worker_close(&crew->workers[i]);
    free(crew->workers);
    *crew = (struct pr_crew){0};
}

void pr_crew_wake(struct pr_crew *crew)
{
    uint32_t count = atomic_load(&crew->wakeable);
    for (uint32_t i = 0; i < count; i++)
        pr_worker_wake(&crew->workers[i]);
}

int pr_crew_epoch_acked(struct pr_crew *crew, uint64_t epoch)
{
    /* No worker is more than one epoch ahead of another, so the sum tells of all. */
    uint64_t closed = atomic_load(&crew->work.closings) / crew->count;
    if (epoch != atomic_load(&crew->work.acked_epoch) + 1 || epoch > closed)
        return pr_error(EPROTO, "the destination acknowledged epochs out of order");
    atomic_store(&crew->work.acked_epoch, epoch);
    pr_crew_wake(crew);
    return 0;
}

struct push {
    struct pr_crew *crew;
    const struct pr_chunk *chunk;
};

static bool push_to_any(void *opaque)
{
    struct push *push = opaque;
    struct pr_crew *crew = push->crew;
    for (uint32_t tried = 0; tried < crew->count; tried++) {
        struct pr_worker *worker = &crew->workers[crew->turn];
        crew->turn = (crew->turn + 1) % crew->count;
        if (pr_worker_push(worker, push->chunk))
            return true;
    }
    return false;
}

int pr_crew_wait(struct pr_crew *crew, bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
    struct pr_work *work = &crew->work;
    int err = pr_session_failed(work->session);
    if (err || done(arg))
        return err;
    atomic_store(&work->crowded, true);
    atomic_thread_fence(memory_order_seq_cst);
    err = pr_session_wait(work->session, done, arg, deadline_ns);
    atomic_store(&work->crowded, false);
    return err;
}

int pr_crew_push(struct pr_crew *crew, const struct pr_chunk *chunk)
{
    struct push push = {crew, chunk};
    return pr_crew_wait(crew, push_to_any, &push, PR_NEVER);
}

struct push_one {
    struct pr_worker *worker;
    const struct pr_chunk *chunk;
};

static bool push_to_one(void *opaque)
{
    struct push_one *push = opaque;
    return pr_worker_push(push->worker, push->chunk);
}

int pr_crew_epoch_end(struct pr_crew *crew, uint64_t epoch)
{
    struct pr_chunk chunk = {.kind = PR_CHUNK_EPOCH, .offset = epoch};
    int err = 0;
    for (uint32_t i = 0; i < crew->count && !err; i++) {
        struct push_one push = {&crew->workers[i], &chunk};
        err = pr_crew_wait(crew, push_to_one, &push, PR_NEVER);
    }
    return err;
}

bool pr_crew_settled(const struct pr_crew *crew, uint64_t epoch)
{
    for (uint32_t i = 0; i < crew->count; i++) {
        if (atomic_load(&crew->workers[i].settled_epoch) < epoch)
            return false;
    }
    return true;
}

struct pr_crew_counts pr_crew_counts(const struct pr_crew *crew)
{
    struct pr_crew_counts sum = {0};
    for (uint32_t i = 0; i < crew->count; i++) {
        const struct pr_worker *worker = &crew->workers[i];
        sum.bytes_sent += atomic_load_explicit(&worker->bytes_sent, memory_order_relaxed);
        sum.writes += atomic_load_explicit(&worker->writes, memory_order_relaxed);
        sum.zero_pages += atomic_load_explicit(&worker->zero_pages, memory_order_relaxed);
        sum.cpu_ns += atomic_load_explicit(&worker->cpu_ns, memory_order_relaxed);
        sum.flight_bytes += atomic_load_explicit(&worker->flight_bytes, memory_order_relaxed);
        sum.settled_bytes += atomic_load(&worker->settled_bytes);
    }
    return sum;
}
