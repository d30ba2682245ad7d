/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source's side of a session. Its threads: the control thread (transport/session.h), the
 * workers (transport/worker.h), and the pool that registers windows.
 */
#include "transport/source.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "transport/crew.h"
#include "transport/handshake.h"
#include "transport/mark.h"
#include "transport/options.h"
#include "transport/uri.h"
#include "transport/windows.h"

#include <errno.h>
#include <inttypes.h>
#include <pagerail/transport.h>
#include <stdlib.h>
#include <string.h>

static void wake_all(void *side)
{
    struct pagerail_source *source = side;
    pr_crew_wake(&source->crew);
}

static int on_epoch_ack(struct pagerail_source *source, const void *body, uint32_t len)
{
    struct pr_wire_epoch_ack ack;
    int err = pr_wire_epoch_ack_decode(&ack, body, len);
    if (err)
        return err;
    atomic_store(&source->acked_ns, pr_now_ns());
    err = pr_crew_epoch_acked(&source->crew, ack.epoch);
    pr_session_notify(&source->session);
    return err ? err : pr_session_measure(&source->session);
}

static int on_grant(struct pagerail_source *source, const void *body, uint32_t len)
{
    struct pr_wire_grant grant;
    int err = pr_wire_grant_decode(&grant, body, len);
    return err ? err : pr_windows_granted(&source->windows, &grant);
}

static int on_ready(struct pagerail_source *source, const void *body, uint32_t len)
{
    int err = pr_wire_empty_decode(PR_WIRE_READY, body, len);
    if (err)
        return err;
    bool whole = atomic_load(&source->fenced) &&
                 atomic_load(&source->crew.work.acked_epoch) == atomic_load(&source->epochs);
    if (!whole)
        return pr_error(EPROTO, "the destination said, out of turn, that it is ready before it had "
                                "the guest");
    if (atomic_exchange(&source->ready, true))
        return pr_error(EPROTO, "the destination said twice, out of turn, that it is ready");
    pr_session_notify(&source->session);
    return 0;
}

static int on_running(struct pagerail_source *source, const void *body, uint32_t len)
{
    struct pr_wire_running message;
    int err = pr_wire_running_decode(&message, body, len);
    if (err)
        return err;
    if (!source->session.committed || atomic_load(&source->running))
        return pr_error(EPROTO, "the destination runs the guest without having been given it");
    source->handover = (struct pagerail_handover){message.load_ns, message.resume_ns};
    atomic_store(&source->running, true);
    pr_session_notify(&source->session);
    return 0;
}

static int on_message(void *side, enum pr_wire_type type, const void *body, uint32_t len)
{
    switch (type) {
    case PR_WIRE_EPOCH_ACK:
        return on_epoch_ack(side, body, len);
    case PR_WIRE_GRANT:
        return on_grant(side, body, len);
    case PR_WIRE_READY:
        return on_ready(side, body, len);
    case PR_WIRE_RUNNING:
        return on_running(side, body, len);
    default:
        return pr_error(EPROTO, "the destination sent a %s message, which only a source sends",
                        pr_wire_name(type));
    }
}

static int on_tick(void *side)
{
    struct pagerail_source *source = side;
    struct pr_crew_counts counts = pr_crew_counts(&source->crew);
    uint64_t limit_ms =
        (uint64_t)PR_STANDSTILL_SILENCES * source->session.options.silence_timeout_ms;
    if (pr_standstill_look(&source->standstill, pr_now_ns(), counts.bytes_sent,
                           counts.flight_bytes) < limit_ms * 1000000)
        return 0;
    return pr_error(ETIMEDOUT,
                    "no page has arrived at the destination for %" PRIu64
                    " s though it answers: something on the way holds back large packets (an MTU "
                    "smaller than that of the ports?) or all but a trickle",
                    limit_ms / 1000);
}

PAGERAIL_API int pagerail_source_new(const struct pagerail_options *options, pagerail_source **out)
{
    struct pagerail_source *source = calloc(1, sizeof(*source));
    if (!source)
        return pr_error(ENOMEM, "no memory for a session");
    source->session.side = source;
    source->session.peer_name = "the destination";
    source->session.on_failed = wake_all;
    source->session.on_tick = on_tick;
    int err = pr_session_open(&source->session, options);
    if (err) {
        free(source);
        return err;
    }
    pthread_mutex_init(&source->books, NULL);
    *out = source;
    return 0;
}

static int open_written(struct pagerail_source *source, const bool *fresh)
{
    const struct pr_regions *regions = &source->session.regions;
    source->written = calloc(regions->count, sizeof(*source->written));
    if (!source->written)
        return pr_error(ENOMEM, "no memory for the session's bitmaps");
    for (uint32_t i = 0; i < regions->count; i++) {
        uint64_t pages = regions->list[i].len / PR_ZERO_PAGE_BYTES;
        int err = pr_written_open(&source->written[i], pages, fresh[i]);
        if (err)
            return err;
    }
    return 0;
}

static int start(struct pagerail_source *source, struct pr_lane **lanes, const bool *fresh,
                 const struct pr_wire_welcome *welcome)
{
    struct pr_session *session = &source->session;
    session->on_message = on_message;
    session->hearer = source;
    pr_regions_find_absent(&session->regions);
    int err = open_written(source, fresh);
    if (!err)
        err = pr_windows_open(&source->windows, session, welcome->pin_bytes, wake_all, source);
    if (!err)
        err = pr_crew_open(&source->crew, session, &source->windows, source->written, lanes,
                           session->lanes, welcome);
    if (!err)
        err = pr_session_start(session);
    if (err)
        return err;
    pr_windows_leave_out_empty(&source->windows);
    return pr_windows_prefetch(&source->windows);
}

static int connect_to(struct pagerail_source *source, const char *address)
{
    struct pr_session *session = &source->session;
    struct pr_lane *lanes[PR_WIRE_MAX_LANES] = {0};
    struct pr_wire_welcome welcome;
    bool *fresh = calloc(session->regions.count, sizeof(*fresh));
    if (!fresh)
        return pr_error(ENOMEM, "no memory for the handshake");
    int err = pr_handshake_source(session, address, lanes, fresh, &welcome);
    if (!err)
        err = start(source, lanes, fresh, &welcome);
    free(fresh);
    for (uint32_t i = 0; i < PR_WIRE_MAX_LANES; i++)
        pr_lane_close(lanes[i]); /* those that nobody took */
    if (err && !session->thread)
        err = pr_session_refuse(session, err);
    return err;
}

/* What can be found wrong before anybody is talked to. Nothing has changed when it fails. */
static int prepare(struct pagerail_source *source, const char *uri,
                   const struct pagerail_region *regions, uint32_t count,
                   struct pr_uri_target *target)
{
    struct pr_session *session = &source->session;
    int err = pr_regions_copy(regions, count, &session->regions);
    if (err)
        return err;
    err = pr_uri_open(uri, &session->options, target);
    if (!err) {
        err = pr_options_window(&session->options, pr_regions_page_bytes(&session->regions),
                                target->fabric->limits.max_window_bytes, &session->window_bytes);
        if (!err)
            err = pr_regions_check_windows(&session->regions, session->window_bytes);
        if (err)
            pr_fabric_close(target->fabric);
        else
            pr_session_set_fabric(session, target->fabric);
    }
    if (err)
        pr_regions_free(&session->regions);
    return err;
}

PAGERAIL_API int pagerail_source_connect(pagerail_source *source, const char *uri,
                                         const struct pagerail_region *regions, uint32_t count)
{
    struct pr_session *session = &source->session;
    struct pr_uri_target target;
    if (session->fabric)
        return pr_error(EINVAL, "this session was connected before: make a new one");
    source->called_ns = pr_now_ns();
    int err = pr_session_failed(session);
    if (!err)
        err = prepare(source, uri, regions, count, &target);
    if (err)
        return err;
    if (*target.route)
        pr_log_info("%s", target.route);
    err = connect_to(source, target.address);
    if (err)
        return pr_session_fail(session, err);
    atomic_store(&source->connected, true);
    return 0;
}

int pr_source_check(struct pagerail_source *source)
{
    int err = pr_session_failed(&source->session);
    if (!err && !source->connected)
        err = pr_error(EINVAL, "the session is not connected");
    return err;
}

PAGERAIL_API void pagerail_source_set_deadline(pagerail_source *source, int timeout_ms)
{
    source->session.deadline_ns = timeout_ms < 0 ? 0 : pr_deadline_after_ms(timeout_ms);
}

PAGERAIL_API int pagerail_source_write(pagerail_source *source, const void *bytes, size_t len)
{
    int err = pr_source_check(source);
    return err ? err : pr_session_write(&source->session, bytes, len, -1);
}

PAGERAIL_API int pagerail_source_write_end(pagerail_source *source)
{
    int err = pr_source_check(source);
    return err ? err : pr_session_write_end(&source->session);
}

static bool flag_set(void *flag)
{
    return atomic_load((_Atomic bool *)flag);
}

PAGERAIL_API int pagerail_source_wait_ready(pagerail_source *source, int timeout_ms)
{
    int err = pr_source_check(source);
    return err ? err
               : pr_session_wait(&source->session, flag_set, &source->ready,
                                 pr_deadline_after_ms(timeout_ms));
}

/*
 * From commit to posted, the release is the control thread's. If the session fails in between, that
 * thread either had posted the letter or drops it (pr_channel_last_word), and when it has ended it
 * is known which: only in the first case may the destination have it, and the guest is gone.
 */
static int release(struct pr_session *session)
{
    uint64_t ticket;
    int err = pr_session_post_empty(session, PR_WIRE_RELEASE, &ticket,
                                    pr_deadline_after_ms(session->options.silence_timeout_ms));
    if (!err)
        return 0;
    if (err == -EAGAIN)
        err = pr_session_fail(
            session, pr_error(ETIMEDOUT, "the destination had no room for the release for %u ms",
                              session->options.silence_timeout_ms));
    pr_session_stop(session); /* nothing is posted any more */
    if (ticket && pr_channel_posted(&session->control, ticket))
        return 0;
    return err;
}

PAGERAIL_API int pagerail_source_release(pagerail_source *source)
{
    if (source->released)
        return 0;
    int err = pr_source_check(source);
    if (!err && !atomic_load(&source->ready))
        err = pr_error(EINVAL, "the destination is not ready to run the guest");
    if (!err)
        err = pr_session_commit(&source->session);
    if (!err) {
        atomic_store(&source->session.handed_over, true);
        err = release(&source->session);
    }
    source->released = !err;
    return err;
}

PAGERAIL_API int pagerail_source_wait_running(pagerail_source *source, int timeout_ms,
                                              struct pagerail_handover *out)
{
    if (!source->released)
        return pr_error(EINVAL, "the guest was not released");
    int err = pr_session_wait(&source->session, flag_set, &source->running,
                              pr_deadline_after_ms(timeout_ms));
    if (!atomic_load(&source->running))
        return err;
    if (out) /* what was said counts, whatever became of the session since */
        *out = source->handover;
    return 0;
}

PAGERAIL_API ssize_t pagerail_source_read(pagerail_source *source, void *to, size_t size,
                                          int timeout_ms)
{
    if (!source->connected)
        return pr_error(EINVAL, "the session is not connected");
    return pr_session_read(&source->session, to, size, pr_deadline_after_ms(timeout_ms));
}

uint64_t pr_source_acked_ns(pagerail_source *source)
{
    return atomic_load(&source->acked_ns);
}

PAGERAIL_API int pagerail_source_abort(pagerail_source *source, const char *reason)
{
    return pr_session_abort(&source->session, reason);
}

static void close_written(struct pagerail_source *source)
{
    for (uint32_t i = 0; source->written && i < source->session.regions.count; i++)
        pr_written_close(&source->written[i]);
    free(source->written);
}

/* In the reverse order of pagerail_source_connect: the peer is told, then lanes, then windows. The
 * pool's last registrations wake the workers, so these are there until it is idle. */
PAGERAIL_API void pagerail_source_free(pagerail_source *source)
{
    if (!source)
        return;
    struct pr_session *session = &source->session;
    if (session->thread && !pr_session_failed(session)) {
        if (session->committed)
            pr_session_send_empty(session, PR_WIRE_BYE, NULL);
        else
            pr_session_abort(session, "the source's program ended the session");
    }
    pr_session_stop(session);
    pr_crew_stop(&source->crew);
    pr_pool_drain(session->pool); /* the last registrations, which wake the crew */
    pr_crew_close(&source->crew);
    pr_windows_close(&source->windows);
    close_written(source);
    pr_session_close(session);
    pthread_mutex_destroy(&source->books);
    free(source);
}
