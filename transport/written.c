/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/written.h"

int pr_written_open(struct pr_written *written, uint64_t pages, bool fresh)
{
    written->fresh = fresh;
    return pr_bitmap_open(&written->changed, pages);
}

void pr_written_close(struct pr_written *written)
{
    pr_bitmap_close(&written->changed);
}

/* Sets the bits in `mask` of a word; those that were not set before. */
static uint64_t put(struct pr_bitmap *bitmap, uint64_t index, uint64_t mask)
{
    _Atomic uint64_t *word = &bitmap->words[index];
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    if ((old & mask) != mask) /* else its cache line stays shared */
        old = atomic_fetch_or_explicit(word, mask, memory_order_relaxed);
    return mask & ~old;
}

void pr_written_set(struct pr_written *written, uint64_t first, uint64_t pages)
{
    uint64_t end = first + pages;
    for (uint64_t i = first / PR_WORD_BITS; i < pr_bits_words(end); i++) {
        uint64_t mask = pr_bits_mask(i, first, end);
        if (written->fresh)
            put(&written->changed, i, mask);
        else
            pr_bitmap_take(&written->changed, i, mask);
    }
}

void pr_written_take(struct pr_written *written, uint64_t first, uint64_t pages,
                     uint64_t bits[PR_WRITTEN_WORDS])
{
    uint64_t end = first + pages;
    for (uint64_t i = first / PR_WORD_BITS; i < pr_bits_words(end); i++) {
        uint64_t mask = pr_bits_mask(i, first, end);
        *bits++ = written->fresh ? pr_bitmap_take(&written->changed, i, mask)
                                 : put(&written->changed, i, mask);
    }
}
