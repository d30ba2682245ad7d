/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The figures of the outgoing migration, for query-migrate. The migration thread hands them over as
 * a snapshot, so that the monitor may ask at any time, also when the session is gone.
 */
#ifndef PAGERAIL_GLUE_FIGURES_H
#define PAGERAIL_GLUE_FIGURES_H

#include <pagerail/transport.h>

/* Reading what each rail did takes system calls: so often it is done. */
#define RDMA_RAILS_PERIOD_NS (500 * 1000 * 1000)
#define RDMA_RAILS_MOST 16

/* A new migration: no figures yet. */
void rdma_figures_reset(void);

void rdma_figures_update(const struct pagerail_stats *stats);

/* Of each rail, now_ns by a steady clock; bandwidths are those since the last call. */
void rdma_figures_rails(const struct pagerail_rail *rails, unsigned count, int64_t now_ns);

/* The parts of the downtime: copy_ns is the source's. */
void rdma_figures_downtime(uint64_t copy_ns, const struct pagerail_handover *handover);

#endif
