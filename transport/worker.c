/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/worker.h"

#include "base/error.h"
#include "base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_CHUNKS 1024

/* Posted between two looks at the completions. */
#define BATCH_BYTES (UINT64_C(4) << 20)
#define BATCH_WRITES 512

/* Where only so much of a lane is under way at once, this many times as much is posted: the rest
 * follows while the worker is not looking. */
#define ENOUGH_FLIGHTS 4

/* A zero message goes out at the latest with so much: neighbouring ranges become one, and the
 * destination should clear them while the round goes on and not all at its end. */
#define ZERO_BYTES (UINT64_C(64) << 20)

/* Zero messages that wait on a lane at which the worker stops to find more. */
#define ZERO_BACKLOG 8

static struct pr_region *region_of(const struct pr_worker *worker, uint32_t region)
{
    return &worker->work->session->regions.list[region];
}

/* ---- zero pages ---- */

static int send_zero(struct pr_worker *worker)
{
    if (!worker->zero.count)
        return 0;
    struct pr_channel *channel = &worker->senders[0].channel;
    uint8_t buffer[PR_WIRE_MAX_MESSAGE];
    worker->zero.epoch = worker->epoch;
    int err = pr_channel_send(
        channel, buffer, pr_wire_zero_encode(&worker->zero, buffer, channel->message_bytes), NULL);
    worker->zero.count = 0;
    worker->zero_bytes = 0;
    return err;
}

static uint32_t ranges_at_once(const struct pr_worker *worker)
{
    uint32_t fits = (worker->senders[0].channel.message_bytes - PR_WIRE_HEADER_BYTES - 12) / 20;
    return fits < PR_WIRE_MAX_ZERO_RANGES ? fits : PR_WIRE_MAX_ZERO_RANGES;
}

static int add_zero_range(struct pr_worker *worker, uint32_t region, uint64_t offset, uint64_t len)
{
    struct pr_wire_zero *zero = &worker->zero;
    struct pr_wire_range *last = zero->count ? &zero->range[zero->count - 1] : NULL;
    if (last && last->region == region && last->offset + last->len == offset)
        last->len += len;
    else
        zero->range[zero->count++] = (struct pr_wire_range){region, offset, len};
    worker->zero_bytes += len;
    bool full = zero->count >= ranges_at_once(worker) || worker->zero_bytes >= ZERO_BYTES;
    return full ? send_zero(worker) : 0;
}

_Static_assert(PR_SLICE_PAGES <= PR_WRITTEN_MAX_PAGES, "a transfer of zeroes is taken at once");

/* Names the pages of the range that the destination does not know to be zero. */
static int take_zero(struct pr_worker *worker, const struct pr_transfer *t)
{
    uint32_t region = worker->walk.chunk.region;
    uint64_t pages = t->len_bytes / PR_ZERO_PAGE_BYTES;
    atomic_fetch_add_explicit(&worker->zero_pages, pages, memory_order_relaxed);
    if (pr_fault("zero.forget"))
        return 0;
    uint64_t first = t->offset_bytes / PR_ZERO_PAGE_BYTES, base = first - first % PR_WORD_BITS;
    uint64_t bits[PR_WRITTEN_WORDS];
    pr_written_take(&worker->work->written[region], first, pages, bits);
    struct pr_runs runs = pr_runs_over(bits, first - base, pages, PR_RUNS_UNLIMITED);
    struct pr_run run;
    int err = 0;
    while (!err && pr_runs_next(&runs, &run))
        err = add_zero_range(worker, region, (base + run.first_page) * PR_ZERO_PAGE_BYTES,
                             run.pages * PR_ZERO_PAGE_BYTES);
    return err;
}

/* ---- data ---- */

static uint64_t done_bytes(const struct pr_worker *worker)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < worker->sender_count; i++)
        bytes += worker->senders[i].done_bytes;
    return bytes;
}

/* Of the lanes in use, the one with the least under way; NULL when that is enough. */
static struct pr_sender *idlest(struct pr_worker *worker)
{
    struct pr_sender *best = &worker->senders[0];
    for (uint32_t i = 1; i < worker->lanes.used; i++) {
        if (worker->senders[i].flight_bytes < best->flight_bytes)
            best = &worker->senders[i];
    }
    uint64_t enough = ENOUGH_FLIGHTS * worker->lanes.lane_bytes;
    return enough && best->flight_bytes >= enough ? NULL : best;
}

static bool lanes_are_full(const struct pr_worker *worker)
{
    for (uint32_t i = 0; i < worker->lanes.used; i++) {
        if (worker->senders[i].flight_bytes < worker->lanes.lane_bytes)
            return false;
    }
    return true;
}

static void look_at_lanes(struct pr_worker *worker)
{
    if (worker->lanes.lane_bytes)
        pr_lanes_look(&worker->lanes, pr_now_ns(), done_bytes(worker), lanes_are_full(worker),
                      atomic_load(&worker->work->session->idle_rtt_ns));
}

static int take_data(struct pr_worker *worker, const struct pr_transfer *t)
{
    const struct pr_chunk *chunk = &worker->walk.chunk;
    if (!worker->window) { /* it was empty */
        int got = pr_windows_acquire(worker->work->windows, chunk->region, chunk->offset,
                                     &worker->window);
        if (got)
            return got;
    }
    uint64_t window_start = t->offset_bytes & ~(worker->work->session->window_bytes - 1);
    uint64_t remote = worker->window->key.addr + (t->offset_bytes - window_start);
    struct pr_sender *sender = idlest(worker);
    if (!sender)
        return -EAGAIN;
    int err = pr_sender_write(sender, worker->window,
                              region_of(worker, chunk->region)->addr + t->offset_bytes, remote,
                              t->len_bytes);
    if (!err)
        pr_written_set(&worker->work->written[chunk->region], t->offset_bytes / PR_ZERO_PAGE_BYTES,
                       t->len_bytes / PR_ZERO_PAGE_BYTES);
    return err;
}

/* ---- chunks ---- */

static int start_walk(struct pr_worker *worker, const struct pr_chunk *chunk)
{
    int err = pr_windows_look(worker->work->windows, chunk->region, chunk->offset, &worker->window);
    if (err)
        return err;
    pr_walk_start(&worker->walk, chunk, region_of(worker, chunk->region), &worker->work->limits);
    worker->walking = true;
    return 0;
}

/* Most chunks of a late round: they need no window. */
static bool nothing_dirty(const struct pr_worker *worker, const struct pr_chunk *chunk)
{
    if (chunk->kind != PR_CHUNK_DIRTY)
        return false;
    uint64_t pages = chunk->len / region_of(worker, chunk->region)->page_bytes;
    struct pr_bitmap bitmap = pr_bitmap_over(chunk->bits, chunk->first_bit + pages);
    return !pr_bitmap_count(&bitmap, chunk->first_bit, pages);
}

static void end_walk(struct pr_worker *worker)
{
    if (worker->walking && worker->window)
        pr_window_release(worker->window);
    worker->walking = false;
}

static void park(struct pr_worker *worker, const struct pr_chunk *chunk)
{
    worker->parked[worker->parked_count++] = *chunk;
}

/* Starts a parked chunk whose window is there now: 0, or -EAGAIN when there is none. */
static int start_parked(struct pr_worker *worker)
{
    for (uint32_t i = 0; i < worker->parked_count; i++) {
        struct pr_chunk chunk = worker->parked[i];
        int err = start_walk(worker, &chunk);
        if (err == -EAGAIN)
            continue;
        worker->parked[i] = worker->parked[--worker->parked_count];
        return err;
    }
    return -EAGAIN;
}

/* A place in the ring became free, or the figures changed. */
static void tell_caller(struct pr_worker *worker)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&worker->work->crowded))
        pr_session_notify(worker->work->session);
}

/* Starts the next chunk of the ring, parking those whose window is not ready. -EAGAIN: none. */
static int start_next(struct pr_worker *worker)
{
    while (worker->parked_count < PR_PARKED) {
        const struct pr_chunk *front = pr_ring_front(&worker->ring);
        if (!front)
            return -EAGAIN;
        struct pr_chunk chunk = *front;
        if (chunk.kind == PR_CHUNK_EPOCH && worker->parked_count)
            return -EAGAIN;
        pr_ring_drop(&worker->ring);
        tell_caller(worker);
        if (chunk.kind == PR_CHUNK_EPOCH) {
            worker->state = PR_WORKER_CLOSING;
            return -EAGAIN;
        }
        if (nothing_dirty(worker, &chunk))
            continue;
        int err = start_walk(worker, &chunk);
        if (err != -EAGAIN)
            return err;
        park(worker, &chunk);
    }
    return -EAGAIN;
}

static int start_some_walk(struct pr_worker *worker)
{
    if (worker->walking)
        return 0;
    int err = start_parked(worker);
    return err == -EAGAIN ? start_next(worker) : err;
}

/* Works through chunks until the batch is full or there is no place or no work: -EAGAIN for the
 * latter two. *moved is set when anything was done. */
static int feed(struct pr_worker *worker, bool *moved)
{
    uint64_t bytes = 0, writes = 0;
    while (bytes < BATCH_BYTES && writes < BATCH_WRITES) {
        int err = start_some_walk(worker);
        if (err)
            return err;
        const struct pr_transfer *t = pr_walk_peek(&worker->walk);
        if (!t) {
            end_walk(worker);
            *moved = true;
            continue;
        }
        if (t->zero && pr_channel_backlog(&worker->senders[0].channel) >= ZERO_BACKLOG)
            return -EAGAIN;
        err = t->zero ? take_zero(worker, t) : take_data(worker, t);
        if (err)
            return err;
        *moved = true;
        bytes += t->len_bytes;
        writes++;
        pr_walk_took(&worker->walk);
    }
    return 0;
}

/* ---- epochs ---- */

static int close_groups(struct pr_worker *worker)
{
    for (uint32_t i = 0; i < worker->sender_count; i++) {
        int err = pr_sender_close_group(&worker->senders[i]);
        if (err)
            return err;
    }
    return 0;
}

static int send_epoch_end(struct pr_sender *sender, uint64_t epoch)
{
    struct pr_wire_epoch_end message = {epoch, sender->epoch_writes, sender->epoch_bytes};
    uint8_t buffer[64];
    sender->epoch_writes = sender->epoch_bytes = 0;
    return pr_channel_send(&sender->channel, buffer,
                           pr_wire_epoch_end_encode(&message, buffer, sizeof(buffer)), NULL);
}

/* Everything of the epoch is posted before its end is queued. */
static int close_epoch(struct pr_worker *worker)
{
    int err = close_groups(worker);
    if (!err)
        err = send_zero(worker);
    if (!err)
        atomic_fetch_add(&worker->work->closings, 1); /* first: the answer may be quick */
    for (uint32_t i = 0; i < worker->sender_count && !err; i++)
        err = send_epoch_end(&worker->senders[i], worker->epoch);
    if (!err)
        worker->state = PR_WORKER_AWAITING;
    return err;
}

static bool all_idle(const struct pr_worker *worker)
{
    for (uint32_t i = 0; i < worker->sender_count; i++) {
        if (!pr_sender_idle(&worker->senders[i]))
            return false;
    }
    return true;
}

static bool epoch_over(const struct pr_worker *worker)
{
    if (pr_fault("epoch.skip_wait"))
        return true;
    return atomic_load(&worker->work->acked_epoch) >= worker->epoch && all_idle(worker);
}

static void note_the_first(struct pr_work *work)
{
    uint64_t none = 0;
    if (!atomic_load_explicit(&work->first_done_ns, memory_order_relaxed))
        atomic_compare_exchange_strong(&work->first_done_ns, &none, pr_now_ns());
}

static void publish(struct pr_worker *worker)
{
    uint64_t bytes = done_bytes(worker), writes = 0, flight_bytes = 0;
    for (uint32_t i = 0; i < worker->sender_count; i++) {
        writes += worker->senders[i].done_writes;
        flight_bytes += worker->senders[i].flight_bytes;
    }
    if (bytes)
        note_the_first(worker->work);
    atomic_store_explicit(&worker->bytes_sent, bytes, memory_order_relaxed);
    atomic_store_explicit(&worker->writes, writes, memory_order_relaxed);
    atomic_store_explicit(&worker->flight_bytes, flight_bytes, memory_order_relaxed);
}

/* Whoever waits for the epoch finds all of it in the statistics. */
static void settle(struct pr_worker *worker)
{
    publish(worker);
    atomic_store(&worker->settled_bytes, atomic_load(&worker->bytes_sent) +
                                             atomic_load(&worker->zero_pages) * PR_ZERO_PAGE_BYTES);
    atomic_store(&worker->settled_epoch, worker->epoch);
    pr_session_notify(worker->work->session);
}

/* ---- the thread ---- */

static int advance(struct pr_worker *worker, bool *moved)
{
    int err = 0;
    if (worker->state == PR_WORKER_AWAITING && epoch_over(worker)) {
        settle(worker);
        worker->epoch++;
        worker->state = PR_WORKER_TAKING;
        *moved = true;
    }
    if (worker->state == PR_WORKER_TAKING) {
        err = feed(worker, moved);
        look_at_lanes(worker);
    }
    if (worker->state == PR_WORKER_CLOSING) {
        err = close_epoch(worker);
        *moved |= !err;
    } else if (!err || err == -EAGAIN) {
        int closed = close_groups(worker);
        err = closed ? closed : err;
    }
    return err == -EAGAIN ? 0 : err;
}

static int on_message(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)opaque, (void)body, (void)len;
    return pr_error(EPROTO, "the destination sent a %s message on a data lane", pr_wire_name(type));
}

static int on_written(void *opaque, uint64_t tag)
{
    return pr_sender_written(opaque, tag);
}

static int pump_lanes(struct pr_worker *worker, bool *moved)
{
    for (uint32_t i = 0; i < worker->sender_count; i++) {
        struct pr_sender *sender = &worker->senders[i];
        struct pr_channel_handler handler = {on_message, on_written, sender};
        int done = pr_channel_pump(&sender->channel, &handler);
        if (done < 0)
            return done;
        *moved |= done;
    }
    publish(worker);
    tell_caller(worker);
    return 0;
}

/* Arms every lane and waits; the flag tells the caller's thread to raise `wake`. */
static void sleep_until_something(struct pr_worker *worker)
{
    struct pollfd fds[PR_WIRE_MAX_LANES + 1];
    fds[0] = (struct pollfd){.fd = worker->wake.fd, .events = POLLIN};
    atomic_store(&worker->cpu_ns, pr_thread_cpu_ns());
    for (uint32_t i = 0; i < worker->sender_count; i++) {
        if (!pr_channel_sleep(&worker->senders[i].channel, &fds[i + 1]))
            return;
    }
    pr_poll(fds, worker->sender_count + 1, -1);
}

static bool should_stop(struct pr_worker *worker)
{
    return atomic_load(&worker->stopping) || pr_session_failed(worker->work->session);
}

static int turn(struct pr_worker *worker)
{
    bool moved = false;
    int err = advance(worker, &moved);
    if (!err)
        err = pump_lanes(worker, &moved);
    if (err || moved) {
        atomic_store(&worker->asleep, false);
        return err;
    }
    /* One more turn after announcing sleep, so that a push in between is seen by one of us. */
    if (!atomic_exchange(&worker->asleep, true))
        return 0;
    sleep_until_something(worker);
    pr_event_clear(&worker->wake);
    atomic_store(&worker->asleep, false);
    return 0;
}

static void worker_main(void *opaque)
{
    struct pr_worker *worker = opaque;
    int err = 0;
    while (!err && !should_stop(worker))
        err = turn(worker);
    if (err == -EPROTO)
        pr_session_fail(worker->work->session, err);
    else if (err)
        pr_session_lane_lost(worker->work->session, err);
    atomic_store(&worker->cpu_ns, pr_thread_cpu_ns());
}

/* Whoever asked for a number of lanes gets their use as well. */
static struct pr_lanes lanes_of(const struct pr_session *session, uint32_t count)
{
    uint64_t bound = session->options.lanes ? 0 : session->fabric->limits.lane_flight_bytes;
    return (struct pr_lanes){
        .lane_bytes = bound, .flight_bytes = bound, .count = count, .used = count};
}

int pr_worker_open(struct pr_worker *worker, struct pr_work *work, struct pr_lane **lanes,
                   uint32_t count, uint32_t peer_depth, uint32_t peer_message_bytes)
{
    *worker = (struct pr_worker){.work = work, .wake = PR_EVENT_CLOSED, .epoch = 1};
    worker->lanes = lanes_of(work->session, count);
    worker->senders = calloc(count, sizeof(*worker->senders));
    if (!worker->senders)
        return pr_error(ENOMEM, "no memory for a worker");
    int err = 0;
    for (; worker->sender_count < count && !err; worker->sender_count++) {
        struct pr_sender *sender = &worker->senders[worker->sender_count];
        err = pr_sender_open(sender, lanes[worker->sender_count]);
        lanes[worker->sender_count] = NULL;
        pr_channel_agree(&sender->channel, peer_depth, peer_message_bytes);
        pr_channel_told(&sender->channel);
    }
    if (!err && pr_ring_open(&worker->ring, RING_CHUNKS, sizeof(struct pr_chunk)))
        err = pr_error(ENOMEM, "no memory for a worker's ring");
    return err ? err : pr_event_open(&worker->wake);
}

int pr_worker_start(struct pr_worker *worker, unsigned number)
{
    char name[16];
    snprintf(name, sizeof(name), "pr-worker%u", number % 1000);
    return pr_thread_spawn(&worker->thread, name, worker_main, worker);
}

void pr_worker_stop(struct pr_worker *worker)
{
    atomic_store(&worker->stopping, true);
    if (worker->wake.fd >= 0)
        pr_event_raise(&worker->wake);
}

void pr_worker_join(struct pr_worker *worker)
{
    if (worker->thread)
        pr_thread_join(worker->thread);
    worker->thread = NULL;
}

void pr_worker_close(struct pr_worker *worker)
{
    end_walk(worker);
    for (uint32_t i = 0; i < worker->sender_count; i++)
        pr_sender_close(&worker->senders[i]);
    free(worker->senders);
    pr_ring_close(&worker->ring);
    pr_event_close(&worker->wake);
    *worker = (struct pr_worker){.wake = PR_EVENT_CLOSED};
}

/* A worker that is awake looks at everything once more after it has said that it will sleep. Of
 * several wakers one raises the event. */
void pr_worker_wake(struct pr_worker *worker)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&worker->asleep) && atomic_exchange(&worker->asleep, false))
        pr_event_raise(&worker->wake);
}

bool pr_worker_push(struct pr_worker *worker, const struct pr_chunk *chunk)
{
    if (!pr_ring_push(&worker->ring, chunk))
        return false;
    pr_worker_wake(worker);
    return true;
}
