/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zipf by rejection-inversion. A rank is drawn from the continuous law with density ~ 1/x on
 * [1/2, pages + 1/2) by inverting its distribution, x = 2^(u * log2(2 pages + 1)) / 2, and rounded:
 * rank k then comes with probability ~ ln((2k+1)/(2k-1)), a little more than the 1/k wanted. The
 * surplus is rejected for the first ranks; from the ninth on it is below 0.1 % and stays.
 */
#include "cli/guest_pattern.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

static const char *const names[PR_GUEST_PATTERNS] = {
    [PR_GUEST_SEQ] = "seq",   [PR_GUEST_UNIFORM] = "uniform",     [PR_GUEST_HOT] = "hot",
    [PR_GUEST_ZIPF] = "zipf", [PR_GUEST_ALTERNATE] = "alternate", [PR_GUEST_ZEROING] = "zeroing",
};

const char *pr_guest_pattern_name(enum pr_guest_pattern pattern)
{
    return (unsigned)pattern < PR_GUEST_PATTERNS ? names[pattern] : NULL;
}

bool pr_guest_pattern_find(const char *name, enum pr_guest_pattern *out)
{
    for (unsigned i = 0; i < PR_GUEST_PATTERNS; i++) {
        if (!strcmp(name, names[i])) {
            *out = (enum pr_guest_pattern)i;
            return true;
        }
    }
    return false;
}

/* SplitMix64: a counter, mixed. */
static inline uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to count - 1, from the upper half of a drawn number. */
static inline uint64_t scale(uint64_t drawn, uint64_t count)
{
    return ((drawn >> 32) * count) >> 32;
}

#define EXP_BITS 10

/* 2^(i / 1024) with 31 fraction bits. */
static uint64_t exp2_table[(1u << EXP_BITS) + 1];

/* Only square roots and products of two: IEEE 754 rounds both the same way everywhere. */
static void exp2_table_fill(void)
{
    double root[EXP_BITS];
    double value = 2.0;
    for (unsigned j = 0; j < EXP_BITS; j++)
        root[j] = value = sqrt(value);
    for (unsigned i = 0; i < 1u << EXP_BITS; i++) {
        value = 1.0;
        for (unsigned j = 0; j < EXP_BITS; j++) {
            if (i >> (EXP_BITS - 1 - j) & 1)
                value *= root[j];
        }
        exp2_table[i] = (uint64_t)(value * 0x1p31);
    }
    exp2_table[1u << EXP_BITS] = 1ull << 32;
}

/* log2(x) with 58 fraction bits, one bit for each squaring. x: 2 to 2^33. */
static uint64_t log2_q58(uint64_t x)
{
    unsigned whole = 63 - (unsigned)__builtin_clzll(x);
    uint64_t mantissa = x << (63 - whole);
    uint64_t result = whole;
    for (unsigned i = 0; i < 58; i++) {
        unsigned __int128 square = (unsigned __int128)mantissa * mantissa;
        unsigned bit = (unsigned)(square >> 127);
        mantissa = (uint64_t)(square >> (bit ? 64 : 63));
        result = result << 1 | bit;
    }
    return result;
}

/* floor(2^(e / 2^58)), interpolated between the table's points. e < 34 * 2^58. */
static inline uint64_t exp2_floor(uint64_t e)
{
    unsigned whole = (unsigned)(e >> 58);
    unsigned at = (unsigned)(e >> (58 - EXP_BITS)) & ((1u << EXP_BITS) - 1);
    uint64_t rest = (uint32_t)(e >> (58 - EXP_BITS - 32));
    uint64_t low = exp2_table[at];
    uint64_t mantissa = low + (((exp2_table[at + 1] - low) * rest) >> 32);
    return whole <= 31 ? mantissa >> (31 - whole) : mantissa << (whole - 31);
}

/* The probability with which a drawn rank 1 to 8 is kept, times 2^32: 1 / (k ln((2k+1)/(2k-1))). */
static const uint32_t keep[] = {0,          3909447710, 4203946607, 4254900136, 4272503697,
                                4280612360, 4285006764, 4287652965, 4289369053};

static uint64_t zipf_rank(struct pr_guest_sequence *s)
{
    for (;;) {
        uint64_t drawn = draw(&s->random);
        uint64_t e = (uint64_t)(((unsigned __int128)drawn * s->span) >> 64);
        uint64_t rank = (exp2_floor(e) + 1) >> 1;
        if (rank > s->pages)
            rank = s->pages;
        if (rank > 8 || (uint32_t)draw(&s->random) < keep[rank])
            return rank - 1;
    }
}

/* (rank * stride + shift) mod pages, a bijection as stride and pages have no common factor. The
 * division is a product with the reciprocal, which may come out one or two too small. */
static inline uint64_t scatter(const struct pr_guest_sequence *s, uint64_t rank)
{
    uint64_t x = rank * s->stride + s->shift;
    uint64_t quotient = (uint64_t)(((unsigned __int128)x * s->reciprocal) >> 64);
    uint64_t page = x - quotient * s->pages;
    while (page >= s->pages)
        page -= s->pages;
    return page;
}

static uint64_t common_factor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void zipf_start(struct pr_guest_sequence *s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, exp2_table_fill);
    s->span = log2_q58(2 * s->pages + 1);
    s->reciprocal = UINT64_MAX / s->pages;
    s->shift = draw(&s->random) % s->pages;
    s->stride = s->pages * 5 / 8 + 1;
    while (common_factor(s->stride, s->pages) != 1)
        s->stride++;
}

void pr_guest_sequence_start(struct pr_guest_sequence *sequence, enum pr_guest_pattern pattern,
                             uint64_t seed, uint32_t thread, uint64_t pages)
{
    *sequence = (struct pr_guest_sequence){.pattern = pattern, .pages = pages, .random = seed};
    /* Mixed, because neighbouring starts of the counter would give overlapping sequences. */
    sequence->random = draw(&sequence->random) ^ ((uint64_t)thread << 32);
    sequence->random = draw(&sequence->random);
    if (pattern == PR_GUEST_ZIPF)
        zipf_start(sequence);
}

static inline uint64_t hot_page(struct pr_guest_sequence *s)
{
    uint64_t drawn = draw(&s->random);
    uint64_t hot = s->pages / 10 ? s->pages / 10 : 1;
    if ((uint32_t)drawn < (uint32_t)(0.9 * 0x1p32) || hot == s->pages)
        return scale(drawn, hot);
    return hot + scale(drawn, s->pages - hot);
}

static inline uint64_t next(struct pr_guest_sequence *s)
{
    uint64_t made = s->made++;
    switch (s->pattern) {
    case PR_GUEST_SEQ:
        return made % s->pages;
    case PR_GUEST_ALTERNATE:
        return made % ((s->pages + 1) / 2) * 2;
    case PR_GUEST_HOT:
        return hot_page(s);
    case PR_GUEST_ZIPF:
        return scatter(s, zipf_rank(s));
    case PR_GUEST_UNIFORM:
    case PR_GUEST_ZEROING:
    default:
        return scale(draw(&s->random), s->pages);
    }
}

uint64_t pr_guest_sequence_next(struct pr_guest_sequence *sequence)
{
    return next(sequence);
}

void pr_guest_sequence_replay(struct pr_guest_sequence *sequence, uint64_t writes, uint32_t *counts)
{
    /* A copy in registers: counts could alias the sequence as far as the compiler knows. */
    struct pr_guest_sequence s = *sequence;
    for (uint64_t i = 0; i < writes; i++)
        counts[next(&s)]++;
    *sequence = s;
}
