/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/figure.h"

#include "bench/median.h"

#include <stdbool.h>
#include <stdio.h>

void pr_figure_measure(const struct pr_figure *figure, struct pr_figure_result *out)
{
    double values[PR_FIGURE_MAX_SAMPLES];
    unsigned samples = figure->samples;
    for (unsigned i = 0; i < samples; i++)
        values[i] = figure->measure(figure->arg);
    *out = (struct pr_figure_result){.figure = figure, .median = pr_median(values, samples)};
    out->min = values[0]; /* sorted by now */
    out->max = values[samples - 1];
}

static bool holds(const struct pr_figure_result *result)
{
    return result->median <= result->figure->bar;
}

void pr_figure_print(const struct pr_figure_result *result)
{
    const struct pr_figure *figure = result->figure;
    printf("%s: %.4g %s (min %.4g, max %.4g, %u samples)", figure->name, result->median,
           figure->unit, result->min, result->max, figure->samples);
    if (figure->bar > 0)
        printf("  bar %.4g %s", figure->bar, holds(result) ? "holds" : "MISSED");
    printf("\n");
    fflush(stdout);
}

struct json_object *pr_figure_to_json(const struct pr_figure_result *result)
{
    const struct pr_figure *figure = result->figure;
    struct json_object *json = json_object_new_object();
    json_object_object_add(json, "name", json_object_new_string(figure->name));
    json_object_object_add(json, "unit", json_object_new_string(figure->unit));
    json_object_object_add(json, "median", json_object_new_double(result->median));
    json_object_object_add(json, "min", json_object_new_double(result->min));
    json_object_object_add(json, "max", json_object_new_double(result->max));
    json_object_object_add(json, "samples", json_object_new_int((int)figure->samples));
    if (figure->bar > 0) {
        json_object_object_add(json, "bar", json_object_new_double(figure->bar));
        json_object_object_add(json, "holds", json_object_new_boolean(holds(result)));
    }
    return json;
}
