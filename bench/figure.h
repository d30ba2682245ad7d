/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A figure of its own, where no reference does the same thing: bytes that a session takes,
 * processor time of a call. Smaller is better. What the machine's load distorts has no bar. See
 * bench/METHOD.md.
 */
#ifndef PR_BENCH_FIGURE_H
#define PR_BENCH_FIGURE_H

#include <json-c/json.h>

struct pr_figure {
    const char *name;
    const char *unit;
    double (*measure)(void *arg); /* once */
    void *arg;
    unsigned samples; /* 1 to PR_FIGURE_MAX_SAMPLES; the median counts */
    double bar;       /* the largest median that is good enough; 0 = none, only shown */
};
#define PR_FIGURE_MAX_SAMPLES 101

struct pr_figure_result {
    const struct pr_figure *figure;
    double median, min, max;
};

void pr_figure_measure(const struct pr_figure *figure, struct pr_figure_result *out);

/* One line for people. */
void pr_figure_print(const struct pr_figure_result *result);

/* The same as a JSON object; the caller's. */
struct json_object *pr_figure_to_json(const struct pr_figure_result *result);

#endif
