/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/memory.h"

#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void *pr_bench_memory(size_t len_bytes, bool huge)
{
    void *at = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "this benchmark needs %zu MiB of memory\n", len_bytes >> 20);
        exit(2);
    }
    if (huge)
        madvise(at, len_bytes, MADV_HUGEPAGE); /* a wish: both sides get the same pages */
    memset(at, 0xff, len_bytes);
    memset(at, 0, len_bytes);
    return at;
}

static uint64_t read_words(const void *start, size_t len_bytes)
{
    const uint64_t *word = start;
    uint64_t any[4] = {0};
    for (size_t i = 0; i < len_bytes / sizeof(*word); i += 4)
        for (unsigned k = 0; k < 4; k++)
            any[k] |= word[i + k];
    return any[0] | any[1] | any[2] | any[3];
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static uint64_t read_avx2(const void *start, size_t len_bytes)
{
    const __m256i *at = start, *end = at + len_bytes / sizeof(*at);
    __m256i any[8];
    for (unsigned k = 0; k < 8; k++)
        any[k] = _mm256_setzero_si256();
    for (; at < end; at += 8)
#pragma GCC unroll 8
        for (unsigned k = 0; k < 8; k++)
            any[k] |= at[k];
    __m256i all = ((any[0] | any[1]) | (any[2] | any[3])) | ((any[4] | any[5]) | (any[6] | any[7]));
    return (uint64_t)(all[0] | all[1] | all[2] | all[3]);
}

#endif

uint64_t pr_bench_read(const void *start, size_t len_bytes)
{
#if defined(__x86_64__)
    if (pr_cpu_get()->avx2)
        return read_avx2(start, len_bytes);
#endif
    return read_words(start, len_bytes);
}
