/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run + which of its pages are zero -> transfers. Pure: numbers in, numbers out.
 *
 *     struct pr_plan plan = pr_plan_start(&limits, offset_bytes, len_bytes, zero_bits);
 *     struct pr_transfer transfer;
 *     while (pr_plan_next(&plan, &transfer))
 *         ... post a write, or add to the message of zero ranges ...
 *
 * The transfers come in rising order, cover the run exactly and never overlap. All are multiples of
 * PR_ZERO_PAGE_BYTES, for pages of 2 MiB and 1 GiB as well: those are merely longer runs.
 */
#ifndef PR_PAGECOPY_PLAN_H
#define PR_PAGECOPY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct pr_plan_limits {
    uint64_t max_write_bytes; /* the longest data transfer */
    uint64_t window_bytes;    /* registration windows of a region: [0, window), [window, ...) */
};

struct pr_transfer {
    bool zero; /* all zero: name it to the peer; otherwise write it */
    uint64_t offset_bytes;
    uint64_t len_bytes;
};

struct pr_plan { /* private */
    const struct pr_plan_limits *limits;
    const uint64_t *zero_bits;
    uint64_t start_bytes; /* of the run */
    uint64_t pages;       /* of the run, in PR_ZERO_PAGE_BYTES */
    uint64_t done;        /* pages handed out */
    uint64_t same;        /* pages up to here are alike: all zero or all data */
};

/* 0, or -EINVAL with a sentence unless both limits are multiples of PR_ZERO_PAGE_BYTES, not 0. */
int pr_plan_limits_check(const struct pr_plan_limits *limits);

/*
 * offset_bytes, len_bytes: the run within its region, multiples of PR_ZERO_PAGE_BYTES.
 * zero_bits: bit i for the run's i-th page, as pr_zero_scan writes it; NULL when none is zero.
 * ASSUMPTIONS: the limits passed pr_plan_limits_check. They and zero_bits outlive the plan.
 */
struct pr_plan pr_plan_start(const struct pr_plan_limits *limits, uint64_t offset_bytes,
                             uint64_t len_bytes, const uint64_t *zero_bits);

/* The next transfer; false when the run is covered. A stretch of zero pages is one transfer,
 * however long. */
bool pr_plan_next(struct pr_plan *plan, struct pr_transfer *out);

#endif
