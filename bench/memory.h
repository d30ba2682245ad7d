/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory to measure on, and the reference that other readers of memory are held against. */
#ifndef PR_BENCH_MEMORY_H
#define PR_BENCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory in which every page is really there: pages that were never written would all be
 * the kernel's one zero page and come from the cache. huge: ask for transparent huge pages, as VMMs
 * do for guest memory. Ends the program when memory is short. */
void *pr_bench_memory(size_t len_bytes, bool huge);

/* Address space whose pages come into being when they are touched, on a boundary of 2 MiB. huge:
 * transparent huge pages asked for; else 4 KiB pages only. munmap gives it back. */
void *pr_bench_reserve(size_t len_bytes, bool huge);

/* Fills it with a pseudo-random stream: no page is zero. len_bytes: a multiple of 8. */
void pr_bench_fill(void *start, size_t len_bytes);

/* Marks the first and the last word of every stride-th page of 4 KiB with what only this page and
 * this stamp have, so that a copy can be checked without reading all of it. */
void pr_bench_stamp(void *start, size_t len_bytes, uint64_t stride, uint64_t stamp);
bool pr_bench_stamped(const void *start, size_t len_bytes, uint64_t stride, uint64_t stamp);

/* Processor time of all threads of this process so far. */
uint64_t pr_bench_cpu_ns(void);

/* The plain vectorised read: ORs all of [start, start + len_bytes) together, with the widest loads
 * of AVX2 machines and no branch on the data. len_bytes: a multiple of 256. */
uint64_t pr_bench_read(const void *start, size_t len_bytes);

#endif
