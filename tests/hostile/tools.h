/* SPDX-License-Identifier: BSD-2-Clause */
/* What deeds are made of. */
#ifndef PR_TESTS_HOSTILE_TOOLS_H
#define PR_TESTS_HOSTILE_TOOLS_H

#include "tests/hostile/foe.h"

/* Longer than anything takes from one side to the other in these tests: what was shouted on one
 * lane has been heard before the foe goes on on another. */
#define TOOL_ARRIVAL_MS 50

/* A data lane, or any. */
unsigned tool_data_lane(struct foe *foe);
unsigned tool_any_lane(struct foe *foe);

/* Shouts a message with legal random values. */
int tool_shout_sample(struct foe *foe, unsigned lane, unsigned type);

/* The same, bytes changed. */
int tool_shout_mutation(struct foe *foe);

/* A message on the lane where it belongs, with values that could just be right in this session:
 * regions, windows and epochs that there are, or nearly. */
int tool_shout_near_sample(struct foe *foe);

/* Answers pings, and nothing else, until the library ends the session. */
int tool_linger(struct foe *foe);

#endif
