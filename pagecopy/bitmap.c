/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/bitmap.h"

#include "base/error.h"
#include "pagecopy/skip.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

static uint64_t bytes_of(uint64_t pages)
{
    return pr_bits_words(pages) * sizeof(uint64_t);
}

int pr_bitmap_open(struct pr_bitmap *out, uint64_t pages)
{
    if (!pages)
        return pr_error(EINVAL, "a dirty bitmap needs at least one page: give the region a size");
    /* mmap and not calloc: never cleared by hand, whatever its size. */
    void *words = mmap(NULL, bytes_of(pages), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED)
        return pr_error(ENOMEM, "no memory for a dirty bitmap of %" PRIu64 " bytes",
                        bytes_of(pages));
    *out = (struct pr_bitmap){.words = words, .pages = pages};
    return 0;
}

void pr_bitmap_close(struct pr_bitmap *bitmap)
{
    if (bitmap->words)
        munmap(bitmap->words, bytes_of(bitmap->pages));
    *bitmap = (struct pr_bitmap){0};
}

struct pr_bitmap pr_bitmap_over(uint64_t *words, uint64_t pages)
{
    return (struct pr_bitmap){.words = (_Atomic uint64_t *)words, .pages = pages};
}

void pr_bitmap_set_range(struct pr_bitmap *bitmap, uint64_t first, uint64_t pages)
{
    uint64_t end = first + pages;
    for (uint64_t i = first / PR_WORD_BITS; i < pr_bits_words(end); i++)
        atomic_fetch_or_explicit(&bitmap->words[i], pr_bits_mask(i, first, end),
                                 memory_order_release);
}

void pr_bitmap_set_word(struct pr_bitmap *bitmap, uint64_t index, uint64_t bits)
{
    bits &= pr_bits_mask(index, 0, bitmap->pages);
    if (bits)
        atomic_fetch_or_explicit(&bitmap->words[index], bits, memory_order_release);
}

bool pr_bitmap_test(const struct pr_bitmap *bitmap, uint64_t page)
{
    uint64_t word = atomic_load_explicit(&bitmap->words[page / PR_WORD_BITS], memory_order_relaxed);
    return word >> (page % PR_WORD_BITS) & 1;
}

uint64_t pr_bitmap_count(const struct pr_bitmap *bitmap, uint64_t first, uint64_t pages)
{
    const uint64_t *words = (const uint64_t *)bitmap->words;
    uint64_t end = first + pages, stop = pr_bits_words(end), count = 0;
    for (uint64_t i = first / PR_WORD_BITS; i < stop; i++) {
        i = pr_skip_zero_words(words, i, stop);
        if (i == stop)
            break;
        uint64_t word = atomic_load_explicit(&bitmap->words[i], memory_order_relaxed);
        count += (unsigned)__builtin_popcountll(word & pr_bits_mask(i, first, end));
    }
    return count;
}
