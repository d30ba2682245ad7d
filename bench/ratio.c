/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/ratio.h"

#include "base/runtime.h"
#include "bench/median.h"

#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(const struct pr_ratio *ratio)
{
    struct timespec now;
    if (!ratio->cpu_time)
        return pr_now_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double turn_ns(const struct pr_ratio *ratio, const struct pr_ratio_side *side)
{
    if (side->prepare)
        side->prepare(ratio->arg);
    uint64_t start = clock_ns(ratio);
    uint64_t told = side->turn(ratio->arg);
    uint64_t timed = clock_ns(ratio) - start;
    uint64_t ns = told ? told : timed;
    return ns ? (double)ns : 1; /* a clock too coarse must not divide by zero */
}

void pr_ratio_measure(const struct pr_ratio *ratio, unsigned pairs, struct pr_ratio_result *out)
{
    double ours[PR_RATIO_MAX_PAIRS], reference[PR_RATIO_MAX_PAIRS], ratios[PR_RATIO_MAX_PAIRS];
    if (!pairs)
        pairs = ratio->pairs ? ratio->pairs : 1; /* the median of none does not exist */
    if (pairs > PR_RATIO_MAX_PAIRS)
        pairs = PR_RATIO_MAX_PAIRS;
    turn_ns(ratio, &ratio->ours); /* warm up: page tables, clock speed, chosen variants */
    turn_ns(ratio, &ratio->reference);
    for (unsigned i = 0; i < pairs; i++) {
        /* Who goes first changes, so that neither always inherits the other's caches. */
        if (i % 2)
            reference[i] = turn_ns(ratio, &ratio->reference);
        ours[i] = turn_ns(ratio, &ratio->ours);
        if (i % 2 == 0)
            reference[i] = turn_ns(ratio, &ratio->reference);
        ratios[i] = reference[i] / ours[i];
    }
    double giga = (double)ratio->bytes_per_turn * 1e9;
    *out = (struct pr_ratio_result){
        .ratio = ratio,
        .pairs = pairs,
        .median = pr_median(ratios, pairs), /* sorts: min and max are the ends */
        .ours_Bps = giga / pr_median(ours, pairs),
        .reference_Bps = giga / pr_median(reference, pairs),
    };
    out->min = ratios[0];
    out->max = ratios[pairs - 1];
}

static const char *verdict(const struct pr_ratio_result *result)
{
    return result->median >= result->ratio->bar ? "holds" : "MISSED";
}

void pr_ratio_print(const struct pr_ratio_result *result)
{
    const struct pr_ratio *ratio = result->ratio;
    printf("%s / %s: %.2f (min %.2f, max %.2f, %u pairs)", ratio->ours.name, ratio->reference.name,
           result->median, result->min, result->max, result->pairs);
    if (ratio->bytes_per_turn)
        printf("  %.2f / %.2f GB/s", result->ours_Bps / 1e9, result->reference_Bps / 1e9);
    if (ratio->bar > 0)
        printf("  bar %.2f %s", ratio->bar, verdict(result));
    printf("\n");
    fflush(stdout);
}

struct json_object *pr_ratio_to_json(const struct pr_ratio_result *result)
{
    const struct pr_ratio *ratio = result->ratio;
    struct json_object *json = json_object_new_object();
    json_object_object_add(json, "name", json_object_new_string(ratio->name));
    json_object_object_add(json, "ours", json_object_new_string(ratio->ours.name));
    json_object_object_add(json, "reference", json_object_new_string(ratio->reference.name));
    json_object_object_add(json, "median", json_object_new_double(result->median));
    json_object_object_add(json, "min", json_object_new_double(result->min));
    json_object_object_add(json, "max", json_object_new_double(result->max));
    json_object_object_add(json, "pairs", json_object_new_int((int)result->pairs));
    json_object_object_add(json, "ours_Bps", json_object_new_double(result->ours_Bps));
    json_object_object_add(json, "reference_Bps", json_object_new_double(result->reference_Bps));
    if (ratio->bar > 0) {
        json_object_object_add(json, "bar", json_object_new_double(ratio->bar));
        json_object_object_add(json, "holds",
                               json_object_new_boolean(result->median >= ratio->bar));
    }
    return json;
}
