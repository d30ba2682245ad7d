/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: what the caller hands over, epoch by epoch, and the figures about it. */
#include "base/error.h"
#include "transport/mark.h"
#include "transport/source.h"

#include <errno.h>
#include <string.h>

static int check_open(struct pagerail_source *source)
{
    int err = pr_source_check(source);
    if (!err && atomic_load(&source->fenced))
        err = pr_error(EINVAL, "the fence has closed the last epoch");
    return err;
}

static int check_range(struct pagerail_source *source, uint32_t region, uint64_t offset,
                       uint64_t len)
{
    int err = check_open(source);
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

static void hand_over(struct pagerail_source *source, uint64_t bytes)
{
    pthread_mutex_lock(&source->books);
    source->handed_bytes += bytes;
    pthread_mutex_unlock(&source->books);
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
    hand_over(source, len);
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
    hand_over(source, dirty_pages * page);
    if (page > chunk_bytes(source))
        return push_large_pages(source, region, offset, pages, page, bits);
    struct pr_chunk whole = {
        .kind = PR_CHUNK_DIRTY, .region = region, .offset = offset, .len = len, .bits = bits};
    return push_chunks(source, whole, page);
}

PAGERAIL_API int pagerail_source_epoch_end(pagerail_source *source, uint64_t *epoch)
{
    int err = check_open(source);
    if (err)
        return err;
    /* Counted first: its acknowledgement may come before the last worker was told. */
    uint64_t number = atomic_fetch_add(&source->epochs, 1) + 1;
    err = pr_crew_epoch_end(&source->crew, number);
    if (err)
        return err;
    pthread_mutex_lock(&source->books);
    source->ended_bytes = source->handed_bytes;
    pthread_mutex_unlock(&source->books);
    if (epoch)
        *epoch = number;
    return 0;
}

struct epoch_wait {
    struct pagerail_source *source;
    uint64_t epoch;
};

/* Acknowledged, and in the statistics. */
static bool epoch_over(void *opaque)
{
    struct epoch_wait *wait = opaque;
    return atomic_load(&wait->source->crew.work.acked_epoch) >= wait->epoch &&
           pr_crew_settled(&wait->source->crew, wait->epoch);
}

/* dirty_pages may have been too high: from here on it is known what was really sent. */
static void settle(struct pagerail_source *source)
{
    uint64_t done_bytes = pr_crew_counts(&source->crew).settled_bytes;
    pthread_mutex_lock(&source->books);
    source->settled_handed_bytes = source->ended_bytes;
    source->settled_done_bytes = done_bytes;
    pthread_mutex_unlock(&source->books);
}

PAGERAIL_API int pagerail_source_epoch_wait(pagerail_source *source, uint64_t epoch, int timeout_ms)
{
    int err = pr_source_check(source);
    if (!err && (!epoch || epoch > source->epochs))
        err = pr_error(EINVAL, "that epoch has not ended yet");
    if (err)
        return err;
    struct epoch_wait wait = {source, epoch};
    err = pr_session_wait(&source->session, epoch_over, &wait, pr_deadline_after_ms(timeout_ms));
    if (!err && epoch == source->epochs)
        settle(source);
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
    atomic_store(&source->fenced, true);
    err = pr_session_write(&source->session, mark, sizeof(mark), -1);
    if (!err && epoch)
        *epoch = closed;
    return err;
}

/* What was handed over since the last settlement, less what was done since. */
static uint64_t pending_bytes(struct pagerail_source *source, uint64_t done_bytes)
{
    pthread_mutex_lock(&source->books);
    uint64_t handed = source->handed_bytes - source->settled_handed_bytes;
    uint64_t settled = source->settled_done_bytes;
    pthread_mutex_unlock(&source->books);
    uint64_t done = done_bytes > settled ? done_bytes - settled : 0;
    return handed > done ? handed - done : 0;
}

static bool all_registered(void *opaque)
{
    struct pagerail_source *source = opaque;
    return atomic_load(&source->windows.ready_bytes) == source->session.regions.total_bytes;
}

PAGERAIL_API int pagerail_source_registered_wait(pagerail_source *source, int timeout_ms)
{
    int err = pr_source_check(source);
    if (err)
        return err;
    uint64_t total = source->session.regions.total_bytes, budget = source->windows.budget_bytes;
    if (budget < total)
        return pr_error(EINVAL,
                        "the guest has %llu MiB and a pin budget allows %llu: raise it on both "
                        "sides, or let memory be registered as it is sent",
                        (unsigned long long)(total >> 20), (unsigned long long)(budget >> 20));
    err = pr_windows_prefetch_all(&source->windows);
    if (err)
        return err;
    return pr_session_wait(&source->session, all_registered, source,
                           pr_deadline_after_ms(timeout_ms));
}

struct pending_wait {
    struct pagerail_source *source;
    uint64_t at_most_bytes;
};

static bool little_pending(void *opaque)
{
    struct pending_wait *wait = opaque;
    struct pr_crew_counts counts = pr_crew_counts(&wait->source->crew);
    uint64_t done = counts.bytes_sent + counts.zero_pages * PAGERAIL_PAGE_BYTES;
    return pending_bytes(wait->source, done) <= wait->at_most_bytes;
}

PAGERAIL_API int pagerail_source_pending_wait(pagerail_source *source, uint64_t at_most_bytes,
                                              int timeout_ms)
{
    int err = pr_source_check(source);
    if (err)
        return err;
    struct pending_wait wait = {source, at_most_bytes};
    return pr_crew_wait(&source->crew, little_pending, &wait, pr_deadline_after_ms(timeout_ms));
}

PAGERAIL_API void pagerail_source_stats(pagerail_source *source, struct pagerail_stats *out)
{
    struct pr_session *session = &source->session;
    *out = (struct pagerail_stats){.fabric = "none"};
    if (!atomic_load(&source->connected)) /* then nothing below may be looked at */
        return;
    struct pr_crew_counts counts = pr_crew_counts(&source->crew);
    uint64_t first_ns = atomic_load(&source->crew.work.first_done_ns);
    *out = (struct pagerail_stats){
        .bytes_sent = counts.bytes_sent,
        .writes = counts.writes,
        .pages_sent = counts.bytes_sent / PAGERAIL_PAGE_BYTES,
        .zero_pages = counts.zero_pages,
        .pending_bytes =
            pending_bytes(source, counts.bytes_sent + counts.zero_pages * PAGERAIL_PAGE_BYTES),
        .epoch = atomic_load(&source->crew.work.acked_epoch),
        .registered_bytes = atomic_load(&source->windows.registered_bytes),
        .registration_ns = atomic_load(&source->windows.cost.ns),
        .stream_bytes = atomic_load(&session->out.sent),
        .rtt_ns = atomic_load(&session->rtt_ns),
        .cpu_ns = counts.cpu_ns + atomic_load(&source->windows.cost.cpu_ns) +
                  atomic_load(&session->control_cpu_ns),
        .first_write_ns = first_ns ? first_ns - source->called_ns : 0,
        .lanes = session->lanes,
        .rail_state = (uint32_t)atomic_load(&session->fabric->rail_state),
        .fabric = session->fabric->name,
    };
}

PAGERAIL_API int pagerail_source_rail(pagerail_source *source, uint32_t index,
                                      struct pagerail_rail *out)
{
    struct pr_session *session = &source->session;
    if (!atomic_load(&source->connected) || index > 0)
        return pr_error(ENOENT, "the session has no rail %u", index);
    struct pr_rail rail;
    pr_fabric_rail(session->fabric, &rail);
    *out = (struct pagerail_rail){
        .state = (uint32_t)atomic_load(&session->fabric->rail_state),
        .lanes = session->lanes,
        .bytes_sent = pr_crew_counts(&source->crew).bytes_sent,
        .retries = rail.retries,
    };
    memcpy(out->name, rail.name, sizeof(out->name));
    return 0;
}
