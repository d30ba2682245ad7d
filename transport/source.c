/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source's side of a session. Its threads: the control thread (transport/session.h), the
 * workers (transport/worker.h), and the pool that registers windows.
 */
#include "base/error.h"
#include "base/fault.h"
#include "transport/crew.h"
#include "transport/handshake.h"
#include "transport/mark.h"
#include "transport/uri.h"
#include "transport/windows.h"

#include <errno.h>
#include <pagerail/transport.h>
#include <stdlib.h>
#include <string.h>

struct pagerail_source {
    struct pr_session session;
    struct pr_windows windows;
    struct pr_bitmap *written; /* [regions] */
    struct pr_crew crew;
    bool connected;
    uint64_t epochs; /* ended by the caller */
    _Atomic uint64_t handed_bytes;
    _Atomic uint64_t settled_bytes; /* handed over in epochs that are acknowledged */
    uint64_t settling[2];           /* the last epoch ended, and handed_bytes at that moment */
    _Atomic uint64_t fenced;        /* the epoch that the fence closed; 0 = no fence yet */
    _Atomic bool ready, running;
    struct pagerail_handover handover;
};

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
    err = pr_crew_epoch_acked(&source->crew, ack.epoch);
    pr_session_notify(&source->session);
    return err;
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
    uint64_t fenced = atomic_load(&source->fenced);
    if (!fenced || atomic_load(&source->crew.work.acked_epoch) < fenced)
        return pr_error(EPROTO, "the destination said that it is ready before it had the guest");
    if (atomic_exchange(&source->ready, true))
        err = pr_error(EPROTO, "the destination said twice that it is ready");
    pr_session_notify(&source->session);
    return err;
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

PAGERAIL_API int pagerail_source_new(const struct pagerail_options *options, pagerail_source **out)
{
    struct pagerail_source *source = calloc(1, sizeof(*source));
    if (!source)
        return pr_error(ENOMEM, "no memory for a session");
    source->session.side = source;
    source->session.peer_name = "the destination";
    source->session.on_failed = wake_all;
    int err = pr_session_open(&source->session, options);
    if (err) {
        free(source);
        return err;
    }
    source->session.window_bytes = source->session.options.window_bytes;
    *out = source;
    return 0;
}

/* All pages of a region that the destination does not know to be zero count as written. */
static int open_written(struct pagerail_source *source, const bool *fresh)
{
    const struct pr_regions *regions = &source->session.regions;
    source->written = calloc(regions->count, sizeof(*source->written));
    if (!source->written)
        return pr_error(ENOMEM, "no memory for the session's bitmaps");
    for (uint32_t i = 0; i < regions->count; i++) {
        uint64_t pages = regions->list[i].len / PR_ZERO_PAGE_BYTES;
        int err = pr_bitmap_open(&source->written[i], pages);
        if (err)
            return err;
        if (!fresh[i])
            pr_bitmap_set_range(&source->written[i], 0, pages);
    }
    return 0;
}

static int start(struct pagerail_source *source, struct pr_lane **lanes, const bool *fresh,
                 const struct pr_wire_welcome *welcome)
{
    struct pr_session *session = &source->session;
    session->on_message = on_message;
    int err = open_written(source, fresh);
    if (!err)
        err = pr_windows_open(&source->windows, session, welcome->pin_bytes, wake_all, source);
    if (!err)
        err = pr_crew_open(&source->crew, session, &source->windows, source->written, lanes,
                           session->lanes, welcome);
    if (!err)
        err = pr_session_start(session);
    return err ? err : pr_windows_prefetch(&source->windows);
}

static int connect_to(struct pagerail_source *source, const char *uri)
{
    struct pr_session *session = &source->session;
    const char *address;
    int err = pr_uri_open(uri, &session->fabric, &address);
    if (err)
        return err;
    struct pr_lane *lanes[PR_WIRE_MAX_LANES] = {0};
    struct pr_wire_welcome welcome;
    bool *fresh = calloc(session->regions.count, sizeof(*fresh));
    if (!fresh)
        return pr_error(ENOMEM, "no memory for the handshake");
    err = pr_handshake_source(session, address, lanes, fresh, &welcome);
    if (!err)
        err = start(source, lanes, fresh, &welcome);
    free(fresh);
    for (uint32_t i = 0; i < PR_WIRE_MAX_LANES && err && !source->crew.count; i++)
        pr_lane_close(lanes[i]);
    if (err && !session->thread)
        err = pr_session_refuse(session, err);
    return err;
}

PAGERAIL_API int pagerail_source_connect(pagerail_source *source, const char *uri,
                                         const struct pagerail_region *regions, uint32_t count)
{
    struct pr_session *session = &source->session;
    if (session->fabric || source->connected)
        return pr_error(EINVAL, "this session was connected before: make a new one");
    int err = pr_session_failed(session);
    if (!err)
        err = pr_regions_copy(regions, count, &session->regions);
    if (!err)
        err = connect_to(source, uri);
    if (err)
        return pr_session_fail(session, err);
    source->connected = true;
    return 0;
}

static int check_range(struct pagerail_source *source, uint32_t region, uint64_t offset,
                       uint64_t len)
{
    if (!source->connected)
        return pr_error(EINVAL, "the session is not connected");
    int err = pr_session_failed(&source->session);
    if (err)
        return err;
    if (region >= source->session.regions.count ||
        !pr_region_holds(&source->session.regions.list[region], offset, len))
        return pr_error(EINVAL, "that range is not in the guest's memory or not in whole pages");
    return 0;
}

static uint64_t chunk_bytes(const struct pagerail_source *source)
{
    uint64_t window = source->session.window_bytes;
    return window < PR_CHUNK_BYTES ? window : PR_CHUNK_BYTES;
}

/* Cuts at multiples of the chunk size, so that no chunk crosses a window. */
static int push_chunks(struct pagerail_source *source, struct pr_chunk whole, uint64_t page_bytes)
{
    uint64_t most = chunk_bytes(source), end = whole.offset + whole.len;
    int err = 0;
    for (uint64_t at = whole.offset; at < end && !err;) {
        uint64_t stop = (at / most + 1) * most;
        struct pr_chunk chunk = whole;
        chunk.offset = at;
        chunk.len = (stop < end ? stop : end) - at;
        chunk.first_bit = whole.first_bit + (at - whole.offset) / page_bytes;
        err = pr_crew_push(&source->crew, &chunk);
        at += chunk.len;
    }
    return err;
}

PAGERAIL_API int pagerail_source_push(pagerail_source *source, uint32_t region, uint64_t offset,
                                      uint64_t len)
{
    int err = check_range(source, region, offset, len);
    if (err)
        return err;
    atomic_fetch_add(&source->handed_bytes, len);
    struct pr_chunk whole = {.kind = PR_CHUNK_RUN, .region = region, .offset = offset, .len = len};
    return push_chunks(source, whole, PR_ZERO_PAGE_BYTES);
}

/* Pages larger than a chunk are cut here: one bit of them is work for several workers. */
static int push_large_pages(struct pagerail_source *source, uint32_t region, uint64_t offset,
                            uint64_t pages, uint64_t page_bytes, uint64_t *bits)
{
    struct pr_bitmap bitmap = pr_bitmap_over(bits, pages);
    struct pr_runs runs = pr_runs_take(&bitmap, 0, pages, PR_RUNS_UNLIMITED);
    struct pr_run run;
    int err = 0;
    while (!err && pr_runs_next(&runs, &run)) {
        struct pr_chunk whole = {.kind = PR_CHUNK_RUN,
                                 .region = region,
                                 .offset = offset + run.first_page * page_bytes,
                                 .len = run.pages * page_bytes};
        err = push_chunks(source, whole, PR_ZERO_PAGE_BYTES);
    }
    return err;
}

PAGERAIL_API int pagerail_source_push_dirty(pagerail_source *source, uint32_t region,
                                            uint64_t offset, uint64_t len, uint64_t *bits,
                                            uint64_t dirty_pages)
{
    int err = check_range(source, region, offset, len);
    if (err)
        return err;
    uint64_t page = source->session.regions.list[region].page_bytes;
    if (offset % page || len % page || offset / page % 64)
        return pr_error(EINVAL, "a range of dirty bits must start at a multiple of 64 pages and "
                                "consist of whole pages");
    uint64_t pages = len / page;
    if (dirty_pages > pages)
        return pr_error(EINVAL, "more dirty pages than the range has");
    atomic_fetch_add(&source->handed_bytes, dirty_pages * page);
    if (page > chunk_bytes(source))
        return push_large_pages(source, region, offset, pages, page, bits);
    struct pr_chunk whole = {
        .kind = PR_CHUNK_DIRTY, .region = region, .offset = offset, .len = len, .bits = bits};
    return push_chunks(source, whole, page);
}

PAGERAIL_API int pagerail_source_epoch_end(pagerail_source *source, uint64_t *epoch)
{
    if (!source->connected)
        return pr_error(EINVAL, "the session is not connected");
    int err = pr_session_failed(&source->session);
    if (!err)
        err = pr_crew_epoch_end(&source->crew, source->epochs + 1);
    if (err)
        return err;
    source->epochs++;
    source->settling[0] = source->epochs;
    source->settling[1] = atomic_load(&source->handed_bytes);
    if (epoch)
        *epoch = source->epochs;
    return 0;
}

struct epoch_wait {
    struct pagerail_source *source;
    uint64_t epoch;
};

static bool epoch_acked(void *opaque)
{
    struct epoch_wait *wait = opaque;
    return atomic_load(&wait->source->crew.work.acked_epoch) >= wait->epoch;
}

PAGERAIL_API int pagerail_source_epoch_wait(pagerail_source *source, uint64_t epoch, int timeout_ms)
{
    if (!epoch || epoch > source->epochs)
        return pr_error(EINVAL, "that epoch has not ended yet");
    struct epoch_wait wait = {source, epoch};
    int err =
        pr_session_wait(&source->session, epoch_acked, &wait, pr_deadline_after_ms(timeout_ms));
    if (!err && epoch == source->settling[0])
        atomic_store(&source->settled_bytes, source->settling[1]);
    return err;
}

PAGERAIL_API int pagerail_source_fence(pagerail_source *source, uint64_t *epoch)
{
    uint64_t closed;
    int err = pagerail_source_epoch_end(source, &closed);
    if (err)
        return err;
    uint8_t mark[PR_MARK_BYTES];
    pr_mark_encode(closed, mark);
    atomic_store(&source->fenced, closed);
    err = pr_session_write(&source->session, mark, sizeof(mark), -1);
    if (!err && epoch)
        *epoch = closed;
    return err;
}

PAGERAIL_API void pagerail_source_set_deadline(pagerail_source *source, int timeout_ms)
{
    atomic_store(&source->session.deadline_ns, pr_deadline_after_ms(timeout_ms));
}

PAGERAIL_API int pagerail_source_write(pagerail_source *source, const void *bytes, size_t len)
{
    if (!source->connected)
        return pr_error(EINVAL, "the session is not connected");
    return pr_session_write(&source->session, bytes, len, -1);
}

PAGERAIL_API int pagerail_source_write_end(pagerail_source *source)
{
    int err = pr_session_failed(&source->session);
    return err ? err : pr_stream_write_end(&source->session.out, &source->session.control);
}

static bool flag_set(void *flag)
{
    return atomic_load((_Atomic bool *)flag);
}

PAGERAIL_API int pagerail_source_wait_ready(pagerail_source *source, int timeout_ms)
{
    return pr_session_wait(&source->session, flag_set, &source->ready,
                           pr_deadline_after_ms(timeout_ms));
}

struct release {
    struct pr_session *session;
    uint64_t ticket;
};

static bool release_posted(void *opaque)
{
    struct release *release = opaque;
    return pr_channel_posted(&release->session->control, release->ticket);
}

/*
 * From commit to posted, the release is the control thread's. If the session fails in between, the
 * letter is dropped unposted or it is on the lane: only in the second case may the destination have
 * it, and the guest is gone. A destination that answers pings and has no buffer for the release is
 * waited for as long as one that is silent.
 */
PAGERAIL_API int pagerail_source_release(pagerail_source *source)
{
    struct pr_session *session = &source->session;
    if (!atomic_load(&source->ready))
        return pr_error(EINVAL, "the destination is not ready to run the guest");
    int err = pr_session_commit(session);
    if (err)
        return err;
    atomic_store(&session->handed_over, true);
    struct release release = {.session = session};
    err = pr_session_send_empty(session, PR_WIRE_RELEASE, &release.ticket);
    if (!err)
        err = pr_session_wait(session, release_posted, &release,
                              pr_deadline_after_ms(session->options.silence_timeout_ms));
    if (!err)
        return 0;
    if (err == -EAGAIN)
        err = pr_session_fail(
            session, pr_error(ETIMEDOUT, "the destination had no room for the release for %u ms",
                              session->options.silence_timeout_ms));
    pr_session_stop(session); /* nothing is posted any more */
    return release.ticket && release_posted(&release) ? 0 : err;
}

PAGERAIL_API int pagerail_source_wait_running(pagerail_source *source, int timeout_ms,
                                              struct pagerail_handover *out)
{
    int err = pr_session_wait(&source->session, flag_set, &source->running,
                              pr_deadline_after_ms(timeout_ms));
    if (!err && out)
        *out = source->handover;
    return err;
}

PAGERAIL_API ssize_t pagerail_source_read(pagerail_source *source, void *to, size_t size,
                                          int timeout_ms)
{
    if (!source->connected)
        return pr_error(EINVAL, "the session is not connected");
    return pr_session_read(&source->session, to, size, pr_deadline_after_ms(timeout_ms));
}

static uint64_t pending_bytes(const struct pagerail_source *source, uint64_t done_bytes)
{
    uint64_t handed = atomic_load(&source->handed_bytes);
    if (handed == atomic_load(&source->settled_bytes) || handed < done_bytes)
        return 0;
    return handed - done_bytes;
}

PAGERAIL_API void pagerail_source_stats(pagerail_source *source, struct pagerail_stats *out)
{
    struct pr_session *session = &source->session;
    struct pr_crew_counts counts = pr_crew_counts(&source->crew);
    *out = (struct pagerail_stats){
        .bytes_sent = counts.bytes_sent,
        .writes = counts.writes,
        .pages_sent = counts.bytes_sent / PAGERAIL_PAGE_BYTES,
        .zero_pages = counts.zero_pages,
        .pending_bytes =
            pending_bytes(source, counts.bytes_sent + counts.zero_pages * PAGERAIL_PAGE_BYTES),
        .epoch = atomic_load(&source->crew.work.acked_epoch),
        .registered_bytes = atomic_load(&source->windows.registered_bytes),
        .registration_ns = atomic_load(&source->windows.registration_ns),
        .stream_bytes = atomic_load(&session->out.sent),
        .rtt_ns = atomic_load(&session->rtt_ns),
        .cpu_ns = counts.cpu_ns + atomic_load(&session->control_cpu_ns),
        .lanes = session->lanes,
        .fabric = session->fabric ? session->fabric->name : "none",
    };
}

PAGERAIL_API int pagerail_source_abort(pagerail_source *source, const char *reason)
{
    return pr_session_abort(&source->session, reason);
}

static void close_written(struct pagerail_source *source)
{
    for (uint32_t i = 0; source->written && i < source->session.regions.count; i++)
        pr_bitmap_close(&source->written[i]);
    free(source->written);
}

/* In the reverse order of pagerail_source_connect: the peer is told, then lanes, then windows. */
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
    free(source);
}
