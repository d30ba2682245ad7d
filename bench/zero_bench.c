/* SPDX-License-Identifier: BSD-2-Clause */
/* The zero scan against a plain read of the same memory. */
#include "bench/memory.h"
#include "bench/program.h"
#include "bench/shim.h"
#include "pagecopy/bits.h"
#include "pagecopy/zero.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMORY_BYTES ((size_t)512 << 20) /* many times the last-level cache */
#define PAGES (MEMORY_BYTES / PR_ZERO_PAGE_BYTES)

static unsigned char *zeros; /* all zero */
static unsigned char *data;  /* no page is zero: a byte at the start of each */
static unsigned char *tails; /* no page is zero: a byte at the very end of each */
static uint64_t zero_bits[PAGES / PR_WORD_BITS];

static void expect(uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        fprintf(stderr, "the scan found %lu zero pages, not %lu: the figures mean nothing\n",
                (unsigned long)got, (unsigned long)wanted);
        abort();
    }
}

static uint64_t scan_zeros(void *arg)
{
    (void)arg;
    expect(pr_zero_scan(zeros, PAGES, zero_bits), PAGES);
    return 0;
}

static uint64_t read_zeros(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(zeros, MEMORY_BYTES));
    return 0;
}

static uint64_t scan_data(void *arg)
{
    (void)arg;
    expect(pr_zero_scan(data, PAGES, zero_bits), 0);
    return 0;
}

static uint64_t read_data(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(data, MEMORY_BYTES));
    return 0;
}

static uint64_t scan_tails(void *arg)
{
    (void)arg;
    expect(pr_zero_scan(tails, PAGES, zero_bits), 0);
    return 0;
}

static uint64_t read_tails(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(tails, MEMORY_BYTES));
    return 0;
}

static const struct pr_ratio ratios[] = {
    {
        .name = "zero-scan-zero",
        .ours = {"zero scan of zero pages", NULL, scan_zeros},
        .reference = {"vectorised read", NULL, read_zeros},
        .bytes_per_turn = MEMORY_BYTES,
        .cpu_time = true,
        .pairs = 21,
        .bar = 0.90,
    },
    {
        .name = "zero-scan-data",
        .ours = {"zero scan of data pages", NULL, scan_data},
        .reference = {"vectorised read", NULL, read_data},
        .bytes_per_turn = MEMORY_BYTES,
        .cpu_time = true,
        .pairs = 21,
    },
    {
        .name = "zero-scan-tail",
        .ours = {"zero scan of pages with data at the end", NULL, scan_tails},
        .reference = {"vectorised read", NULL, read_tails},
        .bytes_per_turn = MEMORY_BYTES,
        .cpu_time = true,
        .pairs = 21,
    },
};

static void bench_scan(struct pr_bench *bench, void *arg)
{
    while (pr_bench_next(bench))
        pr_bench_keep(pr_zero_scan_by(arg, zeros, PAGES, zero_bits));
    pr_bench_bytes(bench, MEMORY_BYTES);
}

/* One page from the first-level cache: what the code itself costs. */
static void bench_page(struct pr_bench *bench, void *arg)
{
    const struct pr_zero_variant *variant = arg;
    while (pr_bench_next(bench))
        pr_bench_keep(variant->is(zeros, PR_ZERO_PAGE_BYTES));
    pr_bench_bytes(bench, PR_ZERO_PAGE_BYTES);
}

static void bench_read(struct pr_bench *bench, void *arg)
{
    (void)arg;
    while (pr_bench_next(bench))
        pr_bench_keep(pr_bench_read(zeros, MEMORY_BYTES));
    pr_bench_bytes(bench, MEMORY_BYTES);
}

static void register_all(void)
{
    static struct pr_zero_variant variants[8];
    char name[64];
    pr_bench_register("read/512MiB", bench_read, NULL);
    for (unsigned i = 0; pr_zero_variant_get(i, &variants[i]); i++) {
        if (!variants[i].supported)
            continue;
        snprintf(name, sizeof(name), "zero_scan/%s/512MiB", variants[i].name);
        pr_bench_register(name, bench_scan, &variants[i]);
        snprintf(name, sizeof(name), "zero_is/%s/4KiB", variants[i].name);
        pr_bench_register(name, bench_page, &variants[i]);
    }
}

static const struct pr_bench_tables tables = {
    .ratios = ratios,
    .ratio_count = sizeof(ratios) / sizeof(ratios[0]),
};

int main(int argc, char **argv)
{
    zeros = pr_bench_memory(MEMORY_BYTES, true);
    data = pr_bench_memory(MEMORY_BYTES, true);
    tails = pr_bench_memory(MEMORY_BYTES, true);
    for (size_t i = 0; i < PAGES; i++) {
        unsigned char value = (unsigned char)(i % 255 + 1);
        data[i * PR_ZERO_PAGE_BYTES] = value;
        tails[(i + 1) * PR_ZERO_PAGE_BYTES - 1] = value;
    }
    register_all();
    return pr_bench_program(argc, argv, &tables);
}
