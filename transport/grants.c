/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/grants.h"

#include "base/error.h"
#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>

static struct pr_region *region_of(const struct pr_grant *g)
{
    return &g->grants->session->regions.list[g->region];
}

static uint64_t len_of(const struct pr_grant *g)
{
    return pr_region_window_len(region_of(g), g->grants->session->window_bytes, g->index);
}

static int send_grant(struct pr_grant *g)
{
    struct pr_wire_grant message = {
        .window = {g->grants->wire_of[g->region], g->index},
        .addr = g->mr->key.addr,
        .len = g->mr->key.len,
        .rkey = g->mr->key.rkey,
    };
    uint8_t buffer[64];
    return pr_channel_send(&g->grants->session->control, buffer,
                           pr_wire_grant_encode(&message, buffer, sizeof(buffer)), &g->ticket);
}

static int register_here(struct pr_grant *g, struct pr_mr **mr)
{
    struct pr_grants *gs = g->grants;
    uint8_t *addr = region_of(g)->addr + g->index * gs->session->window_bytes;
    return pr_registration_make(gs->session->fabric, addr, len_of(g), PR_ACCESS_REMOTE_WRITE,
                                &gs->cost, mr);
}

static void register_job(struct pr_job *job)
{
    struct pr_grant *g = (struct pr_grant *)job;
    struct pr_grants *gs = g->grants;
    struct pr_mr *mr = NULL;
    if (pr_session_failed(gs->session))
        return;
    int err = register_here(g, &mr);
    if (!err) {
        atomic_fetch_add(&gs->registered_bytes, len_of(g));
        /* Queued within the lock: from GIVEN on a drop may take the registration away. */
        pthread_mutex_lock(&gs->lock);
        g->mr = mr;
        err = send_grant(g);
        g->state = PR_GRANT_GIVEN;
        pthread_mutex_unlock(&gs->lock);
    }
    if (err)
        pr_session_fail(gs->session, err);
}

static void submit_locked(struct pr_grants *gs, struct pr_grant *g)
{
    g->state = PR_GRANT_REGISTERING;
    gs->used_bytes += len_of(g);
    g->job.fn = register_job;
    pr_pool_submit(gs->session->pool, &g->job);
}

static void submit_what_fits_locked(struct pr_grants *gs)
{
    while (gs->first && gs->used_bytes + len_of(gs->first) <= gs->budget_bytes) {
        struct pr_grant *g = gs->first;
        gs->first = g->next;
        submit_locked(gs, g);
    }
}

static void wait_for_room_locked(struct pr_grants *gs, struct pr_grant *g)
{
    g->state = PR_GRANT_WAITING;
    g->next = NULL;
    if (gs->first)
        gs->last->next = g;
    else
        gs->first = g;
    gs->last = g;
    submit_what_fits_locked(gs);
}

static void leave_job(struct pr_job *job)
{
    struct pr_grant *g = (struct pr_grant *)job;
    struct pr_grants *gs = g->grants;
    uint64_t cpu = pr_thread_cpu_ns();
    pr_fabric_dereg(g->mr);
    atomic_fetch_add(&gs->cost.cpu_ns, pr_thread_cpu_ns() - cpu);
    atomic_fetch_sub(&gs->registered_bytes, len_of(g));
    pthread_mutex_lock(&gs->lock);
    g->mr = NULL;
    g->state = PR_GRANT_NONE;
    gs->used_bytes -= len_of(g);
    if (g->wanted_again) {
        g->wanted_again = false;
        wait_for_room_locked(gs, g);
    }
    submit_what_fits_locked(gs);
    pthread_mutex_unlock(&gs->lock);
}

static int make_table(struct pr_grants *gs)
{
    const struct pr_regions *regions = &gs->session->regions;
    gs->of_region = calloc(regions->count, sizeof(*gs->of_region));
    gs->wire_of = calloc(regions->count, sizeof(*gs->wire_of));
    if (!gs->of_region || !gs->wire_of)
        return -ENOMEM;
    for (uint32_t r = 0; r < regions->count; r++) {
        gs->wire_of[gs->local_of[r]] = r;
        uint64_t count = pr_region_windows(&regions->list[r], gs->session->window_bytes);
        gs->of_region[r] = calloc(count, sizeof(**gs->of_region));
        if (!gs->of_region[r])
            return -ENOMEM;
        for (uint64_t i = 0; i < count; i++)
            gs->of_region[r][i] =
                (struct pr_grant){.grants = gs, .region = r, .index = (uint32_t)i};
    }
    return 0;
}

int pr_grants_open(struct pr_grants *gs, struct pr_session *session, const uint32_t *local_of)
{
    uint64_t budget = session->options.pin_budget_bytes;
    *gs = (struct pr_grants){.session = session, .local_of = local_of};
    gs->budget_bytes = budget ? budget : UINT64_MAX;
    pthread_mutex_init(&gs->lock, NULL);
    return make_table(gs) ? pr_error(ENOMEM, "no memory for the window table") : 0;
}

static int dereg_one(void *opaque, uint64_t i)
{
    struct pr_grant *grants = opaque;
    if (!pr_fault("keys.keep"))
        pr_fabric_dereg(grants[i].mr);
    grants[i].mr = NULL;
    return 0;
}

/* In parallel; but no key stays because even a descriptor for that is short. */
static void dereg_all(struct pr_pool *pool, struct pr_grant *grants, uint64_t count)
{
    if (!pr_pool_each(pool, count, dereg_one, grants))
        return;
    for (uint64_t i = 0; i < count; i++)
        dereg_one(grants, i);
}

void pr_grants_close(struct pr_grants *gs)
{
    if (!gs->session)
        return;
    const struct pr_regions *regions = &gs->session->regions;
    for (uint32_t r = 0; gs->of_region && r < regions->count && gs->of_region[r]; r++) {
        uint64_t count = pr_region_windows(&regions->list[r], gs->session->window_bytes);
        dereg_all(gs->session->pool, gs->of_region[r], count);
        free(gs->of_region[r]);
    }
    free(gs->of_region);
    free(gs->wire_of);
    pthread_mutex_destroy(&gs->lock);
    *gs = (struct pr_grants){0};
}

static struct pr_grant *named(struct pr_grants *gs, const struct pr_wire_window *name)
{
    const struct pr_regions *regions = &gs->session->regions;
    if (name->region >= regions->count)
        return NULL;
    uint32_t r = gs->local_of[name->region];
    if (name->window >= pr_region_windows(&regions->list[r], gs->session->window_bytes))
        return NULL;
    return &gs->of_region[r][name->window];
}

static int want_locked(struct pr_grants *gs, const struct pr_wire_window *name)
{
    struct pr_grant *g = named(gs, name);
    if (!g)
        return pr_error(EPROTO, "the source wants a window that does not exist");
    if (g->state == PR_GRANT_LEAVING && !g->wanted_again) {
        g->wanted_again = true;
        return 0;
    }
    if (g->state != PR_GRANT_NONE)
        return pr_error(EPROTO, "the source wants a window twice");
    if (len_of(g) > gs->budget_bytes)
        return pr_error(EPROTO, "the source wants a window beyond the pin budget");
    wait_for_room_locked(gs, g);
    return 0;
}

int pr_grants_want(struct pr_grants *gs, const struct pr_wire_want *want)
{
    int err = 0;
    pthread_mutex_lock(&gs->lock);
    for (uint32_t i = 0; i < want->count && !err; i++)
        err = want_locked(gs, &want->window[i]);
    pthread_mutex_unlock(&gs->lock);
    return err;
}

int pr_grants_drop(struct pr_grants *gs, const struct pr_wire_drop *drop)
{
    struct pr_grant *g = named(gs, &drop->window);
    if (!g)
        return pr_error(EPROTO, "the source drops a window that does not exist");
    pthread_mutex_lock(&gs->lock);
    /* What was not sent cannot have been granted: wants and drops in a row would else pile up
     * grants in the outbox. */
    bool given = g->state == PR_GRANT_GIVEN && pr_channel_posted(&gs->session->control, g->ticket);
    if (given) {
        g->state = PR_GRANT_LEAVING;
        g->job.fn = leave_job;
        pr_pool_submit(gs->session->pool, &g->job);
    }
    pthread_mutex_unlock(&gs->lock);
    return given ? 0 : pr_error(EPROTO, "the source drops a window that it was not granted");
}
