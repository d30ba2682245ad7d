/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads stand in `park` and wait for an order. FILL, REPLAY and VERIFY end by themselves; RUN
 * ends when the order is withdrawn. `busy` counts the threads that are not back yet.
 */
#include "cli/guest.h"

#include "base/error.h"
#include "base/runtime.h"
#include "cli/guest_writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BEAT_NS 1000000u
#define NS_PER_S 1000000000u

enum order { ORDER_NONE, ORDER_RUN, ORDER_FILL, ORDER_REPLAY, ORDER_VERIFY, ORDER_END };

struct worker {
    struct pr_guest *guest;
    struct pr_thread *thread;
    uint64_t replay;  /* writes */
    bool from_afar;   /* its last heartbeat was on another machine, */
    uint64_t lead_ns; /* so long before the stop */
    struct pr_guest_writer writer;
};

struct pr_guest {
    struct pr_guest_memory memory;
    struct pr_guest_plan plan;
    struct pr_guest_model model;
    struct pr_failure failure;
    _Atomic uint32_t throttle;
    _Atomic enum order order;

    pthread_mutex_t lock;
    pthread_cond_t ordered; /* to the threads */
    pthread_cond_t parked;  /* from the threads */
    /* under lock */
    uint64_t order_number;
    uint32_t busy;

    pthread_mutex_t control; /* held over lock */
    /* under control */
    bool running;        /* asked to run */
    uint32_t held;       /* closed gates */
    uint64_t standstill; /* the number of the present or last one, from 1 */
    uint64_t stopped_ns;

    uint32_t workers; /* of worker, opened */
    struct worker worker[];
};

/* --- the threads --- */

static bool ordered_to_run(struct pr_guest *guest)
{
    return atomic_load_explicit(&guest->order, memory_order_relaxed) == ORDER_RUN;
}

/* Sleeps until the time or another order, with a heartbeat every millisecond. */
static void rest(struct pr_guest *guest, struct pr_heartbeat *heartbeat, uint64_t until_ns)
{
    pthread_mutex_lock(&guest->lock);
    for (uint64_t now = pr_now_ns(); ordered_to_run(guest) && now < until_ns; now = pr_now_ns()) {
        uint64_t next = until_ns - now > BEAT_NS ? now + BEAT_NS : until_ns;
        struct timespec at = {.tv_sec = (time_t)(next / NS_PER_S),
                              .tv_nsec = (long)(next % NS_PER_S)};
        pthread_cond_timedwait(&guest->ordered, &guest->lock, &at);
        pr_heartbeat_beat(heartbeat, pr_now_ns());
    }
    pthread_mutex_unlock(&guest->lock);
}

/* Writes what the pace allows, for a millisecond at most. Returns when it ended, 0 on a mismatch.
 */
static uint64_t burst(struct worker *worker, uint64_t start_ns)
{
    struct pr_guest_writer *writer = &worker->writer;
    uint64_t now = start_ns;
    while (now - start_ns < BEAT_NS && ordered_to_run(worker->guest) &&
           pr_pace_take(&writer->pace)) {
        int err = pr_guest_writer_write(writer);
        if (err) {
            pr_failure_set(&worker->guest->failure, err);
            return 0;
        }
        now = pr_now_ns();
        pr_heartbeat_beat(&writer->heartbeat, now);
    }
    return now;
}

/* A throttled thread rests for its share of the time it worked; one that has used up its pace waits
 * for more. */
static void run(struct worker *worker)
{
    struct pr_guest_writer *writer = &worker->writer;
    writer->pace.refilled_ns = pr_now_ns();
    while (ordered_to_run(worker->guest)) {
        uint64_t start = pr_now_ns();
        uint32_t throttle = atomic_load_explicit(&worker->guest->throttle, memory_order_relaxed);
        pr_heartbeat_beat(&writer->heartbeat, start);
        pr_pace_refill(&writer->pace, start, throttle);
        uint64_t end = burst(worker, start);
        if (!end)
            return;
        uint64_t until = end + (end - start) * throttle / (100 - throttle);
        if (!pr_pace_ready(&writer->pace) && until < start + BEAT_NS)
            until = start + BEAT_NS;
        rest(worker->guest, &writer->heartbeat, until);
    }
}

static void verify(struct worker *worker)
{
    int err = pr_guest_writer_verify(&worker->writer, 0, worker->writer.part_pages);
    if (err)
        pr_failure_set(&worker->guest->failure, err);
}

static void carry_out(struct worker *worker, enum order order)
{
    switch (order) {
    case ORDER_RUN:
        run(worker);
        break;
    case ORDER_FILL:
        pr_guest_writer_fill(&worker->writer);
        break;
    case ORDER_REPLAY:
        pr_guest_sequence_replay(&worker->writer.sequence, worker->replay, worker->writer.counts);
        break;
    case ORDER_VERIFY:
        verify(worker);
        break;
    case ORDER_NONE:
    case ORDER_END:
        break;
    }
}

static void park(void *opaque)
{
    struct worker *worker = opaque;
    struct pr_guest *guest = worker->guest;
    uint64_t seen = 0;
    enum order order;
    do {
        pthread_mutex_lock(&guest->lock);
        while (guest->order_number == seen)
            pthread_cond_wait(&guest->ordered, &guest->lock);
        seen = guest->order_number;
        order = guest->order;
        pthread_mutex_unlock(&guest->lock);
        carry_out(worker, order);
        pthread_mutex_lock(&guest->lock);
        if (!--guest->busy)
            pthread_cond_broadcast(&guest->parked);
        pthread_mutex_unlock(&guest->lock);
    } while (order != ORDER_END);
}

/* --- orders; control is held --- */

static void begin(struct pr_guest *guest, enum order order)
{
    pthread_mutex_lock(&guest->lock);
    guest->order = order;
    guest->order_number++;
    guest->busy = guest->workers;
    pthread_cond_broadcast(&guest->ordered);
    pthread_mutex_unlock(&guest->lock);
}

static void wait_parked(struct pr_guest *guest)
{
    pthread_mutex_lock(&guest->lock);
    while (guest->busy)
        pthread_cond_wait(&guest->parked, &guest->lock);
    guest->order = ORDER_NONE;
    pthread_mutex_unlock(&guest->lock);
}

static void withdraw(struct pr_guest *guest)
{
    pthread_mutex_lock(&guest->lock);
    guest->order = ORDER_NONE;
    pthread_cond_broadcast(&guest->ordered);
    pthread_mutex_unlock(&guest->lock);
    wait_parked(guest);
}

static void order_and_wait(struct pr_guest *guest, enum order order)
{
    pthread_mutex_lock(&guest->control);
    begin(guest, order);
    wait_parked(guest);
    pthread_mutex_unlock(&guest->control);
}

/* --- the guest --- */

static void open_sync(struct pr_guest *guest)
{
    pthread_mutex_init(&guest->lock, NULL);
    pthread_mutex_init(&guest->control, NULL);
    pthread_mutex_init(&guest->failure.lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&guest->ordered, &attr);
    pthread_cond_init(&guest->parked, &attr);
    pthread_condattr_destroy(&attr);
}

static int open_worker(struct pr_guest *guest, uint32_t index)
{
    struct worker *worker = &guest->worker[index];
    worker->guest = guest;
    worker->writer.model = &guest->model;
    worker->writer.memory = guest->memory.addr;
    worker->writer.pages = guest->memory.len_bytes / PR_GUEST_PAGE_BYTES;
    worker->writer.pace.rate_Bps = guest->plan.rate_Bps / guest->plan.threads;
    int err =
        pr_guest_writer_open(&worker->writer, index, guest->plan.threads, guest->plan.pattern);
    if (err)
        return err;
    char name[32];
    snprintf(name, sizeof(name), "guest-%u", index);
    err = pr_thread_spawn(&worker->thread, name, park, worker);
    if (err)
        pr_guest_writer_close(&worker->writer);
    return err;
}

static int check_parts(const struct pr_guest_memory *memory, const struct pr_guest_plan *plan)
{
    uint64_t pages = memory->len_bytes / PR_GUEST_PAGE_BYTES;
    if (pages < plan->threads)
        return pr_error(EINVAL, "a guest of %u threads needs at least %u pages of 4 KiB",
                        plan->threads, plan->threads);
    if (pages / plan->threads >= PR_GUEST_SEQUENCE_PAGES_MAX)
        return pr_error(EINVAL, "a guest of this size needs more threads: 8 TiB for each at most");
    return 0;
}

int pr_guest_open(struct pr_guest **out, const struct pr_guest_memory *memory,
                  const struct pr_guest_plan *plan)
{
    int err = check_parts(memory, plan);
    if (err)
        return err;
    struct pr_guest *guest = calloc(1, sizeof(*guest) + plan->threads * sizeof(guest->worker[0]));
    if (!guest)
        return pr_error(ENOMEM, "no memory for the guest's threads");
    guest->memory = *memory;
    guest->plan = *plan;
    guest->model = (struct pr_guest_model){
        .seed = plan->seed, .fill = plan->fill, .zeroing = plan->pattern == PR_GUEST_ZEROING};
    guest->standstill = 1;
    open_sync(guest);
    for (; guest->workers < plan->threads; guest->workers++) {
        err = open_worker(guest, guest->workers);
        if (err) {
            pr_guest_close(guest);
            return err;
        }
    }
    *out = guest;
    return 0;
}

void pr_guest_close(struct pr_guest *guest)
{
    if (!guest)
        return;
    pr_guest_stop(guest);
    order_and_wait(guest, ORDER_END);
    for (uint32_t i = 0; i < guest->workers; i++) {
        pr_thread_join(guest->worker[i].thread);
        pr_guest_writer_close(&guest->worker[i].writer);
    }
    pthread_cond_destroy(&guest->ordered);
    pthread_cond_destroy(&guest->parked);
    pthread_mutex_destroy(&guest->failure.lock);
    pthread_mutex_destroy(&guest->control);
    pthread_mutex_destroy(&guest->lock);
    free(guest);
}

const struct pr_guest_plan *pr_guest_plan(const struct pr_guest *guest)
{
    return &guest->plan;
}

void pr_guest_fill(struct pr_guest *guest)
{
    order_and_wait(guest, ORDER_FILL);
}

static bool same_plan(const struct pr_guest_plan *a, const struct pr_guest_plan *b)
{
    return a->seed == b->seed && a->pattern == b->pattern && a->fill == b->fill &&
           a->threads == b->threads && a->rate_Bps == b->rate_Bps;
}

int pr_guest_restore(struct pr_guest *guest, const struct pr_guest_state *state, bool same_clock)
{
    if (!same_plan(&guest->plan, &state->plan) || state->len_bytes != guest->memory.len_bytes)
        return pr_error(EINVAL, "the guest's state does not belong to its memory");
    for (uint32_t i = 0; i < guest->workers; i++) {
        struct worker *worker = &guest->worker[i];
        worker->replay = state->thread[i].made;
        uint64_t beat_ns = state->thread[i].beat_ns;
        if (same_clock && beat_ns)
            worker->writer.heartbeat = (struct pr_heartbeat){.last_ns = beat_ns, .moved = true};
        worker->from_afar = !same_clock && beat_ns;
        worker->lead_ns = beat_ns < state->stopped_ns ? state->stopped_ns - beat_ns : 0;
    }
    order_and_wait(guest, ORDER_REPLAY);
    return 0;
}

/* Heartbeats as if the guest had been stopped just now. */
static void splice_clocks(struct pr_guest *guest)
{
    uint64_t now = pr_now_ns();
    for (uint32_t i = 0; i < guest->workers; i++) {
        struct worker *worker = &guest->worker[i];
        if (worker->from_afar && worker->lead_ns < now)
            worker->writer.heartbeat =
                (struct pr_heartbeat){.last_ns = now - worker->lead_ns, .moved = true};
        worker->from_afar = false;
    }
}

void pr_guest_run(struct pr_guest *guest)
{
    pthread_mutex_lock(&guest->control);
    if (!guest->running && !guest->held) {
        splice_clocks(guest);
        begin(guest, ORDER_RUN);
    }
    guest->running = true;
    pthread_mutex_unlock(&guest->control);
}

void pr_guest_stop(struct pr_guest *guest)
{
    pthread_mutex_lock(&guest->control);
    if (guest->running) {
        guest->stopped_ns = pr_now_ns();
        guest->standstill++;
        if (!guest->held)
            withdraw(guest);
    }
    guest->running = false;
    pthread_mutex_unlock(&guest->control);
}

void pr_guest_throttle(struct pr_guest *guest, uint32_t percent)
{
    guest->throttle = percent < 100 ? percent : 99;
}

void pr_guest_save(struct pr_guest *guest, struct pr_guest_state *out)
{
    memset(out, 0, sizeof(*out));
    out->plan = guest->plan;
    out->len_bytes = guest->memory.len_bytes;
    out->stopped_ns = guest->stopped_ns;
    pr_boot_id(out->boot_id);
    for (uint32_t i = 0; i < guest->workers; i++) {
        out->thread[i].made = guest->worker[i].writer.sequence.made;
        out->thread[i].beat_ns = guest->worker[i].writer.heartbeat.last_ns;
    }
}

int pr_guest_verify(struct pr_guest *guest)
{
    order_and_wait(guest, ORDER_VERIFY);
    return pr_guest_failure(guest);
}

int pr_guest_failure(struct pr_guest *guest)
{
    return pr_failure_get(&guest->failure);
}

void pr_guest_figures(struct pr_guest *guest, struct pr_guest_figures *out)
{
    *out = (struct pr_guest_figures){0};
    for (uint32_t i = 0; i < guest->workers; i++) {
        const struct pr_guest_writer *writer = &guest->worker[i].writer;
        out->writes += writer->sequence.made;
        out->wrong_pages += writer->wrong_pages;
        if (writer->heartbeat.move_ns > out->move_gap_ns)
            out->move_gap_ns = writer->heartbeat.move_ns;
        if (writer->heartbeat.largest_ns > out->largest_gap_ns) {
            out->largest_gap_ns = writer->heartbeat.largest_ns;
            out->largest_gap_at_ns = writer->heartbeat.largest_at_ns;
        }
    }
}

/* --- the gate --- */

static void gate_close(void *opaque)
{
    struct pr_guest *guest = opaque;
    pthread_mutex_lock(&guest->control);
    if (!guest->held++ && guest->running)
        withdraw(guest);
    pthread_mutex_unlock(&guest->control);
}

static void gate_open(void *opaque)
{
    struct pr_guest *guest = opaque;
    pthread_mutex_lock(&guest->control);
    if (!--guest->held && guest->running)
        begin(guest, ORDER_RUN);
    pthread_mutex_unlock(&guest->control);
}

static uint64_t gate_standstill(void *opaque)
{
    struct pr_guest *guest = opaque;
    pthread_mutex_lock(&guest->control);
    uint64_t standstill = guest->running ? 0 : guest->standstill;
    pthread_mutex_unlock(&guest->control);
    return standstill;
}

struct pr_tracker_gate pr_guest_gate(struct pr_guest *guest)
{
    return (struct pr_tracker_gate){guest, gate_close, gate_open, gate_standstill};
}
