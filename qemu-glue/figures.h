/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The figures of the outgoing migration, for query-migrate. The migration thread hands them over as
 * a snapshot, so that the monitor may ask at any time, also when the session is gone.
 */
#ifndef PAGERAIL_GLUE_FIGURES_H
#define PAGERAIL_GLUE_FIGURES_H

#include <pagerail/transport.h>

/* A new migration: no figures yet. */
void rdma_figures_reset(void);

void rdma_figures_update(const struct pagerail_stats *stats);

/* The parts of the downtime: copy_ns is the source's. */
void rdma_figures_downtime(uint64_t copy_ns, const struct pagerail_handover *handover);

#endif
