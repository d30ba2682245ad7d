/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joins a synthetic guest to <pagerail/migrate.h>: its memory, its writes, its state. One such
 * object lives through a whole `pagerail guest`; its parts are there for the command to look at.
 *
 * The device state is a header (magic, two lengths), the guest's state (guest_state.h), and what
 * the source knows about the migration so far (outcome.h), for the destination's --json.
 */
#ifndef PR_CLI_GUEST_VMM_H
#define PR_CLI_GUEST_VMM_H

#include "cli/guest.h"
#include "cli/guest_options.h"
#include "cli/outcome.h"
#include "cli/progress.h"
#include "cli/tracker.h"

#include <pagerail/migrate.h>

struct pr_guest_vmm {
    const struct pr_guest_options *options;
    struct pr_guest_memory memory;
    struct pagerail_region regions[PR_GUEST_REGIONS];
    struct pr_guest *guest;     /* a destination's comes with the device state; NULL until then */
    struct pr_tracker *tracker; /* source only */
    pagerail_migration *migration;
    struct pr_progress progress;
    struct pr_outcome *outcome;
    uint64_t stopped_ns;   /* destination: when the source stopped the guest, by our clock; 0 = not
                              known */
    uint64_t cpu_start_ns; /* of the migration's thread, when the migration began */
};

/* Maps the memory and, but for a destination, makes the guest and fills it. On an error the object
 * is closed again. */
int pr_guest_vmm_open(struct pr_guest_vmm *vmm, const struct pr_guest_options *options,
                      struct pr_outcome *outcome);

/* Makes the idle migration, and at the source what finds the writes. */
int pr_guest_vmm_prepare(struct pr_guest_vmm *vmm);

void pr_guest_vmm_close(struct pr_guest_vmm *vmm);

/* Processor seconds of the migration: the library's threads, and the calling thread since
 * cpu_start_ns. */
double pr_guest_vmm_cpu_s(const struct pr_guest_vmm *vmm, const struct pagerail_stats *stats);

/* Takes the guest's own figures over; the guest stands still. */
void pr_guest_vmm_figures(struct pr_guest_vmm *vmm);

/* Takes the migration's rounds over: from the `save` callback, or when it has ended. */
void pr_guest_vmm_rounds(struct pr_guest_vmm *vmm);

#endif
