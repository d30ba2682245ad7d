/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Phase "precopy": rounds while the guest runs.
 *
 * READ AFTER CLEAR. A page's entry in the dirty log is cleared by dirty_sync, which re-arms the
 * tracking of that page, and only afterwards are its bits pushed, so only afterwards does a worker
 * read it. A store that comes between is in the log again and the page goes out once more
 * (invariant 1 of docs/architecture.md).
 */
#include "base/fault.h"
#include "base/runtime.h"
#include "migrate/migration.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Handed over at once in the first round. */
#define PUSH_BYTES (UINT64_C(64) << 20)

/* Fewer bytes say nothing about the bandwidth. */
#define MEASURABLE_BYTES (UINT64_C(1) << 20)

int pr_precopy_track(struct pagerail_migration *m)
{
    int err = pr_pool_open(&m->pool, m->options.registration_threads, "pr-dirty");
    if (!err)
        err = pr_dirty_open(&m->dirty, &m->vmm, &m->ops);
    if (!err)
        err = pr_callback_result("dirty_start", m->ops.dirty_start(m->vmm.opaque));
    if (err)
        return err;
    m->tracking = true;
    m->log_since_ns = pr_now_ns();
    m->dirty.bytes = m->total_bytes;
    return PR_STATE_ROUND;
}

/* In pieces: a push waits for the link once the workers' queues are full, and somebody may watch.
 */
static int push_region(struct pagerail_migration *m, uint32_t r)
{
    uint64_t len = m->vmm.regions[r].len_bytes;
    int err = 0;
    for (uint64_t at = 0; at < len && !err; at += PUSH_BYTES) {
        uint64_t left = len - at, piece = left < PUSH_BYTES ? left : PUSH_BYTES;
        err = pagerail_source_push(m->source, r, at, piece);
        m->dirty.bytes -= piece;
        pr_progress_sometimes(m);
    }
    return err;
}

static int push_everything(struct pagerail_migration *m)
{
    int err = 0;
    for (uint32_t r = 0; r < m->vmm.region_count && !err; r++)
        err = push_region(m, r);
    return err;
}

static int push_dirty(struct pagerail_migration *m)
{
    int err = 0;
    for (uint64_t i = 0; i < m->dirty.range_count && !err; i++) {
        err = pr_dirty_push(&m->dirty, i, m->source);
        pr_progress_sometimes(m);
    }
    return err;
}

int pr_precopy_push(struct pagerail_migration *m)
{
    m->round_bytes = m->dirty.bytes;
    m->round_start_ns = pr_now_ns();
    pagerail_source_stats(m->source, &m->round_start);
    return m->round_count ? push_dirty(m) : push_everything(m);
}

static int send_round(struct pagerail_migration *m)
{
    uint64_t epoch;
    int err = pr_precopy_push(m);
    if (!err)
        err = pagerail_source_epoch_end(m->source, &epoch);
    if (err)
        return err;
    while ((err = pagerail_source_epoch_wait(m->source, epoch, PR_PROGRESS_MS)) == -EAGAIN)
        pr_progress_sometimes(m);
    return err;
}

static int read_log(struct pagerail_migration *m, struct pagerail_round *round)
{
    uint64_t start = pr_now_ns();
    int err = pr_dirty_sync(&m->dirty, m->pool);
    m->estimates.sync_ns = pr_now_ns() - start;
    if (!m->least_sync_ns || m->estimates.sync_ns < m->least_sync_ns)
        m->least_sync_ns = m->estimates.sync_ns;
    /* From read to read: the round itself is only a part of that. */
    uint64_t since_ns = start - m->log_since_ns;
    m->log_since_ns = start;
    round->dirty_bytes = m->dirty.bytes;
    round->dirty_rate_Bps =
        since_ns ? (uint64_t)((double)m->dirty.bytes * 1e9 / (double)since_ns) : 0;
    m->estimates.dirty_rate_Bps = round->dirty_rate_Bps;
    return err;
}

static void measure(struct pagerail_migration *m, struct pagerail_round *round)
{
    struct pagerail_stats now;
    pagerail_source_stats(m->source, &now);
    uint64_t ns = pr_now_ns() - m->round_start_ns;
    *round = (struct pagerail_round){
        .bytes = now.bytes_sent - m->round_start.bytes_sent,
        .pages = now.pages_sent - m->round_start.pages_sent,
        .zero_pages = now.zero_pages - m->round_start.zero_pages,
        .duration_ns = ns,
        .throttle_percent = m->throttle_percent,
    };
    round->bandwidth_Bps = ns ? (uint64_t)((double)round->bytes * 1e9 / (double)ns) : 0;
    if (round->bytes >= MEASURABLE_BYTES || !m->estimates.bandwidth_Bps) {
        m->bandwidth_before_Bps = m->estimates.bandwidth_Bps;
        m->estimates.bandwidth_Bps = round->bandwidth_Bps;
    }
    m->estimates.rtt_ns = now.rtt_ns;
}

static int record(struct pagerail_migration *m, const struct pagerail_round *round)
{
    if (m->round_count == m->round_room) {
        uint32_t room = m->round_room ? m->round_room * 2 : 16;
        struct pagerail_round *more = realloc(m->rounds, room * sizeof(*more));
        if (!more)
            return pr_error(ENOMEM, "no memory for the list of rounds");
        m->rounds = more;
        m->round_room = room;
    }
    m->rounds[m->round_count++] = *round;
    return 0;
}

static uint64_t budget_ns(const struct pagerail_migration *m)
{
    return (uint64_t)m->options.downtime_budget_ms * 1000000;
}

/* The downtime with nothing left to copy. */
static uint64_t fixed_ns(const struct pagerail_migration *m)
{
    const struct pr_estimates idle = {.sync_ns = m->least_sync_ns, .rtt_ns = m->estimates.rtt_ns};
    return pr_converge_downtime_ns(&idle, 0);
}

static uint64_t careful_ns(const struct pagerail_migration *m)
{
    struct pr_estimates slower = m->estimates;
    if (m->bandwidth_before_Bps && m->bandwidth_before_Bps < slower.bandwidth_Bps)
        slower.bandwidth_Bps = m->bandwidth_before_Bps;
    return pr_converge_downtime_ns(&slower, m->dirty.bytes);
}

static int stalled(struct pagerail_migration *m)
{
    if (m->options.on_stall == PAGERAIL_STALL_FORCE)
        return PR_STATE_STOP;
    if (fixed_ns(m) > budget_ns(m))
        return pr_error(EBUSY,
                        "with nothing left to copy, stopping the guest would still cost %" PRIu64
                        " ms (reading its dirty log %" PRIu64 ", round trips %" PRIu64
                        "), and the budget is %u ms: raise the budget or force it",
                        fixed_ns(m) / 1000000, m->least_sync_ns / 1000000,
                        2 * m->estimates.rtt_ns / 1000000, m->options.downtime_budget_ms);
    return pr_error(
        EBUSY,
        "the guest dirties %" PRIu64 " MB/s and the link carries %" PRIu64
        " MB/s: after %u rounds with the guest slowed by %u%%, stopping it would cost %" PRIu64
        " ms and the budget is %u ms: raise the budget, add lanes, or force it",
        m->estimates.dirty_rate_Bps / 1000000, m->estimates.bandwidth_Bps / 1000000, m->round_count,
        m->throttle_percent, m->predicted_ns / 1000000, m->options.downtime_budget_ms);
}

static int throttle(struct pagerail_migration *m)
{
    assert(m->ops.throttle); /* without it the limit is 0 and converge never asks */
    m->throttle_percent =
        pr_converge_throttle(m->throttle_percent, m->options.max_throttle_percent);
    int err = pr_callback_result("throttle", m->ops.throttle(m->vmm.opaque, m->throttle_percent));
    return err ? err : PR_STATE_ROUND;
}

static int decide(struct pagerail_migration *m)
{
    struct pr_converge_input input = {
        .rounds = m->round_count,
        .max_rounds = m->options.max_rounds,
        .sent_bytes = m->round_bytes,
        .remaining_bytes = m->dirty.bytes,
        .next_bytes = pr_converge_next_bytes(&m->estimates, m->dirty.bytes),
        .predicted_ns = m->predicted_ns,
        .careful_ns = careful_ns(m),
        .fixed_ns = fixed_ns(m),
        .budget_ns = budget_ns(m),
        .throttle_percent = m->throttle_percent,
        .max_throttle_percent = m->ops.throttle ? m->options.max_throttle_percent : 0,
    };
    /* For tests that need a pre-copy which lasts. */
    if (pr_fault("precopy.forever"))
        return PR_STATE_ROUND;
    switch (pr_converge_judge(&input)) {
    case PR_VERDICT_SWITCHOVER:
        return PR_STATE_STOP;
    case PR_VERDICT_THROTTLE:
        return throttle(m);
    case PR_VERDICT_STALL:
        return stalled(m);
    case PR_VERDICT_ROUND:
        break;
    }
    return PR_STATE_ROUND;
}

/* For the test of invariant 1: the log is cleared after the pages were read. */
static int forget_what_came_meanwhile(struct pagerail_migration *m)
{
    int err = pr_dirty_sync(&m->dirty, m->pool);
    for (uint32_t r = 0; r < m->vmm.region_count; r++) {
        for (uint64_t i = 0; i < pr_bits_words(m->dirty.bitmaps[r].pages); i++)
            pr_bitmap_take(&m->dirty.bitmaps[r], i, UINT64_MAX);
    }
    return err;
}

int pr_precopy_round(struct pagerail_migration *m)
{
    struct pagerail_round round;
    m->round_bytes = m->dirty.bytes;
    pr_progress_now(m);
    int err = send_round(m);
    if (!err && pr_fault("dirty.clear_late"))
        err = forget_what_came_meanwhile(m);
    if (err)
        return err;
    measure(m, &round);
    err = read_log(m, &round);
    m->predicted_ns = pr_converge_downtime_ns(&m->estimates, m->dirty.bytes);
    round.predicted_downtime_ns = m->predicted_ns;
    if (!err)
        err = record(m, &round);
    return err ? err : decide(m);
}
