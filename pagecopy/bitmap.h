/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty bitmap: one bit a page, set by whoever learns that a page was written, fetched and
 * cleared in one step by whoever sends it.
 *
 * ORDERING (read after clear). Setting is a release, taking an acquire. So either the taker sees
 * the bit, and then also the page bytes that were stored before it was set; or the setter comes
 * after the take, and the bit stays for the next round. Nothing is lost as long as a page's bytes
 * are read after its bit was taken. A bit that is set again between the take and the read costs a
 * second transfer, never a wrong one.
 *
 * THREADS. set, take, test and count may run on any threads at once. Words are independent: work on
 * parts of one bitmap needs no lock, and parts need not start at word boundaries.
 */
#ifndef PR_PAGECOPY_BITMAP_H
#define PR_PAGECOPY_BITMAP_H

#include "pagecopy/bits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_bitmap {
    _Atomic uint64_t *words; /* pr_bits_words(pages) of them; no bit past the last page is set */
    uint64_t pages;
};

/*
 * A bitmap with every page clean. Costs address space; memory only where a bit gets set.
 * ERRORS: -ENOMEM, -EINVAL no pages.
 */
int pr_bitmap_open(struct pr_bitmap *out, uint64_t pages);
void pr_bitmap_close(struct pr_bitmap *bitmap); /* safe twice and on a zeroed struct */

/* A bitmap over the caller's words, which stay the caller's: do not close it. */
struct pr_bitmap pr_bitmap_over(uint64_t *words, uint64_t pages);

/* Marks [first, first + pages) dirty. The range must lie inside. */
void pr_bitmap_set_range(struct pr_bitmap *bitmap, uint64_t first, uint64_t pages);

/* Marks every page dirty whose bit is one in `bits`, for word `index`: how a dirty log that comes
 * as words is merged in. Bits past the last page are dropped. */
void pr_bitmap_set_word(struct pr_bitmap *bitmap, uint64_t index, uint64_t bits);

/* Fetches and clears the bits of word `index` that are in `mask`. A word with nothing to take is
 * only read, so its cache line stays shared. */
static inline uint64_t pr_bitmap_take(struct pr_bitmap *bitmap, uint64_t index, uint64_t mask)
{
    _Atomic uint64_t *word = &bitmap->words[index];
    if (!(atomic_load_explicit(word, memory_order_relaxed) & mask))
        return 0;
    if (mask == UINT64_MAX)
        return atomic_exchange_explicit(word, 0, memory_order_acquire);
    return atomic_fetch_and_explicit(word, ~mask, memory_order_acquire) & mask;
}

/* True when the page is dirty. No ordering. */
bool pr_bitmap_test(const struct pr_bitmap *bitmap, uint64_t page);

/* How many pages of [first, first + pages) are dirty: exact while nobody sets or takes. */
uint64_t pr_bitmap_count(const struct pr_bitmap *bitmap, uint64_t first, uint64_t pages);

#endif
