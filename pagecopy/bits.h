/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic on bits in 64-bit words: bit i of a map is bit i % 64 of word i / 64. */
#ifndef PR_PAGECOPY_BITS_H
#define PR_PAGECOPY_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define PR_WORD_BITS 64

/* How many words hold `bits` bits. */
static inline uint64_t pr_bits_words(uint64_t bits)
{
    return bits / PR_WORD_BITS + (bits % PR_WORD_BITS != 0);
}

/* The bits of word `index` that lie in [first, end) of the map. */
static inline uint64_t pr_bits_mask(uint64_t index, uint64_t first, uint64_t end)
{
    uint64_t base = index * PR_WORD_BITS;
    if (end <= base || first >= base + PR_WORD_BITS)
        return 0;
    uint64_t mask = UINT64_MAX;
    if (first > base)
        mask <<= first - base;
    if (end - base < PR_WORD_BITS)
        mask &= UINT64_MAX >> (base + PR_WORD_BITS - end);
    return mask;
}

/* How many of the lowest bits of `word` are one, without a gap: 0 to 64. */
static inline unsigned pr_bits_ones(uint64_t word)
{
    return word == UINT64_MAX ? PR_WORD_BITS : (unsigned)__builtin_ctzll(~word);
}

static inline bool pr_bits_test(const uint64_t *words, uint64_t i)
{
    return words[i / PR_WORD_BITS] >> (i % PR_WORD_BITS) & 1;
}

/* The first bit in [at, end) that is `value`; end when there is none. */
static inline uint64_t pr_bits_find(const uint64_t *words, uint64_t at, uint64_t end, bool value)
{
    while (at < end) {
        uint64_t index = at / PR_WORD_BITS;
        uint64_t wanted = (value ? words[index] : ~words[index]) & pr_bits_mask(index, at, end);
        if (wanted)
            return index * PR_WORD_BITS + (unsigned)__builtin_ctzll(wanted);
        at = (index + 1) * PR_WORD_BITS;
    }
    return end;
}

#endif
