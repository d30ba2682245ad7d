/* SPDX-License-Identifier: BSD-2-Clause */
/* What every bench program does with its command line; its own part is a table of ratios, a table
 * of figures, and the absolute benchmarks that it registered with bench/shim.h before. */
#ifndef PR_BENCH_PROGRAM_H
#define PR_BENCH_PROGRAM_H

#include "bench/figure.h"
#include "bench/ratio.h"

struct pr_bench_tables {
    const struct pr_ratio *ratios;
    unsigned ratio_count;
    const struct pr_figure *figures;
    unsigned figure_count;
};

/*
 * Measures and prints every ratio and every figure; then, with --absolute, runs the registered
 * benchmarks.
 *   --json FILE   also writes them as JSON: {"ratios": [...], "figures": [...]}
 *   --only TEXT   measures those alone whose name has TEXT in it
 *   --pairs N     measures N pairs of each, instead of each ratio's own number
 *   --absolute    (and Google Benchmark's options after it)
 * Returns the program's exit status: 0 also when a bar is missed, which is a figure and no failure
 * of the program; 2 for a wrong command line or a file that cannot be written.
 */
int pr_bench_program(int argc, char **argv, const struct pr_bench_tables *tables);

#endif
