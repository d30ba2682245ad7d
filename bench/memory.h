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

/* The plain vectorised read: ORs all of [start, start + len_bytes) together, with the widest loads
 * of AVX2 machines and no branch on the data. len_bytes: a multiple of 256. */
uint64_t pr_bench_read(const void *start, size_t len_bytes);

#endif
