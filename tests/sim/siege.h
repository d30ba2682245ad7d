/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A siege: one side of a migration is the library with its VMM, the other one a foe
 * (tests/hostile/foe.h). What must hold whatever the foe does:
 *
 *   - the library's side ends, soon after the foe has gone quiet, and says why in one sentence;
 *   - it ends with what the deed's row says (tests/hostile/deeds.h);
 *   - as a source it has its guest, running and every byte of it right, unless the foe was sent the
 *     release; as a destination it never runs a guest that the foe did not release;
 *   - no byte outside of the guest's regions changes;
 *   - it keeps to the protocol itself, and to the foe's receive buffers;
 *   - what it allocates does not grow with what the foe sends;
 *   - nothing is left open: lanes, windows, descriptors (the fabric and the world check that).
 */
#ifndef PR_SIM_SIEGE_H
#define PR_SIM_SIEGE_H

#include "tests/hostile/deeds.h"
#include "tests/sim/fabric.h"
#include "tests/sim/vmm.h"

#include <pagerail/migrate.h>

struct siege {
    /* Set before the run. */
    enum foe_role role; /* the foe's */
    const struct deed *deed;
    unsigned strike_at;

    /* The run's. */
    struct world *world;
    struct sim_net net;
    struct foe foe;
    int foe_err;
    char foe_words[256];
    struct vmm vmm;  /* the library's, as source */
    uint8_t *ground; /* the library's, as destination: regions between guards */
    struct pagerail_region regions[VMM_REGIONS];
    pagerail_migration *migration;
    struct pagerail_outcome outcome;
    bool listening, ended, foe_ended, ran, tired;
    uint64_t strike_ns, foe_end_ns, end_ns;
    uint64_t heap_before, heap_most; /* of a flood */
};

/* Values of the verdict. SIEGE_FIRST + p: the first moment of phase p, 0 if it never came. */
enum { SIEGE_MOMENTS, SIEGE_STRUCK, SIEGE_ERROR, SIEGE_FIRST };

/* Runs it in a forked child. */
bool siege_run(struct siege *siege, uint64_t seed, struct world_verdict *verdict);

#endif
