/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty bits -> runs: the longest contiguous stretches of dirty pages, in rising order. Empty parts
 * of the bitmap are passed at the speed of reading memory.
 *
 *     struct pr_runs runs = pr_runs_take(&bitmap, 0, bitmap.pages, max_pages);
 *     struct pr_run run;
 *     while (pr_runs_next(&runs, &run))
 *         ... every page of the run is clear in the bitmap now: read and send them ...
 *
 * An iterator belongs to one thread. Several, on disjoint ranges, may work on one bitmap at once.
 */
#ifndef PR_PAGECOPY_RUNS_H
#define PR_PAGECOPY_RUNS_H

#include "pagecopy/bitmap.h"

#include <stdbool.h>
#include <stdint.h>

struct pr_run {
    uint64_t first_page;
    uint64_t pages; /* at least 1 */
};

struct pr_runs { /* private */
    struct pr_bitmap bitmap;
    bool takes;
    uint64_t first_page, end_page, max_pages;
    uint64_t next; /* the word to load next */
    uint64_t bits; /* of word next - 1: loaded and not yet handed out */
};

/* A run of any length. */
#define PR_RUNS_UNLIMITED UINT64_MAX

/*
 * Iterates over the dirty pages of [first_page, first_page + pages) and clears them, a word at a
 * time, before it hands them out. Bits outside of the range are left alone even in a shared word.
 * max_pages (at least 1) cuts longer runs, so that a page is cleared soon before it is sent: a
 * store between the two costs a second transfer.
 */
struct pr_runs pr_runs_take(struct pr_bitmap *bitmap, uint64_t first_page, uint64_t pages,
                            uint64_t max_pages);

/* The same over words that nobody writes meanwhile, and clears nothing. */
struct pr_runs pr_runs_over(const uint64_t *words, uint64_t first_page, uint64_t pages,
                            uint64_t max_pages);

/* The next run; false when there is none left. A bit that is set behind the iterator while it moves
 * is left for the next one. */
bool pr_runs_next(struct pr_runs *runs, struct pr_run *out);

/* Ends an iteration early: what it cleared and did not hand out becomes dirty again. Harmless after
 * the last run. */
void pr_runs_stop(struct pr_runs *runs);

#endif
