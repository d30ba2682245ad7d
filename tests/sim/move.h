/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole migration in the simulator, and what must hold of it whatever happens:
 *
 *   - a side that has the guest finds every byte as the model says, and goes on writing;
 *   - the guest never runs on both sides, and where it ran and was not handed over, it runs on;
 *   - a side whose peer died, froze or was cut off ends within MOVE_PATIENCE_MS with a sentence;
 *   - bytes counted as sent have arrived;
 *   - nothing is left open (the fabric checks that).
 */
#ifndef PR_SIM_MOVE_H
#define PR_SIM_MOVE_H

#include "tests/sim/fabric.h"
#include "tests/sim/vmm.h"

#include <pagerail/migrate.h>

#define MOVE_PATIENCE_MS 5000

enum { MOVE_SOURCE, MOVE_DESTINATION };

/* What strikes, at the step given in struct move. */
enum move_blow {
    MOVE_NO_BLOW,
    MOVE_KILL_SOURCE,
    MOVE_KILL_DESTINATION,
    MOVE_FREEZE_SOURCE,
    MOVE_FREEZE_DESTINATION,
    MOVE_CUT,
    MOVE_CANCEL_SOURCE,
    MOVE_CANCEL_DESTINATION,
    MOVE_BLOWS
};

const char *move_blow_name(enum move_blow blow);

struct move_side {
    struct vmm vmm;
    pagerail_migration *migration;
    struct pagerail_outcome outcome;
    struct pr_thread *user;
    bool cancel; /* asks the user to cancel */
    bool ended;  /* send or receive has returned */
    uint64_t ended_ns;
    bool may_run; /* the VMM was told to run the guest and not to stop it */
};

struct move {
    /* Set before the run. */
    struct sim_net net;
    bool draw_net; /* net is drawn from the seed */
    struct pagerail_options options;
    bool fresh; /* the destination's memory reads as zero */
    enum move_blow blow;
    uint64_t blow_step;
    const char *faults; /* armed in the run; NULL = none */
    bool must_complete; /* an end other than completed fails the run */

    /* The run's. */
    struct world *world;
    struct move_side side[2];
    bool listening;
    uint64_t blow_ns; /* 0 = it has not struck */
    bool tired;       /* the destination was cancelled since no source ever came */
};

/* Values of the verdict. */
enum { MOVE_VALUE_STEPS, MOVE_VALUE_PHASE, MOVE_VALUE_ROUNDS, MOVE_VALUE_BLOW_NS };

/* A move that fits most tests. */
struct move move_typical(void);

/* Runs it in a forked child. */
bool move_run(struct move *move, uint64_t seed, struct world_verdict *verdict);

#endif
