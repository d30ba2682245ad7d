/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PR_BENCH_MEDIAN_H
#define PR_BENCH_MEDIAN_H

/* The median of count (at least 1) values, which it sorts. */
double pr_median(double *values, unsigned count);

#endif
