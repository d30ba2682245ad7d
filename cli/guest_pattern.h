/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which page a guest's thread writes next. Pure: the sequence follows from pattern, seed, thread
 * and the number of pages alone, bit for bit the same on every machine (no floating point whose
 * result could differ), so a thread's whole history is one number: how many writes it has made.
 * Whoever knows that number counts the writes of every page by replaying the sequence.
 */
#ifndef PR_CLI_GUEST_PATTERN_H
#define PR_CLI_GUEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

enum pr_guest_pattern {
    PR_GUEST_SEQ,       /* one page after the other, over and over */
    PR_GUEST_UNIFORM,   /* every page equally likely */
    PR_GUEST_HOT,       /* 90 % of the writes to the first tenth of the pages */
    PR_GUEST_ZIPF,      /* the page of rank k with probability ~ 1/k; the ranks are scattered */
    PR_GUEST_ALTERNATE, /* every second page in order: no two dirty pages are neighbours */
    PR_GUEST_ZEROING,   /* as uniform; pages flip between data and all-zero (guest_model.h) */
    PR_GUEST_PATTERNS
};

/* A static lower-case word; NULL when out of range. */
const char *pr_guest_pattern_name(enum pr_guest_pattern pattern);

/* The pattern of that name; false when there is none. */
bool pr_guest_pattern_find(const char *name, enum pr_guest_pattern *out);

#define PR_GUEST_SEQUENCE_PAGES_MAX (1ull << 31)

/* One thread's sequence. Plain data; copy it freely. */
struct pr_guest_sequence {
    enum pr_guest_pattern pattern;
    uint64_t pages; /* pages 0 to pages - 1 are the thread's */
    uint64_t made;  /* writes so far */
    uint64_t random;
    /* the rest belongs to zipf: log2(2 pages + 1) with 58 fraction bits, and how ranks scatter */
    uint64_t span;
    uint64_t stride, shift, reciprocal;
};

/* pages: 1 to PR_GUEST_SEQUENCE_PAGES_MAX. */
void pr_guest_sequence_start(struct pr_guest_sequence *sequence, enum pr_guest_pattern pattern,
                             uint64_t seed, uint32_t thread, uint64_t pages);

/* The page of the next write. */
uint64_t pr_guest_sequence_next(struct pr_guest_sequence *sequence);

/* Makes `writes` steps and adds 1 to counts[page] at each. */
void pr_guest_sequence_replay(struct pr_guest_sequence *sequence, uint64_t writes,
                              uint32_t *counts);

#endif
