/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers for tests: seeded from PR_SEED or the clock, and the seed printed, so that a
 * failure can be run again. Not for threads: give each its own generator. */
#ifndef PR_TESTS_SEED_H
#define PR_TESTS_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct seeded {
    uint64_t state;
};

/* Call once a test program. */
static inline struct seeded seeded_start(void)
{
    const char *chosen = getenv("PR_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : (uint64_t)time(NULL);
    printf("# PR_SEED=%" PRIu64 "\n", seed);
    return (struct seeded){seed};
}

/* splitmix64 */
static inline uint64_t seeded_next(struct seeded *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 to below - 1 */
static inline uint64_t seeded_below(struct seeded *random, uint64_t below)
{
    return seeded_next(random) % below;
}

#endif
