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

/* Blocks of two cache lines; the word within the block is found by the scalar loop. */
#define AVX2_WORDS 16

PR_RACY __attribute__((target("avx2"))) static uint64_t skip_avx2(const uint64_t *words,
                                                                  uint64_t at, uint64_t end)
{
    for (; end - at >= AVX2_WORDS; at += AVX2_WORDS) {
        const __m256i_u *v = (const __m256i_u *)(words + at);
        __m256i any = (v[0] | v[1]) | (v[2] | v[3]);
        if (!_mm256_testz_si256(any, any))
            break;
    }
    return skip_scalar(words, at, end);
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
