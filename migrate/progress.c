/* SPDX-License-Identifier: BSD-2-Clause */
/* What the VMM's progress callback is told. */
#include "base/runtime.h"
#include "migrate/migration.h"

static void fill_source(struct pagerail_migration *m, struct pagerail_progress *p)
{
    pagerail_source_stats(m->source, &p->stats);
    p->round = m->round_count + 1;
    p->round_bytes = m->round_bytes;
    p->remaining_bytes = m->dirty.bytes + p->stats.pending_bytes;
    p->bandwidth_Bps = m->estimates.bandwidth_Bps;
    uint64_t ns = pr_now_ns() - m->round_start_ns;
    uint64_t sent = p->stats.bytes_sent - m->round_start.bytes_sent;
    if (!p->bandwidth_Bps && m->round_start_ns && ns)
        p->bandwidth_Bps = (uint64_t)((double)sent * 1e9 / (double)ns);
    p->dirty_rate_Bps = m->estimates.dirty_rate_Bps;
    p->predicted_downtime_ns = m->round_count ? m->predicted_ns : UINT64_MAX;
    struct pr_estimates now = m->estimates;
    now.bandwidth_Bps = p->bandwidth_Bps;
    p->eta_ns = pr_converge_eta_ns(&now, p->remaining_bytes);
    p->throttle_percent = m->throttle_percent;
}

void pr_progress_now(struct pagerail_migration *m)
{
    m->told_ns = pr_now_ns();
    if (!m->ops.progress)
        return;
    struct pagerail_progress progress = {
        .phase = m->phase,
        .total_bytes = m->total_bytes,
        .predicted_downtime_ns = UINT64_MAX,
        .eta_ns = UINT64_MAX,
    };
    if (m->source)
        fill_source(m, &progress);
    else if (m->destination)
        pagerail_destination_stats(m->destination, &progress.stats);
    m->ops.progress(m->vmm.opaque, &progress);
}

void pr_progress_sometimes(struct pagerail_migration *m)
{
    if (pr_now_ns() - m->told_ns >= (uint64_t)PR_PROGRESS_MS * 1000000)
        pr_progress_now(m);
}
