/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session costs the thread that drives it, and the processors of both hosts. */
#include "bench/memory.h"
#include "bench/pair.h"
#include "bench/program.h"

#include "base/runtime.h"

#include <string.h>

#define MEMORY_BYTES ((size_t)512 << 20)
#define PAGES (MEMORY_BYTES / PAGERAIL_PAGE_BYTES)
#define CHUNK_BYTES ((size_t)8 << 20) /* what a push is cut into: transport/walk.h */
#define CALLS 1000
#define GIB ((double)(1u << 30))

static struct pr_bench_pair pair;
static uint64_t bits[PAGES / 64];

/* A session that has sent everything once. */
static void begin(void)
{
    pr_bench_pair_map(&pair, MEMORY_BYTES, false);
    pr_bench_peer_touch(&pair.peer, PAGERAIL_PAGE_BYTES);
    pr_bench_pair_listen(&pair, false);
    pr_bench_pair_connect(&pair, 0);
    pr_bench_pair_pass(&pair);
}

static void push(size_t at, size_t len)
{
    pr_bench_must(pagerail_source_push(pair.session, 0, at, len), "a push");
}

/* Every second page a call of its own: what a VMM should not do. */
static double push_pages(void *arg)
{
    (void)arg;
    begin();
    uint64_t start = pr_thread_cpu_ns();
    for (size_t i = 0; i < CALLS; i++)
        push(2 * i * PAGERAIL_PAGE_BYTES, PAGERAIL_PAGE_BYTES);
    uint64_t ns = pr_thread_cpu_ns() - start;
    pr_bench_pair_settle(&pair);
    pr_bench_pair_part(&pair);
    return (double)ns / CALLS;
}

static double push_all(void *arg)
{
    (void)arg;
    begin();
    uint64_t start = pr_thread_cpu_ns();
    push(0, MEMORY_BYTES);
    uint64_t ns = pr_thread_cpu_ns() - start;
    pr_bench_pair_settle(&pair);
    pr_bench_pair_part(&pair);
    return (double)ns / (MEMORY_BYTES / CHUNK_BYTES);
}

/* With its end and the wait for it. */
static double push_dirty(void *arg)
{
    (void)arg;
    begin();
    memset(bits, 0x55, sizeof(bits));
    uint64_t start = pr_thread_cpu_ns();
    pr_bench_pair_round(&pair, bits);
    uint64_t ns = pr_thread_cpu_ns() - start;
    pr_bench_pair_part(&pair);
    return (double)ns / (MEMORY_BYTES / CHUNK_BYTES);
}

struct processors {
    bool destination;
    bool huge;
    bool fresh;
};

static uint64_t cpu_ns(const struct processors *p)
{
    return p->destination ? pr_bench_peer_cpu_ns(&pair.peer) : pr_bench_cpu_ns();
}

/* Processor seconds that one side spends on a GiB of a first pass, its session included. */
static double first_pass(void *arg)
{
    const struct processors *p = arg;
    pr_bench_pair_map(&pair, MEMORY_BYTES, p->huge);
    if (p->fresh)
        pr_bench_peer_forget(&pair.peer);
    else
        pr_bench_peer_touch(&pair.peer, PAGERAIL_PAGE_BYTES);
    uint64_t start = cpu_ns(p);
    pr_bench_pair_listen(&pair, p->fresh);
    pr_bench_pair_connect(&pair, 0);
    pr_bench_pair_pass(&pair);
    uint64_t ns = cpu_ns(p) - start;
    pr_bench_pair_part(&pair);
    return (double)ns / 1e9 / ((double)MEMORY_BYTES / GIB);
}

#define CPU(title, ...)                                                                            \
    {                                                                                              \
        .name = title, .unit = "CPU s/GiB", .measure = first_pass,                                 \
        .arg = &(struct processors){__VA_ARGS__}, .samples = 5                                     \
    }

static const struct pr_figure figures[] = {
    {"push-one-page", "ns/call", push_pages, NULL, 5, 0},
    {"push-all", "ns/8 MiB", push_all, NULL, 5, 0},
    {"push-dirty-round", "ns/8 MiB", push_dirty, NULL, 5, 0},
    CPU("cpu-source", 0),
    CPU("cpu-destination", .destination = true),
    CPU("cpu-source-fresh", .fresh = true),
    CPU("cpu-destination-fresh", .destination = true, .fresh = true),
    CPU("cpu-source-huge", .huge = true),
    CPU("cpu-source-huge-fresh", .huge = true, .fresh = true),
};

static const struct pr_bench_tables tables = {
    .figures = figures,
    .figure_count = sizeof(figures) / sizeof(figures[0]),
};

int main(int argc, char **argv)
{
    pr_bench_pair_open(&pair);
    int status = pr_bench_program(argc, argv, &tables);
    pr_bench_pair_close(&pair);
    return status;
}
