/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination's side of a session. Its threads: the control thread (transport/session.h), the
 * appliers (transport/applier.h), and the pool that registers windows.
 */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "transport/applier.h"
#include "transport/grants.h"
#include "transport/handshake.h"
#include "transport/mark.h"
#include "transport/options.h"
#include "transport/uri.h"

#include <errno.h>
#include <pagerail/transport.h>
#include <stdlib.h>

struct pagerail_destination {
    struct pr_session session;
    struct pr_listener *listener;
    struct pr_grants grants;
    struct pr_appliers appliers;
    uint32_t *local_of; /* [regions]: the source's region index -> ours */
    _Atomic bool connected;
    bool fenced, running;
    _Atomic bool ready, released;
    uint64_t fence_ns, ready_ns, released_ns;
};

static int on_want(struct pagerail_destination *d, const void *body, uint32_t len)
{
    struct pr_wire_want want;
    int err = pr_wire_want_decode(&want, body, len);
    return err ? err : pr_grants_want(&d->grants, &want);
}

static int on_drop(struct pagerail_destination *d, const void *body, uint32_t len)
{
    struct pr_wire_drop drop;
    int err = pr_wire_drop_decode(&drop, body, len);
    return err ? err : pr_grants_drop(&d->grants, &drop);
}

static int on_release(struct pagerail_destination *d, const void *body, uint32_t len)
{
    int err = pr_wire_empty_decode(PR_WIRE_RELEASE, body, len);
    if (err)
        return err;
    if (!atomic_load(&d->ready) || atomic_load(&d->released))
        return pr_error(EPROTO, "the source released a guest that this side was not ready for");
    d->released_ns = pr_now_ns();
    atomic_store(&d->session.handed_over, true);
    atomic_store(&d->released, true);
    pr_session_notify(&d->session);
    return 0;
}

static int on_message(void *side, enum pr_wire_type type, const void *body, uint32_t len)
{
    switch (type) {
    case PR_WIRE_WANT:
        return on_want(side, body, len);
    case PR_WIRE_DROP:
        return on_drop(side, body, len);
    case PR_WIRE_RELEASE:
        return on_release(side, body, len);
    default:
        return pr_error(EPROTO, "the source sent a %s message, which only a destination sends",
                        pr_wire_name(type));
    }
}

PAGERAIL_API int pagerail_destination_new(const struct pagerail_options *options,
                                          pagerail_destination **out)
{
    struct pagerail_destination *d = calloc(1, sizeof(*d));
    if (!d)
        return pr_error(ENOMEM, "no memory for a session");
    d->session.side = d;
    d->session.peer_name = "the source";
    int err = pr_session_open(&d->session, options);
    if (err) {
        free(d);
        return err;
    }
    *out = d;
    return 0;
}

/* Nothing has changed when it fails: another address may be tried. */
PAGERAIL_API int pagerail_destination_listen(pagerail_destination *d, const char *uri)
{
    struct pr_session *session = &d->session;
    struct pr_uri_target target;
    if (session->fabric)
        return pr_error(EINVAL, "this session has listened before: make a new one");
    int err = pr_session_failed(session);
    if (!err)
        err = pr_uri_open(uri, &session->options, &target);
    if (err)
        return err;
    err = pr_fabric_listen(target.fabric, target.address, &d->listener);
    if (err)
        pr_fabric_close(target.fabric);
    else
        pr_session_set_fabric(session, target.fabric);
    if (!err && *target.route)
        pr_log_info("%s", target.route);
    return err;
}

static void stop_listening(struct pagerail_destination *d)
{
    if (d->listener)
        pr_listener_close(d->listener);
    d->listener = NULL;
}

static int start(struct pagerail_destination *d, struct pr_lane **lanes,
                 const struct pr_wire_hello *hello)
{
    d->session.on_message = on_message;
    d->session.hearer = d;
    pr_regions_find_absent(&d->session.regions);
    int err = pr_grants_open(&d->grants, &d->session, d->local_of);
    if (!err)
        err = pr_appliers_open(&d->appliers, &d->session, d->local_of, lanes, d->session.lanes,
                               hello);
    return err ? err : pr_session_start(&d->session);
}

static int accept_source(struct pagerail_destination *d, int timeout_ms)
{
    struct pr_session *session = &d->session;
    struct pr_lane *lanes[PR_WIRE_MAX_LANES] = {0};
    struct pr_wire_hello hello;
    d->local_of = calloc(session->regions.count, sizeof(*d->local_of));
    if (!d->local_of)
        return pr_error(ENOMEM, "no memory for the handshake");
    int err =
        pr_handshake_destination(session, d->listener, timeout_ms, lanes, d->local_of, &hello);
    if (err == -EAGAIN && !session->control.lane) { /* nobody came */
        free(d->local_of);
        d->local_of = NULL;
        pr_regions_free(&session->regions);
        return err;
    }
    if (!err)
        err = start(d, lanes, &hello);
    for (uint32_t i = 0; i < PR_WIRE_MAX_LANES; i++)
        pr_lane_close(lanes[i]); /* those that nobody took */
    stop_listening(d);
    return err ? pr_session_refuse(session, err) : 0;
}

static int prepare(struct pr_session *session, const struct pagerail_region *regions,
                   uint32_t count)
{
    int err = pr_regions_copy(regions, count, &session->regions);
    if (err)
        return err;
    err = pr_options_window(&session->options, pr_regions_page_bytes(&session->regions),
                            session->fabric->limits.max_window_bytes, &session->window_bytes);
    if (err)
        pr_regions_free(&session->regions);
    return err;
}

PAGERAIL_API int pagerail_destination_accept(pagerail_destination *d,
                                             const struct pagerail_region *regions, uint32_t count,
                                             int timeout_ms)
{
    if (!d->listener)
        return pr_error(EINVAL, "listen first, and accept one source only");
    int err = pr_session_failed(&d->session);
    if (!err)
        err = prepare(&d->session, regions, count);
    if (err)
        return err;
    err = accept_source(d, timeout_ms);
    if (!err)
        atomic_store(&d->connected, true);
    return err;
}

static int check_connected(struct pagerail_destination *d)
{
    int err = pr_session_failed(&d->session);
    if (!err && !d->connected)
        err = pr_error(EINVAL, "no source is connected");
    return err;
}

static int read_mark(struct pagerail_destination *d, uint64_t *epoch)
{
    uint8_t mark[PR_MARK_BYTES];
    for (size_t have = 0; have < sizeof(mark);) {
        ssize_t got = pr_session_read(&d->session, mark + have, sizeof(mark) - have, PR_NEVER);
        if (got < 0)
            return (int)got;
        if (!got)
            return pr_error(EPROTO, "the source's stream ends where a fence must be");
        have += (size_t)got;
    }
    return pr_mark_decode(mark, epoch);
}

struct epoch_wait {
    struct pagerail_destination *d;
    uint64_t epoch;
};

static bool epoch_complete(void *opaque)
{
    struct epoch_wait *wait = opaque;
    return atomic_load(&wait->d->appliers.complete) >= wait->epoch;
}

/* Behind the last page the appliers have nothing to do: they end beside the loading of device
 * state, and not between ready and release, where all else waits for it. */
static int wait_for_memory(struct pagerail_destination *d, struct epoch_wait *wait)
{
    int err = pr_session_wait(&d->session, epoch_complete, wait, PR_NEVER);
    if (!err)
        pr_appliers_dismiss(&d->appliers);
    return err;
}

PAGERAIL_API int pagerail_destination_fence(pagerail_destination *d)
{
    struct epoch_wait wait = {.d = d};
    int err = check_connected(d);
    if (!err && d->fenced)
        err = pr_error(EINVAL, "the fence was passed already");
    if (err)
        return err;
    err = read_mark(d, &wait.epoch);
    if (!err && !pr_fault("fence.skip"))
        err = wait_for_memory(d, &wait);
    d->fence_ns = pr_now_ns();
    d->fenced = !err;
    return err;
}

/* Also after a failure: what has arrived can still be read. */
PAGERAIL_API ssize_t pagerail_destination_read(pagerail_destination *d, void *to, size_t size)
{
    int err = d->connected ? 0 : check_connected(d);
    return err ? err : pr_session_read(&d->session, to, size, PR_NEVER);
}

static bool flag_set(void *flag)
{
    return atomic_load((_Atomic bool *)flag);
}

/* What was released before the failure is ours: the source will never run it again. Whether it was
 * is known for good when the control thread has ended. */
static int wait_for_release(struct pagerail_destination *d)
{
    int err = pr_session_wait(&d->session, flag_set, &d->released, PR_NEVER);
    if (err)
        pr_session_stop(&d->session);
    return err && !atomic_load(&d->released) ? err : 0;
}

PAGERAIL_API int pagerail_destination_ready(pagerail_destination *d)
{
    int err = check_connected(d);
    if (!err && (!d->fenced || d->ready))
        err = pr_error(EINVAL, "ready comes once, after pagerail_destination_fence has returned 0");
    if (err)
        return err;
    d->ready_ns = pr_now_ns();
    /* From here the source decides: had we gone back on our word while its release is under way,
     * nobody would have the guest. */
    err = pr_session_commit(&d->session);
    if (err)
        return err;
    atomic_store(&d->ready, true);
    uint64_t ticket;
    err = pr_session_post_empty(&d->session, PR_WIRE_READY, &ticket, PR_NEVER);
    /* No lane, no write, while the answer is on its way, and not before that: the guest may run
     * before the lanes are closed and the registrations undone, which takes long. */
    pr_appliers_stop(&d->appliers);
    if (ticket)
        err = wait_for_release(d);
    if (pr_fault("handover.run_unreleased"))
        return 0;
    if (err)
        return pr_error_prefix(err, "the source did not hand the guest over, so it must not run "
                                    "here");
    return 0;
}

PAGERAIL_API int pagerail_destination_running(pagerail_destination *d)
{
    if (!atomic_load(&d->released) || d->running)
        return pr_error(EINVAL, "the guest was not handed over, or its running was told already");
    d->running = true;
    struct pr_wire_running message = {d->ready_ns - d->fence_ns, pr_now_ns() - d->released_ns};
    uint8_t buffer[64];
    int err = pr_session_failed(&d->session);
    return err ? err
               : pr_session_send(&d->session, buffer,
                                 pr_wire_running_encode(&message, buffer, sizeof(buffer)), NULL);
}

PAGERAIL_API int pagerail_destination_write(pagerail_destination *d, const void *bytes, size_t len)
{
    if (!d->running)
        return pr_error(EINVAL, "a report follows pagerail_destination_running");
    return pr_session_write(&d->session, bytes, len, (int)d->session.options.silence_timeout_ms);
}

PAGERAIL_API int pagerail_destination_write_end(pagerail_destination *d)
{
    if (!d->running)
        return pr_error(EINVAL, "a report follows pagerail_destination_running");
    return pr_session_write_end(&d->session);
}

PAGERAIL_API void pagerail_destination_stats(pagerail_destination *d, struct pagerail_stats *out)
{
    struct pr_session *session = &d->session;
    *out = (struct pagerail_stats){.fabric = "none"};
    if (!atomic_load(&d->connected)) /* then nothing below may be looked at */
        return;
    *out = (struct pagerail_stats){
        .epoch = atomic_load(&d->appliers.complete),
        .registered_bytes = atomic_load(&d->grants.registered_bytes),
        .registration_ns = atomic_load(&d->grants.cost.ns),
        .stream_bytes = pr_stream_received(&session->in),
        .rtt_ns = atomic_load(&session->rtt_ns),
        .cpu_ns = pr_appliers_cpu_ns(&d->appliers) + atomic_load(&d->grants.cost.cpu_ns) +
                  atomic_load(&session->control_cpu_ns),
        .lanes = session->lanes,
        .rail_state = (uint32_t)atomic_load(&session->fabric->rail_state),
        .fabric = session->fabric->name,
    };
}

PAGERAIL_API int pagerail_destination_abort(pagerail_destination *d, const char *reason)
{
    return pr_session_abort(&d->session, reason);
}

/* The source says bye when it has read the report. */
static void part_in_good_order(struct pagerail_destination *d)
{
    struct pr_session *session = &d->session;
    if (!session->thread || pr_session_failed(session))
        return;
    if (!session->committed) {
        pr_session_abort(session, "the destination's program ended the session");
        return;
    }
    pr_session_wait(session, flag_set, &session->bye,
                    pr_deadline_after_ms(session->options.silence_timeout_ms));
    pr_session_send_empty(session, PR_WIRE_BYE, NULL);
}

PAGERAIL_API void pagerail_destination_free(pagerail_destination *d)
{
    if (!d)
        return;
    part_in_good_order(d);
    stop_listening(d);
    pr_session_stop(&d->session);
    pr_appliers_close(&d->appliers);
    pr_pool_drain(d->session.pool); /* the last registrations */
    pr_grants_close(&d->grants);
    free(d->local_of);
    pr_session_close(&d->session);
    free(d);
}
