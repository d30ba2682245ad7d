/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages of a region may hold something else than zeroes at the destination. A zero page that
 * does not need not be named.
 *
 * Kept as what has changed since the region started: nothing was written there (a fresh
 * destination) or anything might be. So both cost nothing to open, whatever the size, and memory as
 * they change.
 *
 * THREADS. Any, on disjoint pages: words are shared.
 */
#ifndef PR_TRANSPORT_WRITTEN_H
#define PR_TRANSPORT_WRITTEN_H

#include "pagecopy/bitmap.h"

struct pr_written {
    struct pr_bitmap changed; /* a bit for each 4 KiB page */
    bool fresh;               /* changed means written; else it means known to be zero */
};

/* The most pages that pr_written_take takes at once, and the words that it needs for so many. */
#define PR_WRITTEN_MAX_PAGES 256
#define PR_WRITTEN_WORDS (PR_WRITTEN_MAX_PAGES / PR_WORD_BITS + 1)

/* ERRORS: -ENOMEM, -EINVAL no pages. */
int pr_written_open(struct pr_written *written, uint64_t pages, bool fresh);
void pr_written_close(struct pr_written *written); /* safe twice and on a zeroed struct */

/* Data goes to [first, first + pages). */
void pr_written_set(struct pr_written *written, uint64_t first, uint64_t pages);

/* Zeroes go to [first, first + pages): bit i of `bits` becomes one when page
 * first - first % 64 + i is of these and may hold something else; none may afterwards. */
void pr_written_take(struct pr_written *written, uint64_t first, uint64_t pages,
                     uint64_t bits[PR_WRITTEN_WORDS]);

#endif
