/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small VMM for whole migrations in the simulator: two regions, one vCPU that goes on writing
 * pages in pieces, a dirty log that is exact to the store, and a count of writes for each page from
 * which every byte follows. Its device state is those counts.
 */
#ifndef PR_SIM_VMM_H
#define PR_SIM_VMM_H

#include "base/runtime.h"
#include "tests/sim/world.h"

#include <pagerail/migrate.h>

#define VMM_REGIONS 2
#define VMM_PAGES_MAX 128 /* of the larger region */

struct vmm {
    struct world *world;
    const char *name;
    struct pagerail_region regions[VMM_REGIONS];
    uint32_t counts[VMM_REGIONS][VMM_PAGES_MAX]; /* writes of each page: the model */
    uint8_t log[VMM_REGIONS][VMM_PAGES_MAX];     /* dirty log */
    bool logging;
    bool running, parked, over;
    uint64_t pause_ns; /* between two page writes */
    uint32_t throttle_percent;
    struct pr_thread *cpu;
    uint64_t writes;
};

/* fresh: all memory reads as zero; otherwise it holds random bytes. */
void vmm_open(struct vmm *vmm, struct world *world, const char *name, bool fresh);

/* Gives every page the contents of its count (0): half of them are zero. Source only. */
void vmm_fill(struct vmm *vmm);

/* Starts the vCPU's thread; the guest stands still until vmm_run. */
void vmm_start(struct vmm *vmm);
void vmm_run(struct vmm *vmm);
void vmm_stop(struct vmm *vmm); /* returns when no write is under way */

/* Ends the vCPU's thread, frees the memory. */
void vmm_close(struct vmm *vmm);

/* Fails the world's run at the first byte that is not what the model says. */
void vmm_verify(struct vmm *vmm, const char *when);

/* Dirty log, as struct pagerail_vmm_ops wants it. */
int64_t vmm_dirty_sync(struct vmm *vmm, uint32_t region, uint64_t first_page, uint64_t pages,
                       uint64_t *bits);

#endif
