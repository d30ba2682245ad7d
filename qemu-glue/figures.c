/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "figures.h"
#include "migration/migration.h"
#include "migration/ram.h"
#include "monitor.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"

static struct {
    QemuMutex lock;
    bool there, handed_over;
    struct pagerail_stats stats;
    uint64_t copy_ns;
    struct pagerail_handover handover;
    struct rail {
        struct pagerail_rail now;
        uint64_t bandwidth; /* bytes a second */
    } rails[RDMA_RAILS_MOST];
    unsigned rail_count;
    int64_t rails_ns;
} figures;

static void __attribute__((constructor)) figures_init(void)
{
    qemu_mutex_init(&figures.lock);
}

void rdma_figures_reset(void)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.there = figures.handed_over = false;
    figures.rail_count = 0;
}

void rdma_figures_update(const struct pagerail_stats *stats)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.there = true;
    figures.stats = *stats;
}

void rdma_figures_rails(const struct pagerail_rail *rails, unsigned count, int64_t now_ns)
{
    QEMU_LOCK_GUARD(&figures.lock);
    int64_t ns = now_ns - figures.rails_ns;
    bool again = figures.rail_count == count && ns > 0;

    for (unsigned i = 0; i < count; i++) {
        struct rail *rail = &figures.rails[i];
        uint64_t bytes = again ? rails[i].bytes_sent - rail->now.bytes_sent : 0;

        rail->bandwidth = again ? (double)bytes * NANOSECONDS_PER_SECOND / ns : 0;
        rail->now = rails[i];
    }
    figures.rail_count = count;
    figures.rails_ns = now_ns;
}

void rdma_figures_downtime(uint64_t copy_ns, const struct pagerail_handover *handover)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.handed_over = true;
    figures.copy_ns = copy_ns;
    figures.handover = *handover;
}

static RdmaRail *rail_locked(const struct rail *rail)
{
    RdmaRail *out = g_new0(RdmaRail, 1);

    *out = (RdmaRail){
        .name = g_strdup(rail->now.name),
        .state = MIN(rail->now.state, RDMA_RAIL_STATE_FAILED),
        .lanes = rail->now.lanes,
        .bytes = rail->now.bytes_sent,
        .bandwidth = rail->bandwidth,
        .retries = rail->now.retries,
    };
    return out;
}

static void fill_rails_locked(RdmaStats *out)
{
    RdmaRailList **tail = &out->rails;

    for (unsigned i = 0; i < figures.rail_count; i++) {
        QAPI_LIST_APPEND(tail, rail_locked(&figures.rails[i]));
    }
}

/* Two round trips: from the last page to ready, and from the release until the guest runs. */
static void predict_locked(RdmaStats *out)
{
    uint64_t left = ram_bytes_remaining() + figures.stats.pending_bytes, bandwidth = 0;

    for (unsigned i = 0; i < figures.rail_count; i++) {
        bandwidth += figures.rails[i].bandwidth;
    }
    out->has_predicted_downtime = bandwidth && !figures.handed_over;
    if (out->has_predicted_downtime) {
        out->predicted_downtime = (double)left * (NANOSECONDS_PER_SECOND / SCALE_US) / bandwidth +
                                  2 * figures.stats.rtt_ns / SCALE_US;
    }
}

static RdmaStats *figures_locked(void)
{
    const struct pagerail_stats *stats = &figures.stats;
    RdmaStats *out = g_new0(RdmaStats, 1);

    *out = (RdmaStats){
        .fabric = g_strdup(stats->fabric),
        .lanes = stats->lanes,
        .bytes = stats->bytes_sent,
        .writes = stats->writes,
        .zero_pages = stats->zero_pages,
        .pending_bytes = stats->pending_bytes,
        .registered_bytes = stats->registered_bytes,
        .registration_time = stats->registration_ns / SCALE_US,
        .stream_bytes = stats->stream_bytes,
        .round_trip = stats->rtt_ns / SCALE_US,
        .cpu_time = stats->cpu_ns / SCALE_US,
        .has_copy_time = figures.handed_over,
        .copy_time = figures.copy_ns / SCALE_US,
        .has_load_time = figures.handed_over,
        .load_time = figures.handover.load_ns / SCALE_US,
        .has_resume_time = figures.handed_over,
        .resume_time = figures.handover.resume_ns / SCALE_US,
    };
    fill_rails_locked(out);
    predict_locked(out);
    return out;
}

void rdma_info_fill(MigrationInfo *info)
{
    QEMU_LOCK_GUARD(&figures.lock);
    if (figures.there && migrate_get_current()->rdma_migration) {
        info->rdma = figures_locked();
    }
}

void rdma_info_print(Monitor *mon, const MigrationInfo *info)
{
    const RdmaStats *rdma = info->rdma;
    g_autofree char *bytes = NULL, *registered = NULL;

    if (!rdma) {
        return;
    }
    bytes = size_to_str(rdma->bytes);
    registered = size_to_str(rdma->registered_bytes);
    monitor_printf(mon,
                   "rdma: %s over %u lanes in %" PRIu64 " writes, fabric %s, %s registered, "
                   "round trip %" PRIu64 " us, %" PRIu64 " ms of processor time\n",
                   bytes, rdma->lanes, rdma->writes, rdma->fabric, registered, rdma->round_trip,
                   rdma->cpu_time / 1000);
    for (const RdmaRailList *at = rdma->rails; at; at = at->next) {
        monitor_printf(mon,
                       "rdma rail %s: %s, %u lanes, %" PRIu64 " MiB, %" PRIu64 " MiB/s, %" PRIu64
                       " retries\n",
                       at->value->name, RdmaRailState_str(at->value->state), at->value->lanes,
                       at->value->bytes / MiB, at->value->bandwidth / MiB, at->value->retries);
    }
    if (rdma->has_predicted_downtime) {
        monitor_printf(mon, "rdma predicted downtime: %" PRIu64 " ms\n",
                       rdma->predicted_downtime / 1000);
    }
    if (rdma->has_load_time) {
        monitor_printf(mon,
                       "rdma downtime: last pages %" PRIu64 " us, load %" PRIu64
                       " us, resume %" PRIu64 " us\n",
                       rdma->copy_time, rdma->load_time, rdma->resume_time);
    }
}
