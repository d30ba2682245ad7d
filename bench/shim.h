/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Google Benchmark for C. A benchmark is a function that prepares, loops while pr_bench_next says
 * so, and cleans up:
 *
 *     static void bench_scan(struct pr_bench *bench, void *arg)
 *     {
 *         while (pr_bench_next(bench))
 *             pr_bench_keep(work(arg));
 *         pr_bench_bytes(bench, BYTES_PER_ROUND);
 *     }
 *
 * One thread. For absolute figures; what is held against a reference goes through bench/ratio.h.
 */
#ifndef PR_BENCH_SHIM_H
#define PR_BENCH_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pr_bench; /* one running benchmark; valid inside its function only */

typedef void (*pr_bench_fn)(struct pr_bench *bench, void *arg);

/* Adds a benchmark. name is copied; arg must outlive pr_bench_run. */
void pr_bench_register(const char *name, pr_bench_fn fn, void *arg);

/* Takes Google Benchmark's own options (--benchmark_filter=..., see --help) out of argv. */
void pr_bench_options(int *argc, char **argv);

/* Runs what is registered and passes the filter, and prints it. */
void pr_bench_run(void);

/* True while another round of the measured loop is due. */
bool pr_bench_next(struct pr_bench *bench);

/* Stops and restarts the clock, around work of a round that is not to be measured. Costs some 100
 * ns: only for rounds that are much longer. */
void pr_bench_pause(struct pr_bench *bench);
void pr_bench_resume(struct pr_bench *bench);

/* How many bytes one round works on: adds a column bytes/s. */
void pr_bench_bytes(struct pr_bench *bench, uint64_t bytes_per_round);

/* Adds a column with a value of the benchmark's own. */
void pr_bench_counter(struct pr_bench *bench, const char *name, double value);

/* The compiler must take it that somebody looks at value. */
static inline void pr_bench_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#ifdef __cplusplus
}
#endif

#endif
