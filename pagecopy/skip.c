/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/skip.h"

#include "base/cpu.h"
#include "pagecopy/racy.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

PR_RACY static uint64_t skip_scalar(const uint64_t *words, uint64_t at, uint64_t end)
{
    while (at < end && !words[at])
        at++;
    return at;
}

#if defined(__x86_64__)

/* Works in blocks of two cache lines, counted from word 0, so that no load straddles lines. */
#define BLOCK_WORDS 16
#define AVX2 PR_RACY __attribute__((target("avx2")))

/* Which words of a block are not zero: bit i for word i. No branch: which one it is, nothing could
 * predict. */
AVX2 static unsigned block_map(const uint64_t *block)
{
    const __m256i_u *v = (const __m256i_u *)block;
    const __m256i zero = _mm256_setzero_si256();
    unsigned zeros = 0;
    for (unsigned i = 0; i < 4; i++) {
        __m256i equal = _mm256_cmpeq_epi64(v[i], zero);
        zeros |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(equal)) << (4 * i);
    }
    return ~zeros & 0xffff;
}

AVX2 static bool block_is_zero(const uint64_t *block)
{
    const __m256i_u *v = (const __m256i_u *)block;
    __m256i any = (v[0] | v[1]) | (v[2] | v[3]);
    return _mm256_testz_si256(any, any);
}

AVX2 static uint64_t skip_avx2(const uint64_t *words, uint64_t at, uint64_t end)
{
    uint64_t block = at / BLOCK_WORDS * BLOCK_WORDS;
    unsigned wanted = 0xffffu << (at - block); /* of the first block, from `at` on */
    for (; block + BLOCK_WORDS <= end; block += BLOCK_WORDS, wanted = 0xffff) {
        if (block_is_zero(words + block))
            continue;
        unsigned map = block_map(words + block) & wanted;
        if (map)
            return block + (unsigned)__builtin_ctz(map);
    }
    return skip_scalar(words, at > block ? at : block, end);
}

#endif

bool pr_skip_variant_get(unsigned index, struct pr_skip_variant *out)
{
    switch (index) {
    case 0:
        *out = (struct pr_skip_variant){"scalar", true, skip_scalar};
        return true;
#if defined(__x86_64__)
    case 1:
        *out = (struct pr_skip_variant){"avx2", pr_cpu_get()->avx2, skip_avx2};
        return true;
#endif
    default:
        return false;
    }
}

typedef uint64_t (*skip_fn)(const uint64_t *words, uint64_t at, uint64_t end);

/* Two threads that choose at once choose the same. */
static skip_fn best(void)
{
    static _Atomic(skip_fn) chosen;
    skip_fn fn = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (fn)
        return fn;
    struct pr_skip_variant variant;
    for (unsigned i = 0; pr_skip_variant_get(i, &variant); i++)
        if (variant.supported)
            fn = variant.find;
    atomic_store_explicit(&chosen, fn, memory_order_relaxed);
    return fn;
}

uint64_t pr_skip_zero_words(const uint64_t *words, uint64_t at, uint64_t end)
{
    return best()(words, at, end);
}
