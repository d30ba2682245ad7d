/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our code against a reference, both measured in one run and in turn, because the machine's speed
 * drifts: two figures taken minutes apart cannot be compared, two taken back to back can. The ratio
 * of each such pair is kept, and the median of the ratios is the result. See bench/METHOD.md.
 */
#ifndef PR_BENCH_RATIO_H
#define PR_BENCH_RATIO_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_ratio_side {
    const char *name;
    /* Before every turn, not timed; may be NULL. Give both sides the same when it leaves traces in
     * the caches. */
    void (*prepare)(void *arg);
    /* One turn. Returns how long it took in nanoseconds, or 0 to have the call timed. */
    uint64_t (*turn)(void *arg);
};

struct pr_ratio {
    const char *name;
    struct pr_ratio_side ours, reference;
    void *arg;               /* for all four functions */
    uint64_t bytes_per_turn; /* what a turn of either side works on */
    bool cpu_time;  /* time only while the calling thread runs: for turns that never wait */
    unsigned pairs; /* 1 to PR_RATIO_MAX_PAIRS */
    double bar;     /* the least median that is good enough; 0 = none, only shown */
    unsigned cpus;  /* that it needs: a program with fewer leaves it out and says so */
};
#define PR_RATIO_MAX_PAIRS 101

struct pr_ratio_result {
    const struct pr_ratio *ratio;
    unsigned pairs;
    double median, min, max; /* reference's time / our time: above 1 we are faster */
    double ours_Bps;         /* bytes per second, of the median turn */
    double reference_Bps;
};

/* Measures. pairs: replaces ratio->pairs unless 0. */
void pr_ratio_measure(const struct pr_ratio *ratio, unsigned pairs, struct pr_ratio_result *out);

/* One line for people: "zero scan / plain read: 0.97 (min 0.91, max 1.01, 15 pairs) ...". */
void pr_ratio_print(const struct pr_ratio_result *result);

/* The same as a JSON object; the caller's. */
struct json_object *pr_ratio_to_json(const struct pr_ratio_result *result);

#endif
