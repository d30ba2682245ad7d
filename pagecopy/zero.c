/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/zero.h"

#include "base/cpu.h"
#include "pagecopy/bits.h"
#include "pagecopy/racy.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Lengths below a vector, for every variant. */
PR_RACY static bool few_are_zero(const unsigned char *at, size_t len)
{
    unsigned char any = 0;
    for (size_t i = 0; i < len; i++)
        any |= at[i];
    return !any;
}

PR_RACY static bool is_zero_scalar(const void *start, size_t len)
{
    const unsigned char *at = start;
    for (; len >= 4 * sizeof(uint64_t); at += 4 * sizeof(uint64_t), len -= 4 * sizeof(uint64_t)) {
        const pr_racy_word *word = (const pr_racy_word *)at;
        if (word[0] | word[1] | word[2] | word[3])
            return false;
    }
    return few_are_zero(at, len);
}

#if defined(__x86_64__)

/* The vector variants look at whole blocks of several vectors, then at single vectors, and cover
 * the rest by one last vector that ends with the span and overlaps what was seen already. */

#define AVX2 PR_RACY __attribute__((target("avx2")))

AVX2 static bool is_zero_avx2(const void *start, size_t len)
{
    const size_t step = sizeof(__m256i);
    const unsigned char *at = start, *end = at + len;
    if (len < step)
        return few_are_zero(at, len);
    for (; (size_t)(end - at) >= 8 * step; at += 8 * step) {
        const __m256i_u *v = (const __m256i_u *)at;
        __m256i low = (v[0] | v[1]) | (v[2] | v[3]);
        __m256i high = (v[4] | v[5]) | (v[6] | v[7]);
        __m256i any = low | high;
        if (!_mm256_testz_si256(any, any))
            return false;
    }
    __m256i any = *(const __m256i_u *)(end - step);
    for (; (size_t)(end - at) >= step; at += step)
        any |= *(const __m256i_u *)at;
    return _mm256_testz_si256(any, any);
}

#define AVX512 PR_RACY __attribute__((target("avx512f,avx512bw")))

AVX512 static bool is_zero_avx512(const void *start, size_t len)
{
    const size_t step = sizeof(__m512i);
    const unsigned char *at = start, *end = at + len;
    if (len < step)
        return few_are_zero(at, len);
    for (; (size_t)(end - at) >= 4 * step; at += 4 * step) {
        const __m512i_u *v = (const __m512i_u *)at;
        __m512i any = (v[0] | v[1]) | (v[2] | v[3]);
        if (_mm512_test_epi64_mask(any, any))
            return false;
    }
    __m512i any = *(const __m512i_u *)(end - step);
    for (; (size_t)(end - at) >= step; at += step)
        any |= *(const __m512i_u *)at;
    return !_mm512_test_epi64_mask(any, any);
}

#endif

bool pr_zero_variant_get(unsigned index, struct pr_zero_variant *out)
{
    switch (index) {
    case 0:
        *out = (struct pr_zero_variant){"scalar", true, is_zero_scalar};
        return true;
#if defined(__x86_64__)
    case 1:
        *out = (struct pr_zero_variant){"avx2", pr_cpu_get()->avx2, is_zero_avx2};
        return true;
    case 2:
        *out = (struct pr_zero_variant){"avx512", pr_cpu_get()->avx512, is_zero_avx512};
        return true;
#endif
    default:
        return false;
    }
}

typedef bool (*is_zero_fn)(const void *start, size_t len);

/* Two threads that choose at once choose the same. */
static is_zero_fn best(void)
{
    static _Atomic(is_zero_fn) chosen;
    is_zero_fn fn = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (fn)
        return fn;
    struct pr_zero_variant variant;
    for (unsigned i = 0; pr_zero_variant_get(i, &variant); i++)
        if (variant.supported)
            fn = variant.is;
    atomic_store_explicit(&chosen, fn, memory_order_relaxed);
    return fn;
}

bool pr_zero_is(const void *start, size_t len_bytes)
{
    return best()(start, len_bytes);
}

/*
 * Tells nearly all data pages without reading them. Most by their first word; the others (a zero
 * header, a page filled from its end) by words spread over the page. Those spread loads, measured
 * on zero pages, throw the processor's prefetcher off and cost a fifth of its speed. So they are
 * only tried behind a data page: zero pages come in stretches, and data pages as well.
 */
PR_RACY static inline bool shows_data(const unsigned char *page, bool behind_data)
{
    const pr_racy_word *word = (const pr_racy_word *)page;
    const size_t last = PR_ZERO_PAGE_BYTES / sizeof(*word) - 1;
    return word[0] || (behind_data && (word[last / 4] | word[last / 2] | word[last]));
}

static uint64_t scan(is_zero_fn is_zero, const unsigned char *page, uint64_t pages, uint64_t *out)
{
    uint64_t count = 0;
    bool zero = true;
    for (uint64_t done = 0; done < pages; out++) {
        uint64_t bits = 0;
        unsigned here = pages - done < PR_WORD_BITS ? (unsigned)(pages - done) : PR_WORD_BITS;
        for (unsigned i = 0; i < here; i++, page += PR_ZERO_PAGE_BYTES) {
            zero = !shows_data(page, !zero) && is_zero(page, PR_ZERO_PAGE_BYTES);
            bits |= (uint64_t)zero << i;
        }
        *out = bits;
        count += (unsigned)__builtin_popcountll(bits);
        done += here;
    }
    return count;
}

uint64_t pr_zero_scan(const void *start, uint64_t pages, uint64_t *zero_bits)
{
    return scan(best(), start, pages, zero_bits);
}

uint64_t pr_zero_scan_by(const struct pr_zero_variant *variant, const void *start, uint64_t pages,
                         uint64_t *zero_bits)
{
    return scan(variant->is, start, pages, zero_bits);
}
