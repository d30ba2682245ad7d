/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty bitmap -> runs, for the bitmap of a 24 TiB guest, against merely reading the bitmap. */
#include "bench/memory.h"
#include "bench/program.h"
#include "bench/shim.h"
#include "pagecopy/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITMAP_BYTES ((size_t)768 << 20)
#define PAGES (BITMAP_BYTES * 8)

/* One page in a hundred is dirty, in clusters of `mean_pages` on average. */
struct workload {
    uint64_t mean_pages;
    uint64_t count;
    uint64_t dirty_pages;
    struct pr_run *clusters;
};

static struct workload large = {.mean_pages = 256}; /* 1 MiB of guest memory */
static struct workload small = {.mean_pages = 16};  /* 64 KiB */

static struct pr_bitmap bitmap;

/* One cluster somewhere in each of `count` equal parts, 1 to 2 * mean_pages - 1 pages long, so in
 * places that nothing can predict. xorshift with a fixed start: the same in every run. */
static void draw(struct workload *load)
{
    load->count = PAGES / 100 / load->mean_pages;
    load->clusters = calloc(load->count, sizeof(*load->clusters));
    if (!load->clusters)
        abort();
    const uint64_t part = PAGES / load->count;
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < load->count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t pages = 1 + x % (2 * load->mean_pages - 1);
        load->clusters[i] = (struct pr_run){i * part + (x >> 20) % (part - pages), pages};
        load->dirty_pages += pages;
    }
}

static void dirty(void *arg)
{
    const struct workload *load = arg;
    for (uint64_t i = 0; i < load->count; i++)
        pr_bitmap_set_range(&bitmap, load->clusters[i].first_page, load->clusters[i].pages);
}

/* For both sides, so that both find the same dirty words in the same caches. */
static void prepare(void *arg)
{
    static uint64_t current_mean; /* of the workload that is in the bitmap */
    const struct workload *load = arg;
    if (current_mean != load->mean_pages)
        memset((void *)bitmap.words, 0, BITMAP_BYTES);
    current_mean = load->mean_pages;
    dirty(arg);
}

static void expect_all(struct pr_runs runs, const struct workload *load)
{
    struct pr_run run;
    uint64_t pages = 0;
    while (pr_runs_next(&runs, &run))
        pages += run.pages;
    if (pages != load->dirty_pages) {
        fprintf(stderr, "the runs hold %lu pages, not %lu: the figures mean nothing\n",
                (unsigned long)pages, (unsigned long)load->dirty_pages);
        abort();
    }
}

static uint64_t take_runs(void *arg)
{
    expect_all(pr_runs_take(&bitmap, 0, PAGES, PR_RUNS_UNLIMITED), arg);
    return 0;
}

static uint64_t look_at_runs(void *arg)
{
    expect_all(pr_runs_over((const uint64_t *)bitmap.words, 0, PAGES, PR_RUNS_UNLIMITED), arg);
    return 0;
}

static uint64_t read_bitmap(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(bitmap.words, BITMAP_BYTES));
    return 0;
}

static const struct pr_ratio ratios[] = {
    {
        .name = "bitmap-take-runs",
        .ours = {"bitmap to runs, clearing", prepare, take_runs},
        .reference = {"vectorised read", prepare, read_bitmap},
        .arg = &large,
        .bytes_per_turn = BITMAP_BYTES,
        .cpu_time = true,
        .pairs = 21,
        .bar = 0.80,
    },
    {
        .name = "bitmap-over-runs",
        .ours = {"bitmap to runs, only reading", prepare, look_at_runs},
        .reference = {"vectorised read", prepare, read_bitmap},
        .arg = &large,
        .bytes_per_turn = BITMAP_BYTES,
        .cpu_time = true,
        .pairs = 21,
    },
    {
        .name = "bitmap-take-small-runs",
        .ours = {"bitmap to runs of 64 KiB, clearing", prepare, take_runs},
        .reference = {"vectorised read", prepare, read_bitmap},
        .arg = &small,
        .bytes_per_turn = BITMAP_BYTES,
        .cpu_time = true,
        .pairs = 7,
    },
};

static void bench_take(struct pr_bench *bench, void *arg)
{
    const struct workload *load = arg;
    while (pr_bench_next(bench)) {
        pr_bench_pause(bench);
        prepare(arg);
        pr_bench_resume(bench);
        take_runs(arg);
    }
    pr_bench_bytes(bench, BITMAP_BYTES);
    pr_bench_counter(bench, "runs", (double)load->count);
}

static void bench_set(struct pr_bench *bench, void *arg)
{
    const struct workload *load = arg;
    prepare(arg);
    while (pr_bench_next(bench))
        dirty(arg);
    pr_bench_counter(bench, "ranges", (double)load->count);
}

static const struct pr_bench_tables tables = {
    .ratios = ratios,
    .ratio_count = sizeof(ratios) / sizeof(ratios[0]),
};

int main(int argc, char **argv)
{
    bitmap = pr_bitmap_over(pr_bench_memory(BITMAP_BYTES, false), PAGES);
    draw(&large);
    draw(&small);
    pr_bench_register("runs_take/768MiB/1%/1MiB", bench_take, &large);
    pr_bench_register("runs_take/768MiB/1%/64KiB", bench_take, &small);
    pr_bench_register("bitmap_set_range/1%/1MiB", bench_set, &large);
    int status = pr_bench_program(argc, argv, &tables);
    free(large.clusters);
    free(small.clusters);
    return status;
}
