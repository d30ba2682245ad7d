/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/memory.h"

#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

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

#define HUGE_BYTES ((size_t)2 << 20)
#define PAGE_BYTES 4096

void *pr_bench_reserve(size_t len_bytes, bool huge)
{
    uint8_t *at = mmap(NULL, len_bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "cannot reserve %zu MiB of address space\n", len_bytes >> 20);
        exit(2);
    }
    size_t before = HUGE_BYTES - (uintptr_t)at % HUGE_BYTES;
    munmap(at, before);
    if (before < HUGE_BYTES)
        munmap(at + before + len_bytes, HUGE_BYTES - before);
    madvise(at + before, len_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return at + before;
}

void pr_bench_fill(void *start, size_t len_bytes)
{
    uint64_t *word = start, x = 88172645463325252u; /* xorshift: the same in every run, never 0 */
    for (size_t i = 0; i < len_bytes / sizeof(*word); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        word[i] = x;
    }
}

static uint64_t mark_of(size_t page, uint64_t stamp)
{
    return (page + 1) * 0x9e3779b97f4a7c15u ^ stamp << 48 ^ stamp;
}

void pr_bench_stamp(void *start, size_t len_bytes, uint64_t stride, uint64_t stamp)
{
    for (size_t page = 0; page < len_bytes / PAGE_BYTES; page += stride) {
        uint64_t *word = (uint64_t *)((uint8_t *)start + page * PAGE_BYTES);
        word[0] = word[PAGE_BYTES / sizeof(*word) - 1] = mark_of(page, stamp);
    }
}

bool pr_bench_stamped(const void *start, size_t len_bytes, uint64_t stride, uint64_t stamp)
{
    for (size_t page = 0; page < len_bytes / PAGE_BYTES; page += stride) {
        const uint64_t *word = (const uint64_t *)((const uint8_t *)start + page * PAGE_BYTES);
        uint64_t mark = mark_of(page, stamp);
        if (word[0] != mark || word[PAGE_BYTES / sizeof(*word) - 1] != mark)
            return false;
    }
    return true;
}

uint64_t pr_bench_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
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
