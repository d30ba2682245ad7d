/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/program.h"

#include "base/cpu.h"
#include "bench/shim.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *json;
    const char *only;
    unsigned pairs; /* 0: each ratio's own */
    bool absolute;
};

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--json FILE] [--only TEXT] [--pairs N] [--absolute "
            "[--benchmark_filter=REGEX ...]]\n"
            "Measures ratios against references; --absolute adds plain figures.\n",
            program);
    return 2;
}

static bool parse_pairs(const char *text, unsigned *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > PR_RATIO_MAX_PAIRS) {
        fprintf(stderr, "--pairs %s: give a number from 1 to %d\n", text, PR_RATIO_MAX_PAIRS);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static int parse(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        {"json", required_argument, NULL, 'j'},
        {"only", required_argument, NULL, 'o'},
        {"pairs", required_argument, NULL, 'p'},
        {"absolute", no_argument, NULL, 'a'},
        {0},
    };
    bool wrong = false;
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'j')
            out->json = optarg;
        else if (c == 'o')
            out->only = optarg;
        else if (c == 'p')
            wrong |= !parse_pairs(optarg, &out->pairs);
        else if (c == 'a')
            out->absolute = true;
        else
            wrong = true;
    }
    return optind == argc && !wrong ? 0 : usage(argv[0]);
}

static bool is_wanted(const struct options *options, const char *name)
{
    return !options->only || strstr(name, options->only);
}

static bool has_cpus(const struct pr_ratio *ratio)
{
    unsigned there = pr_cpu_get()->count;
    if (there < ratio->cpus)
        printf("%s: left out: it needs %u processors, here are %u\n", ratio->name, ratio->cpus,
               there);
    return there >= ratio->cpus;
}

static struct json_object *run_ratios(const struct options *options,
                                      const struct pr_bench_tables *tables)
{
    struct json_object *all = json_object_new_array();
    for (unsigned i = 0; i < tables->ratio_count; i++) {
        struct pr_ratio_result result;
        if (!is_wanted(options, tables->ratios[i].name) || !has_cpus(&tables->ratios[i]))
            continue;
        pr_ratio_measure(&tables->ratios[i], options->pairs, &result);
        pr_ratio_print(&result);
        json_object_array_add(all, pr_ratio_to_json(&result));
    }
    return all;
}

static struct json_object *run_figures(const struct options *options,
                                       const struct pr_bench_tables *tables)
{
    struct json_object *all = json_object_new_array();
    for (unsigned i = 0; i < tables->figure_count; i++) {
        struct pr_figure_result result;
        if (!is_wanted(options, tables->figures[i].name))
            continue;
        pr_figure_measure(&tables->figures[i], &result);
        pr_figure_print(&result);
        json_object_array_add(all, pr_figure_to_json(&result));
    }
    return all;
}

int pr_bench_program(int argc, char **argv, const struct pr_bench_tables *tables)
{
    struct options options = {0};
    pr_bench_options(&argc, argv); /* takes its own out first */
    int status = parse(argc, argv, &options);
    if (status)
        return status;
    struct json_object *all = json_object_new_object();
    json_object_object_add(all, "ratios", run_ratios(&options, tables));
    json_object_object_add(all, "figures", run_figures(&options, tables));
    if (options.json && json_object_to_file_ext(options.json, all, JSON_C_TO_STRING_PRETTY)) {
        fprintf(stderr, "%s", json_util_get_last_err());
        status = 2;
    }
    json_object_put(all);
    if (options.absolute)
        pr_bench_run();
    return status;
}
