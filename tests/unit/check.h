/* SPDX-License-Identifier: BSD-2-Clause */
/* cmocka with the headers that it wants in front of it, and what many unit tests share. */
#ifndef PR_TESTS_UNIT_CHECK_H
#define PR_TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* After the four above: cmocka.h needs them and does not include them. */
#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Numbers drawn from a seed (splitmix64). */
struct draw {
    uint64_t state;
};

/* Seeds from PAGERAIL_TEST_SEED, or from `standard`; prints the seed so that a failure can be
 * repeated. */
static inline struct draw draw_open(uint64_t standard)
{
    const char *chosen = getenv("PAGERAIL_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : standard;
    print_message("seed: PAGERAIL_TEST_SEED=%llu\n", (unsigned long long)seed);
    return (struct draw){seed};
}

static inline uint64_t draw_u64(struct draw *draw)
{
    uint64_t z = draw->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to below - 1. */
static inline uint64_t draw_below(struct draw *draw, uint64_t below)
{
    return draw_u64(draw) % below;
}

#endif
