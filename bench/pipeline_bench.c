/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole passes and dirty rounds of a session over local: against bare process_vm_writev. */
#include "bench/memory.h"
#include "bench/pair.h"
#include "bench/program.h"
#include "bench/shim.h"

#include "base/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define MEMORY_BYTES ((size_t)1 << 30)
#define PAGES (MEMORY_BYTES / PAGERAIL_PAGE_BYTES)
#define CALL_BYTES ((size_t)1 << 20) /* of the bare loop */
#define CALL_PAGES 512               /* of the bare loop over scattered pages */
#define MAX_THREADS 16

static struct pr_bench_pair pair;
static uint64_t bits[PAGES / 64];

struct run {
    bool huge;      /* transparent huge pages on both sides */
    bool fresh;     /* the destination's memory has no page yet, at the start of each turn */
    bool cpu;       /* count the processor time of both processes, not the time that passes */
    uint32_t lanes; /* 0 = default */
    unsigned more_threads; /* of the reference, beside its first */
    uint64_t stride;       /* of the dirty pages */
};

static uint64_t clock_ns(const struct run *run)
{
    return run->cpu ? pr_bench_pair_cpu_ns(&pair) : pr_now_ns();
}

/* ---- the bare loops ---- */

struct part {
    const struct run *run;
    size_t start, end;
};

static void write_out(const struct iovec *from, const struct iovec *to, unsigned count, size_t len)
{
    if (process_vm_writev(pair.peer.pid, from, count, to, count, 0) == (ssize_t)len)
        return;
    perror("process_vm_writev");
    exit(2);
}

static void *move_all(void *arg)
{
    const struct part *part = arg;
    for (size_t at = part->start; at < part->end; at += CALL_BYTES) {
        struct iovec from = {pair.memory + at, CALL_BYTES};
        struct iovec to = {pair.peer.memory + at, CALL_BYTES};
        write_out(&from, &to, 1, CALL_BYTES);
    }
    return NULL;
}

static void *move_pages(void *arg)
{
    const struct part *part = arg;
    struct iovec from[CALL_PAGES], to[CALL_PAGES];
    for (size_t at = part->start; at < part->end;) {
        unsigned count = 0;
        for (; count < CALL_PAGES && at < part->end; count++) {
            from[count] = (struct iovec){pair.memory + at, PAGERAIL_PAGE_BYTES};
            to[count] = (struct iovec){pair.peer.memory + at, PAGERAIL_PAGE_BYTES};
            at += part->run->stride * PAGERAIL_PAGE_BYTES;
        }
        write_out(from, to, count, (size_t)count * PAGERAIL_PAGE_BYTES);
    }
    return NULL;
}

static uint64_t loop(void *arg)
{
    const struct run *run = arg;
    struct part parts[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    void *(*move)(void *) = run->stride > 1 ? move_pages : move_all;
    const unsigned more = run->more_threads;
    size_t share = MEMORY_BYTES / (more + 1);
    uint64_t start = clock_ns(run);
    for (unsigned i = 0; i <= more; i++) {
        parts[i] = (struct part){run, i * share, (i + 1) * share};
        if (i && pthread_create(&threads[i], NULL, move, &parts[i]))
            abort();
    }
    move(&parts[0]);
    for (unsigned i = 1; i <= more; i++)
        pthread_join(threads[i], NULL);
    uint64_t ns = clock_ns(run) - start;
    pr_bench_pair_expect(&pair, run->stride);
    return ns;
}

/* ---- first passes: a session each ---- */

static void prepare_pass(void *arg)
{
    const struct run *run = arg;
    pr_bench_pair_part(&pair);
    pr_bench_pair_map(&pair, MEMORY_BYTES, run->huge);
    if (run->fresh)
        pr_bench_peer_forget(&pair.peer);
    else
        pr_bench_peer_touch(&pair.peer, PAGERAIL_PAGE_BYTES);
    pr_bench_pair_stamp(&pair, run->stride);
}

/* From before the connection, so that handshake and registration count. */
static uint64_t pass(void *arg)
{
    const struct run *run = arg;
    uint64_t cpu = run->cpu ? clock_ns(run) : 0; /* while the peer can still answer */
    pr_bench_pair_listen(&pair, run->fresh);
    uint64_t start = run->cpu ? cpu : clock_ns(run);
    pr_bench_pair_connect(&pair, run->lanes);
    pr_bench_pair_pass(&pair);
    uint64_t ns = clock_ns(run) - start;
    pr_bench_pair_part(&pair);
    pr_bench_pair_expect(&pair, run->stride);
    return ns;
}

/* ---- first passes over memory that is all zero: the last of the table, for no data is left ----
 */

static void prepare_zeros(void *arg)
{
    const struct run *run = arg;
    pr_bench_pair_part(&pair);
    pr_bench_pair_map(&pair, MEMORY_BYTES, run->huge);
    pr_bench_peer_forget(&pair.peer);
    memset(pair.memory, 0, pair.len_bytes);
}

static uint64_t pass_zeros_over(const struct run *run, uint32_t lanes)
{
    pr_bench_pair_listen(&pair, run->fresh);
    uint64_t start = clock_ns(run);
    pr_bench_pair_connect(&pair, lanes);
    pr_bench_pair_pass(&pair);
    uint64_t ns = clock_ns(run) - start;
    struct pagerail_stats stats;
    pagerail_source_stats(pair.session, &stats);
    if (stats.zero_pages != PAGES || stats.pages_sent) {
        fprintf(stderr, "not all pages were found zero: the figures mean nothing\n");
        abort();
    }
    return ns;
}

static uint64_t pass_zeros(void *arg)
{
    const struct run *run = arg;
    return pass_zeros_over(run, run->lanes);
}

static uint64_t pass_zeros_by_one(void *arg)
{
    return pass_zeros_over(arg, 1);
}

static uint64_t read_zeros(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(pair.memory, pair.len_bytes));
    return 0;
}

/* ---- dirty rounds: of one session, unless the number of lanes changes ---- */

static void have_session(const struct run *run, uint32_t lanes)
{
    static uint32_t now;
    if (pair.session && now == lanes)
        return;
    pr_bench_pair_part(&pair);
    pr_bench_pair_map(&pair, MEMORY_BYTES, run->huge);
    pr_bench_pair_listen(&pair, false);
    pr_bench_pair_connect(&pair, lanes);
    pr_bench_pair_pass(&pair);
    now = lanes;
}

static void prepare_round_over(const struct run *run, uint32_t lanes)
{
    have_session(run, lanes);
    for (uint64_t page = 0; page < PAGES; page += run->stride)
        bits[page / 64] |= UINT64_C(1) << page % 64;
    pr_bench_pair_stamp(&pair, run->stride);
}

static void prepare_round(void *arg)
{
    const struct run *run = arg;
    prepare_round_over(run, run->lanes);
}

static void prepare_round_of_one(void *arg)
{
    prepare_round_over(arg, 1);
}

static uint64_t dirty_round(void *arg)
{
    const struct run *run = arg;
    uint64_t start = clock_ns(run);
    pr_bench_pair_round(&pair, bits);
    uint64_t ns = clock_ns(run) - start;
    pr_bench_pair_expect(&pair, run->stride);
    return ns;
}

#define PASS(title, bar_, ...)                                                                     \
    {                                                                                              \
        .name = title, .ours = {"first pass", prepare_pass, pass},                                 \
        .reference = {"bare loop", prepare_pass, loop},                                            \
        .arg = &(struct run){.stride = 1, __VA_ARGS__}, .bytes_per_turn = MEMORY_BYTES,            \
        .pairs = 15, .bar = bar_,                                                                  \
    }
#define ROUND(title, bar_, ...)                                                                    \
    {                                                                                              \
        .name = title, .ours = {"dirty round", prepare_round, dirty_round},                        \
        .reference = {"bare loop of 512 pages", prepare_round, loop},                              \
        .arg = &(struct run){.stride = 2, __VA_ARGS__}, .bytes_per_turn = MEMORY_BYTES / 2,        \
        .pairs = 15, .bar = bar_,                                                                  \
    }
/* Rounds in which all is dirty, over lanes on processors of their own: against as many bare loops,
 * and against one lane. */
#define SCALE(n)                                                                                   \
    {                                                                                              \
        .name = "round-" #n "-lanes-" #n "-loops",                                                 \
        .ours = {#n " lanes", prepare_round, dirty_round},                                         \
        .reference = {#n " bare loops", prepare_round, loop},                                      \
        .arg = &(struct run){.stride = 1, .lanes = n, .more_threads = n - 1},                      \
        .bytes_per_turn = MEMORY_BYTES,                                                            \
        .pairs = 15,                                                                               \
        .bar = 0.85,                                                                               \
        .cpus = n,                                                                                 \
    },                                                                                             \
    {                                                                                              \
        .name = "round-" #n "-lanes-to-1", .ours = {#n " lanes", prepare_round, dirty_round},      \
        .reference = {"one lane", prepare_round_of_one, dirty_round},                              \
        .arg = &(struct run){.stride = 1, .lanes = n}, .bytes_per_turn = MEMORY_BYTES,             \
        .pairs = 15, .cpus = n,                                                                    \
    }
#define SCALE_ZERO(n)                                                                              \
    {                                                                                              \
        .name = "pass-zero-" #n "-lanes-to-1",                                                     \
        .ours = {#n " lanes of zeroes", prepare_zeros, pass_zeros},                                \
        .reference = {"one lane", prepare_zeros, pass_zeros_by_one},                               \
        .arg = &(struct run){.stride = 1, .huge = true, .fresh = true, .lanes = n},                \
        .bytes_per_turn = MEMORY_BYTES, .pairs = 15, .cpus = n,                                    \
    }

static const struct pr_ratio ratios[] = {
    PASS("pass-touched", 0.85),
    PASS("pass-touched-1-lane", 0.85, .lanes = 1),
    PASS("pass-touched-2-loops", 0, .more_threads = 1),
    PASS("pass-touched-cpu", 0, .cpu = true),
    PASS("pass-fresh", 0.85, .fresh = true),
    PASS("pass-fresh-1-lane", 0.85, .fresh = true, .lanes = 1),
    PASS("pass-fresh-cpu", 0, .fresh = true, .cpu = true),
    PASS("pass-huge-touched", 0.85, .huge = true),
    PASS("pass-huge-touched-1-lane", 0.85, .huge = true, .lanes = 1),
    PASS("pass-huge-fresh", 0.85, .huge = true, .fresh = true),
    PASS("pass-huge-fresh-cpu", 0, .huge = true, .fresh = true, .cpu = true),
    ROUND("round-alternate", 0.85),
    ROUND("round-alternate-cpu", 0, .cpu = true),
    ROUND("round-alternate-2-loops", 0, .more_threads = 1),
    SCALE(2),
    SCALE(4),
    SCALE(8),
    SCALE(16),
    {
        .name = "pass-zero-1-lane",
        .ours = {"first pass of zeroes", prepare_zeros, pass_zeros},
        .reference = {"vectorised read", prepare_zeros, read_zeros},
        .arg = &(struct run){.stride = 1, .huge = true, .fresh = true, .lanes = 1},
        .bytes_per_turn = MEMORY_BYTES,
        .pairs = 15,
        .bar = 0.80,
    },
    SCALE_ZERO(2),
    SCALE_ZERO(4),
    SCALE_ZERO(8),
    SCALE_ZERO(16),
};

static const struct pr_bench_tables tables = {
    .ratios = ratios,
    .ratio_count = sizeof(ratios) / sizeof(ratios[0]),
};

int main(int argc, char **argv)
{
    pr_bench_pair_open(&pair);
    int status = pr_bench_program(argc, argv, &tables);
    pr_bench_pair_close(&pair);
    return status;
}
