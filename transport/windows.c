/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/windows.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static struct pr_region *region_of(const struct pr_window *w)
{
    return &w->windows->session->regions.list[w->region];
}

static uint64_t len_of(const struct pr_window *w)
{
    return pr_region_window_len(region_of(w), w->windows->session->window_bytes, w->index);
}

static uint8_t *addr_of(const struct pr_window *w)
{
    return region_of(w)->addr + w->index * w->windows->session->window_bytes;
}

static void lru_remove(struct pr_windows *ws, struct pr_window *w)
{
    *(w->older ? &w->older->newer : &ws->oldest) = w->newer;
    *(w->newer ? &w->newer->older : &ws->newest) = w->older;
    w->older = w->newer = NULL;
}

static void lru_append(struct pr_windows *ws, struct pr_window *w)
{
    w->older = ws->newest;
    w->newer = NULL;
    *(ws->newest ? &ws->newest->newer : &ws->oldest) = w;
    ws->newest = w;
}

/* After either half: ready when both are there. Says whether somebody waits for that: for this
 * window, or for one that can make room. */
static bool ready_locked(struct pr_windows *ws, struct pr_window *w)
{
    if (w->state != PR_WINDOW_ASKED || !w->mr || !w->granted)
        return false;
    w->state = PR_WINDOW_READY;
    lru_append(ws, w);
    atomic_fetch_add(&ws->ready_bytes, len_of(w));
    pr_session_notify(ws->session);
    return atomic_exchange(&ws->starving, false) || w->demanded;
}

static int register_here(struct pr_window *w, struct pr_mr **mr)
{
    struct pr_windows *ws = w->windows;
    return pr_registration_make(ws->session->fabric, addr_of(w), len_of(w), PR_ACCESS_LOCAL_READ,
                                &ws->cost, mr);
}

static void register_job(struct pr_job *job)
{
    struct pr_window *w = (struct pr_window *)job;
    struct pr_windows *ws = w->windows;
    struct pr_mr *mr = NULL;
    if (pr_session_failed(ws->session))
        return;
    int err = register_here(w, &mr);
    if (err) {
        pr_session_fail(ws->session, err);
        return;
    }
    atomic_fetch_add(&ws->registered_bytes, len_of(w));
    pthread_mutex_lock(&ws->lock);
    w->mr = mr;
    bool awaited = ready_locked(ws, w);
    pthread_mutex_unlock(&ws->lock);
    if (awaited)
        ws->on_change(ws->opaque);
}

static void leave_job(struct pr_job *job)
{
    struct pr_window *w = (struct pr_window *)job;
    struct pr_windows *ws = w->windows;
    uint64_t cpu = pr_thread_cpu_ns();
    pr_fabric_dereg(w->mr);
    atomic_fetch_add(&ws->cost.cpu_ns, pr_thread_cpu_ns() - cpu);
    atomic_fetch_sub(&ws->registered_bytes, len_of(w));
    pthread_mutex_lock(&ws->lock);
    w->mr = NULL;
    w->granted = false;
    w->state = PR_WINDOW_IDLE;
    ws->used_bytes -= len_of(w);
    ws->leaving_bytes -= len_of(w);
    pthread_mutex_unlock(&ws->lock);
    ws->on_change(ws->opaque);
}

int pr_windows_open(struct pr_windows *ws, struct pr_session *session, uint64_t peer_pin_bytes,
                    void (*on_change)(void *opaque), void *opaque)
{
    const struct pr_regions *regions = &session->regions;
    uint64_t ours = session->options.pin_budget_bytes;
    *ws = (struct pr_windows){.session = session, .on_change = on_change, .opaque = opaque};
    pthread_mutex_init(&ws->lock, NULL);
    ws->budget_bytes = ours ? ours : UINT64_MAX;
    if (peer_pin_bytes && peer_pin_bytes < ws->budget_bytes)
        ws->budget_bytes = peer_pin_bytes;
    ws->of_region = calloc(regions->count, sizeof(*ws->of_region));
    for (uint32_t r = 0; ws->of_region && r < regions->count; r++) {
        uint64_t count = pr_region_windows(&regions->list[r], session->window_bytes);
        ws->of_region[r] = calloc(count, sizeof(**ws->of_region));
        if (!ws->of_region[r])
            return pr_error(ENOMEM, "no memory for the window table");
        for (uint64_t i = 0; i < count; i++)
            ws->of_region[r][i] =
                (struct pr_window){.windows = ws, .region = r, .index = (uint32_t)i};
    }
    return ws->of_region ? 0 : pr_error(ENOMEM, "no memory for the window table");
}

static int dereg_one(void *opaque, uint64_t i)
{
    struct pr_window *windows = opaque;
    pr_fabric_dereg(windows[i].mr);
    windows[i].mr = NULL;
    return 0;
}

static int look_at_one(void *opaque, uint64_t i)
{
    struct pr_window *w = (struct pr_window *)opaque + i;
    if (pr_session_failed(w->windows->session))
        return 0;
    w->empty = !pr_fabric_reg_pays(w->windows->session->fabric, addr_of(w), len_of(w));
    return 0;
}

/* In parallel; but it is done also when even a descriptor for that is short. */
static void each_of(const struct pr_windows *ws, uint32_t region, int (*fn)(void *, uint64_t))
{
    struct pr_session *session = ws->session;
    uint64_t count = pr_region_windows(&session->regions.list[region], session->window_bytes);
    if (!pr_pool_each(session->pool, count, fn, ws->of_region[region]))
        return;
    for (uint64_t i = 0; i < count; i++)
        fn(ws->of_region[region], i);
}

void pr_windows_close(struct pr_windows *ws)
{
    if (!ws->session)
        return;
    const struct pr_regions *regions = &ws->session->regions;
    for (uint32_t r = 0; ws->of_region && r < regions->count && ws->of_region[r]; r++) {
        each_of(ws, r, dereg_one);
        free(ws->of_region[r]);
    }
    free(ws->of_region);
    pthread_mutex_destroy(&ws->lock);
    *ws = (struct pr_windows){0};
}

/* Is there room for `len` now? */
static bool fits_locked(const struct pr_windows *ws, uint64_t len)
{
    return len <= ws->budget_bytes && ws->used_bytes <= ws->budget_bytes - len;
}

static void start_asking_locked(struct pr_windows *ws, struct pr_window *w)
{
    w->empty = false;
    w->state = PR_WINDOW_ASKED;
    ws->used_bytes += len_of(w);
    w->job.fn = register_job;
    pr_pool_submit(ws->session->pool, &w->job);
}

static int send_drop(struct pr_window *w)
{
    struct pr_wire_drop message = {{w->region, w->index}};
    uint8_t buffer[64];
    return pr_channel_send(&w->windows->session->control, buffer,
                           pr_wire_drop_encode(&message, buffer, sizeof(buffer)), NULL);
}

/* The window that has been idle for longest leaves; false when all are in use. */
static bool evict_one_locked(struct pr_windows *ws)
{
    struct pr_window *w = ws->oldest;
    while (w && (w->demanded || atomic_load(&w->users)))
        w = w->newer;
    if (!w)
        return false;
    lru_remove(ws, w);
    w->state = PR_WINDOW_LEAVING;
    atomic_fetch_sub(&ws->ready_bytes, len_of(w));
    ws->leaving_bytes += len_of(w);
    w->job.fn = leave_job;
    int err = send_drop(w);
    if (err)
        pr_session_fail(ws->session, err);
    pr_pool_submit(ws->session->pool, &w->job);
    return true;
}

static void make_room_locked(struct pr_windows *ws, uint64_t len)
{
    while (ws->used_bytes - ws->leaving_bytes > ws->budget_bytes - len) {
        if (!evict_one_locked(ws))
            break;
    }
}

static int send_want(struct pr_session *session, const struct pr_wire_want *want)
{
    if (!want->count)
        return 0;
    uint8_t buffer[PR_WIRE_MAX_MESSAGE];
    return pr_channel_send(&session->control, buffer,
                           pr_wire_want_encode(want, buffer, session->control.message_bytes), NULL);
}

/* How many windows one want message may name on this channel. */
static uint32_t wanted_at_once(const struct pr_session *session)
{
    uint32_t fits = (session->control.message_bytes - PR_WIRE_HEADER_BYTES - 4) / 8;
    return fits < PR_WIRE_MAX_WANTED ? fits : PR_WIRE_MAX_WANTED;
}

static struct pr_window *prefetch_next_locked(struct pr_windows *ws)
{
    const struct pr_regions *regions = &ws->session->regions;
    while (ws->prefetch_region < regions->count) {
        const struct pr_region *region = &regions->list[ws->prefetch_region];
        if (ws->prefetch_index >= pr_region_windows(region, ws->session->window_bytes)) {
            ws->prefetch_region++;
            ws->prefetch_index = 0;
            continue;
        }
        struct pr_window *w = &ws->of_region[ws->prefetch_region][ws->prefetch_index];
        if (!fits_locked(ws, len_of(w)))
            return NULL;
        ws->prefetch_index++;
        if (w->state == PR_WINDOW_IDLE && (!w->empty || ws->prefetch_empty))
            return w;
    }
    return NULL;
}

/* With less than all: a worker that finds data in an empty window waits for it with other windows
 * in hand, so there must be room for every one. */
void pr_windows_leave_out_empty(struct pr_windows *ws)
{
    const struct pr_regions *regions = &ws->session->regions;
    for (uint32_t r = 0; r < regions->count && ws->budget_bytes >= regions->total_bytes; r++)
        each_of(ws, r, look_at_one);
}

int pr_windows_prefetch(struct pr_windows *ws)
{
    int err = 0;
    struct pr_wire_want want;
    do {
        want.count = 0;
        pthread_mutex_lock(&ws->lock);
        struct pr_window *w;
        while (want.count < wanted_at_once(ws->session) && (w = prefetch_next_locked(ws))) {
            start_asking_locked(ws, w);
            want.window[want.count++] = (struct pr_wire_window){w->region, w->index};
        }
        /* Within the lock: a drop of one of these must not overtake the want. */
        err = send_want(ws->session, &want);
        pthread_mutex_unlock(&ws->lock);
    } while (want.count && !err);
    return err;
}

int pr_windows_prefetch_all(struct pr_windows *ws)
{
    pthread_mutex_lock(&ws->lock);
    ws->prefetch_empty = true;
    ws->prefetch_region = ws->prefetch_index = 0;
    pthread_mutex_unlock(&ws->lock);
    return pr_windows_prefetch(ws);
}

static int ask_locked(struct pr_windows *ws, struct pr_window *w)
{
    if (!fits_locked(ws, len_of(w))) {
        atomic_store(&ws->starving, true);
        make_room_locked(ws, len_of(w));
        return 0;
    }
    struct pr_wire_want want = {.count = 1, .window = {{w->region, w->index}}};
    start_asking_locked(ws, w);
    return send_want(ws->session, &want);
}

int pr_windows_acquire(struct pr_windows *ws, uint32_t region, uint64_t offset,
                       struct pr_window **out)
{
    struct pr_window *w = &ws->of_region[region][offset / ws->session->window_bytes];
    int err = 0;
    pthread_mutex_lock(&ws->lock);
    if (w->state == PR_WINDOW_READY) {
        atomic_fetch_add(&w->users, 1);
        lru_remove(ws, w);
        lru_append(ws, w);
        *out = w;
    }
    w->demanded = w->state != PR_WINDOW_READY;
    if (w->state == PR_WINDOW_IDLE) {
        err = ask_locked(ws, w);
    }
    bool ready = w->state == PR_WINDOW_READY;
    pthread_mutex_unlock(&ws->lock);
    return err ? err : ready ? 0 : -EAGAIN;
}

int pr_windows_look(struct pr_windows *ws, uint32_t region, uint64_t offset, struct pr_window **out)
{
    struct pr_window *w = &ws->of_region[region][offset / ws->session->window_bytes];
    pthread_mutex_lock(&ws->lock);
    bool empty = w->empty;
    pthread_mutex_unlock(&ws->lock);
    *out = NULL;
    return empty ? 0 : pr_windows_acquire(ws, region, offset, out);
}

void pr_window_retain(struct pr_window *window)
{
    atomic_fetch_add(&window->users, 1);
}

void pr_window_release(struct pr_window *window)
{
    struct pr_windows *ws = window->windows;
    if (atomic_fetch_sub(&window->users, 1) == 1 && atomic_exchange(&ws->starving, false))
        ws->on_change(ws->opaque);
}

static struct pr_window *named(struct pr_windows *ws, const struct pr_wire_window *name)
{
    const struct pr_regions *regions = &ws->session->regions;
    if (name->region >= regions->count ||
        name->window >= pr_region_windows(&regions->list[name->region], ws->session->window_bytes))
        return NULL;
    return &ws->of_region[name->region][name->window];
}

int pr_windows_granted(struct pr_windows *ws, const struct pr_wire_grant *grant)
{
    struct pr_window *w = named(ws, &grant->window);
    if (!w)
        return pr_error(EPROTO, "the destination granted a window that does not exist");
    pthread_mutex_lock(&ws->lock);
    bool awaited = false;
    bool expected = w->state == PR_WINDOW_ASKED && !w->granted && grant->len == len_of(w);
    if (expected) {
        w->granted = true;
        w->key = (struct pr_key){grant->addr, grant->len, grant->rkey};
        awaited = ready_locked(ws, w);
    }
    pthread_mutex_unlock(&ws->lock);
    if (!expected)
        return pr_error(EPROTO, "the destination granted a window that was not asked for");
    if (awaited)
        ws->on_change(ws->opaque);
    return 0;
}
