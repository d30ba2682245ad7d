/* SPDX-License-Identifier: BSD-2-Clause */
/* Two sides joined by lanes, for the tests of the simulated fabric. */
#ifndef PR_SIM_PAIR_H
#define PR_SIM_PAIR_H

#include "tests/sim/fabric.h"

#define PAIR_LANES_MAX 4
#define PAIR_BYTES 65536

enum { SRC, DST };

/* Both sides run in one process, so each may look at the other's memory: that is how the tests see
 * what a side cannot know yet. */
struct pair {
    struct sim_net net;
    unsigned lane_count;
    void (*run[2])(struct world *world,
                   struct pair *pair); /* after all is connected; may be NULL */
    bool ends_alone;                   /* a side does not wait for the other before it closes */

    struct pr_event up, connected; /* dst listens; src has its lanes */
    struct pr_event done[2];
    struct pr_fabric *fabric[2];
    struct pr_listener *listener;
    struct pr_lane *lanes[2][PAIR_LANES_MAX];
    struct pr_mr *mr[2]; /* over bytes[side]; remote write and read allowed */
    uint8_t *bytes[2];
    uint64_t number; /* for the test's own use */
};

/* Runs it under a seed; fills *out. begin may be NULL. */
bool pair_run(struct pair *pair, uint64_t seed, world_fn begin, struct world_verdict *out);

/* A transfer of [from, from + len) to the same place at the peer. */
struct pr_rma pair_rma(struct pair *pair, uint64_t from, uint64_t len, uint64_t tag, bool signaled);

/* Waits, as the transport would (arm, then the descriptor), for one completion. Returns 1, or the
 * lane's error. */
int pair_wait(struct pr_lane *lane, struct pr_completion *out);

/* The same until the lane fails; counts what came before. */
int pair_wait_failure(struct pr_lane *lane, unsigned *completions);

/* pair_wait that fails the run unless it is this operation. */
struct pr_completion pair_expect(struct world *world, struct pr_lane *lane, enum pr_op op);

/* Posts a signalled write and flushes it. */
void pair_write(struct world *world, struct pair *pair, unsigned lane, uint64_t from, uint64_t len);
void pair_send(struct world *world, struct pr_lane *lane, const char *text);

#endif
