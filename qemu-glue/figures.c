/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "figures.h"
#include "migration/migration.h"
#include "monitor.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"

static struct {
    QemuMutex lock;
    bool there, handed_over;
    struct pagerail_stats stats;
    uint64_t copy_ns;
    struct pagerail_handover handover;
} figures;

static void __attribute__((constructor)) figures_init(void)
{
    qemu_mutex_init(&figures.lock);
}

void rdma_figures_reset(void)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.there = figures.handed_over = false;
}

void rdma_figures_update(const struct pagerail_stats *stats)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.there = true;
    figures.stats = *stats;
}

void rdma_figures_downtime(uint64_t copy_ns, const struct pagerail_handover *handover)
{
    QEMU_LOCK_GUARD(&figures.lock);
    figures.handed_over = true;
    figures.copy_ns = copy_ns;
    figures.handover = *handover;
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
    if (rdma->has_load_time) {
        monitor_printf(mon,
                       "rdma downtime: last pages %" PRIu64 " us, load %" PRIu64
                       " us, resume %" PRIu64 " us\n",
                       rdma->copy_time, rdma->load_time, rdma->resume_time);
    }
}
