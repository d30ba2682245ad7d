/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/applier.h"

#include "base/cpu.h"
#include "base/error.h"
#include "base/fault.h"
#include "pagecopy/zero.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pr_applier {
    struct pr_appliers *all;
    struct pr_thread *thread;
    struct pr_event wake;
    uint32_t first, end; /* its inlets */
    _Atomic uint64_t cpu_ns;
};

/* Which inlet a message came from. */
struct delivery {
    struct pr_appliers *all;
    struct pr_inlet *inlet;
};

/* Cleared between two looks whether the thread is to end: a range may be as long as a region. */
#define CLEAR_BYTES (PR_ABSENT_PAGES * (uint64_t)PR_ZERO_PAGE_BYTES)

/* Reads before it writes: a page that was never touched stays unallocated. */
static void clear_pages(struct pr_appliers *all, uint8_t *at, uint64_t len)
{
    for (uint64_t done = 0; done < len; done += PR_ZERO_PAGE_BYTES) {
        if (pr_zero_is(at + done, PR_ZERO_PAGE_BYTES))
            continue;
        memset(at + done, 0, PR_ZERO_PAGE_BYTES);
        atomic_fetch_add_explicit(&all->zeroed_bytes, PR_ZERO_PAGE_BYTES, memory_order_relaxed);
    }
}

static int clear(struct pr_appliers *all, const struct pr_region *region, uint64_t at, uint64_t len)
{
    for (uint64_t step; len; at += step, len -= step) {
        step = len < CLEAR_BYTES ? len : CLEAR_BYTES;
        if (atomic_load_explicit(&all->stopping, memory_order_relaxed))
            return pr_error(ECANCELED, "the session needs no more of its data lanes");
        if (step < CLEAR_BYTES || !pr_absent_all(region->absent, region->addr + at))
            clear_pages(all, region->addr + at, step);
    }
    return 0;
}

static int apply_range(struct pr_appliers *all, const struct pr_wire_range *range)
{
    const struct pr_regions *regions = &all->session->regions;
    if (range->region >= regions->count)
        return pr_error(EPROTO, "the source named a region that does not exist");
    const struct pr_region *region = &regions->list[all->local_of[range->region]];
    if (!pr_region_holds(region, range->offset, range->len))
        return pr_error(EPROTO, "the source named a zero range outside of region '%s'",
                        region->name);
    return clear(all, region, range->offset, range->len);
}

/* True when the source may know by now that the inlet's last epoch is complete, so that it can say
 * something of the next: it waits for every acknowledgement. */
static bool may_go_on_locked(const struct delivery *d)
{
    const struct pr_appliers *all = d->all;
    return (d->inlet->ended <= atomic_load(&all->complete) &&
            pr_channel_posted(&all->session->control, all->ack_ticket)) ||
           pr_fault("epoch.trust");
}

static int check_epoch(const struct delivery *d, uint64_t epoch, const char *out_of_order)
{
    pthread_mutex_lock(&d->all->lock);
    bool open = epoch == d->inlet->ended + 1 && may_go_on_locked(d);
    pthread_mutex_unlock(&d->all->lock);
    return open ? 0 : pr_error(EPROTO, "the source %s", out_of_order);
}

static int on_zero(struct delivery *d, const void *body, uint32_t len)
{
    struct pr_wire_zero zero;
    int err = pr_wire_zero_decode(&zero, body, len);
    if (!err)
        err = check_epoch(d, zero.epoch, "named zero pages of another epoch");
    for (uint32_t i = 0; !err && i < zero.count; i++)
        err = apply_range(d->all, &zero.range[i]);
    return err;
}

static int acknowledge_locked(struct pr_appliers *all, uint64_t epoch)
{
    struct pr_wire_epoch_ack ack = {epoch};
    uint8_t buffer[64];
    return pr_channel_send(&all->session->control, buffer,
                           pr_wire_epoch_ack_encode(&ack, buffer, sizeof(buffer)),
                           &all->ack_ticket);
}

/* The acknowledgement is queued before anybody can see that the epoch is complete, so it goes ahead
 * of the ready that may follow. */
static int arrive_locked(struct pr_appliers *all, bool *complete)
{
    all->arrived++;
    *complete = all->arrived == all->inlet_count || pr_fault("fence.first_lane");
    if (!*complete)
        return 0;
    all->arrived = 0;
    int err = acknowledge_locked(all, atomic_load(&all->complete) + 1);
    atomic_fetch_add(&all->complete, 1);
    return err;
}

static int on_epoch_end(struct delivery *d, const void *body, uint32_t len)
{
    struct pr_wire_epoch_end end;
    bool complete = false;
    int err = pr_wire_epoch_end_decode(&end, body, len);
    if (!err)
        err = check_epoch(d, end.epoch, "ended epochs out of order");
    if (err)
        return err;
    pthread_mutex_lock(&d->all->lock);
    d->inlet->ended++;
    err = arrive_locked(d->all, &complete);
    pthread_mutex_unlock(&d->all->lock);
    if (complete)
        pr_session_notify(d->all->session);
    return err;
}

static int on_message(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    if (type == PR_WIRE_ZERO)
        return on_zero(opaque, body, len);
    if (type == PR_WIRE_EPOCH_END)
        return on_epoch_end(opaque, body, len);
    return pr_error(EPROTO, "the source sent a %s message on a data lane", pr_wire_name(type));
}

static int pump(struct pr_applier *applier, bool *moved)
{
    for (uint32_t i = applier->first; i < applier->end; i++) {
        struct delivery d = {applier->all, &applier->all->inlets[i]};
        struct pr_channel_handler handler = {.message = on_message, .opaque = &d};
        int done = pr_channel_pump(&d.inlet->channel, &handler);
        if (done < 0)
            return done;
        *moved |= done;
    }
    return 0;
}

static void sleep_until_something(struct pr_applier *applier)
{
    struct pollfd fds[PR_WIRE_MAX_LANES + 1];
    unsigned count = 1;
    fds[0] = (struct pollfd){.fd = applier->wake.fd, .events = POLLIN};
    atomic_store(&applier->cpu_ns, pr_thread_cpu_ns());
    for (uint32_t i = applier->first; i < applier->end; i++) {
        if (!pr_channel_sleep(&applier->all->inlets[i].channel, &fds[count++]))
            return;
    }
    pr_poll(fds, count, -1);
}

static void applier_main(void *opaque)
{
    struct pr_applier *applier = opaque;
    int err = 0;
    while (!err && !atomic_load(&applier->all->stopping)) {
        bool moved = false;
        err = pump(applier, &moved);
        if (!err && !moved)
            sleep_until_something(applier);
    }
    if (err == -EPROTO)
        pr_session_fail(applier->all->session, err);
    else if (err)
        pr_session_lane_lost(applier->all->session, err);
    atomic_store(&applier->cpu_ns, pr_thread_cpu_ns());
}

static int start_thread(struct pr_appliers *all, uint32_t number, uint32_t of)
{
    struct pr_applier *applier = &all->threads[number];
    *applier = (struct pr_applier){
        .all = all,
        .wake = PR_EVENT_CLOSED,
        .first = number * all->inlet_count / of,
        .end = (number + 1) * all->inlet_count / of,
    };
    int err = pr_event_open(&applier->wake);
    char name[16];
    snprintf(name, sizeof(name), "pr-apply%u", number % 1000);
    return err ? err : pr_thread_spawn(&applier->thread, name, applier_main, applier);
}

static int start_threads(struct pr_appliers *all)
{
    uint32_t cpus = pr_cpu_get()->count;
    uint32_t wanted = all->inlet_count < cpus ? all->inlet_count : cpus;
    all->threads = calloc(wanted, sizeof(*all->threads));
    if (!all->threads)
        return pr_error(ENOMEM, "no memory for the session's threads");
    int err = 0;
    for (; all->count < wanted && !err; all->count++)
        err = start_thread(all, all->count, wanted);
    return err;
}

int pr_appliers_open(struct pr_appliers *all, struct pr_session *session, const uint32_t *local_of,
                     struct pr_lane **lanes, uint32_t lane_count, const struct pr_wire_hello *peer)
{
    *all = (struct pr_appliers){.session = session, .local_of = local_of};
    pthread_mutex_init(&all->lock, NULL);
    all->inlets = calloc(lane_count, sizeof(*all->inlets));
    if (!all->inlets)
        return pr_error(ENOMEM, "no memory for the lanes");
    for (; all->inlet_count < lane_count; all->inlet_count++) {
        struct pr_channel *channel = &all->inlets[all->inlet_count].channel;
        pr_channel_open(channel, lanes[all->inlet_count], NULL);
        pr_channel_agree(channel, peer->recv_depth, peer->message_bytes);
        pr_channel_told(channel);
        lanes[all->inlet_count] = NULL;
    }
    return start_threads(all);
}

void pr_appliers_dismiss(struct pr_appliers *all)
{
    atomic_store(&all->stopping, true);
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->threads[i].wake.fd >= 0)
            pr_event_raise(&all->threads[i].wake);
    }
}

void pr_appliers_stop(struct pr_appliers *all)
{
    if (all->stopped)
        return;
    all->stopped = true;
    pr_appliers_dismiss(all);
    for (uint32_t i = 0; i < all->count; i++) {
        struct pr_applier *applier = &all->threads[i];
        if (applier->thread)
            pr_thread_join(applier->thread);
        applier->thread = NULL;
        pr_event_close(&applier->wake);
    }
    for (uint32_t i = 0; i < all->inlet_count; i++)
        pr_lane_shut(all->inlets[i].channel.lane);
}

void pr_appliers_close(struct pr_appliers *all)
{
    if (!all->session)
        return;
    pr_appliers_stop(all);
    for (uint32_t i = 0; i < all->inlet_count; i++)
        pr_channel_close(&all->inlets[i].channel);
    free(all->threads);
    free(all->inlets);
    pthread_mutex_destroy(&all->lock);
    *all = (struct pr_appliers){0};
}

uint64_t pr_appliers_cpu_ns(const struct pr_appliers *all)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < all->count; i++)
        sum += atomic_load(&all->threads[i].cpu_ns);
    return sum;
}
