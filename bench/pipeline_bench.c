/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole passes and dirty rounds of a session over local: against bare process_vm_writev. */
#include "bench/memory.h"
#include "bench/pair.h"
#include "bench/program.h"
#include "bench/shim.h"

#include "base/runtime.h"

#include <pthread.h>
#include <stdatomic.h>
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

/* ---- several threads ---- */

struct crowd {
    void (*piece)(const struct run *run, size_t at);
    const struct run *run;
    size_t piece_bytes;
    _Atomic size_t next;
    pthread_barrier_t start;
};

static void draw_pieces(struct crowd *crowd)
{
    size_t at;
    while ((at = atomic_fetch_add(&crowd->next, crowd->piece_bytes)) < MEMORY_BYTES)
        crowd->piece(crowd->run, at);
}

static void *one_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    pthread_barrier_wait(&crowd->start);
    draw_pieces(crowd);
    return NULL;
}

/* Does all pieces of the memory by the run's threads, which are there before the clock starts. */
static uint64_t work_together(const struct run *run, size_t piece_bytes,
                              void (*piece)(const struct run *run, size_t at))
{
    struct crowd crowd = {.piece = piece, .run = run, .piece_bytes = piece_bytes};
    pthread_t threads[MAX_THREADS];
    pthread_barrier_init(&crowd.start, NULL, run->more_threads + 1);
    for (unsigned i = 0; i < run->more_threads; i++) {
        if (pthread_create(&threads[i], NULL, one_of_crowd, &crowd))
            abort();
    }
    pthread_barrier_wait(&crowd.start);
    uint64_t start = clock_ns(run);
    draw_pieces(&crowd);
    for (unsigned i = 0; i < run->more_threads; i++)
        pthread_join(threads[i], NULL);
    uint64_t ns = clock_ns(run) - start;
    pthread_barrier_destroy(&crowd.start);
    return ns;
}

/* ---- the bare loops ---- */

static void write_out(const struct iovec *from, const struct iovec *to, unsigned count, size_t len)
{
    if (process_vm_writev(pair.peer.pid, from, count, to, count, 0) == (ssize_t)len)
        return;
    perror("process_vm_writev");
    exit(2);
}

static void move_piece(const struct run *run, size_t at)
{
    (void)run;
    struct iovec from = {pair.memory + at, CALL_BYTES};
    struct iovec to = {pair.peer.memory + at, CALL_BYTES};
    write_out(&from, &to, 1, CALL_BYTES);
}

static void move_pages(const struct run *run, size_t at)
{
    struct iovec from[CALL_PAGES], to[CALL_PAGES];
    unsigned count = 0;
    for (; count < CALL_PAGES && at < MEMORY_BYTES; count++) {
        from[count] = (struct iovec){pair.memory + at, PAGERAIL_PAGE_BYTES};
        to[count] = (struct iovec){pair.peer.memory + at, PAGERAIL_PAGE_BYTES};
        at += run->stride * PAGERAIL_PAGE_BYTES;
    }
    write_out(from, to, count, (size_t)count * PAGERAIL_PAGE_BYTES);
}

static uint64_t loop(void *arg)
{
    const struct run *run = arg;
    const bool scattered = run->stride > 1;
    uint64_t ns =
        work_together(run, scattered ? CALL_PAGES * run->stride * PAGERAIL_PAGE_BYTES : CALL_BYTES,
                      scattered ? move_pages : move_piece);
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

/* Nobody ever touched it, on either side. */
static void prepare_absent(void *arg)
{
    (void)arg;
    pr_bench_pair_part(&pair);
    pr_bench_pair_reserve(&pair, MEMORY_BYTES);
}

static void check_zeros(void)
{
    struct pagerail_stats stats;
    pagerail_source_stats(pair.session, &stats);
    if (stats.zero_pages == PAGES && !stats.pages_sent)
        return;
    fprintf(stderr, "not all pages were found zero: the figures mean nothing\n");
    abort();
}

static uint64_t pass_zeros(void *arg)
{
    const struct run *run = arg;
    pr_bench_pair_listen(&pair, run->fresh);
    uint64_t start = clock_ns(run);
    pr_bench_pair_connect(&pair, run->lanes);
    pr_bench_pair_pass(&pair);
    uint64_t ns = clock_ns(run) - start;
    check_zeros();
    return ns;
}

static uint64_t read_zeros(void *arg)
{
    (void)arg;
    pr_bench_keep(pr_bench_read(pair.memory, pair.len_bytes));
    return 0;
}

/* The clock starts when the lanes are there. */
static uint64_t scan_zeros(void *arg)
{
    const struct run *run = arg;
    pr_bench_pair_listen(&pair, run->fresh);
    pr_bench_pair_connect(&pair, run->lanes);
    uint64_t start = clock_ns(run);
    pr_bench_pair_pass(&pair);
    uint64_t ns = clock_ns(run) - start;
    check_zeros();
    return ns;
}

static void read_piece(const struct run *run, size_t at)
{
    (void)run;
    pr_bench_keep(pr_bench_read(pair.memory + at, CALL_BYTES));
}

static uint64_t read_zeros_together(void *arg)
{
    return work_together(arg, CALL_BYTES, read_piece);
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
        .arg = &(struct run){.stride = 1, .lanes = (n), .more_threads = (n)-1},                    \
        .bytes_per_turn = MEMORY_BYTES,                                                            \
        .pairs = 15,                                                                               \
        .bar = 0.85,                                                                               \
        .cpus = (n),                                                                               \
    },                                                                                             \
    {                                                                                              \
        .name = "round-" #n "-lanes-to-1", .ours = {#n " lanes", prepare_round, dirty_round},      \
        .reference = {"one lane", prepare_round_of_one, dirty_round},                              \
        .arg = &(struct run){.stride = 1, .lanes = (n)}, .bytes_per_turn = MEMORY_BYTES,           \
        .pairs = 15, .cpus = (n),                                                                  \
    }
#define SCALE_ZERO(n)                                                                              \
    {                                                                                              \
        .name = "zero-" #n "-lanes-" #n "-reads",                                                  \
        .ours = {#n " lanes of zeroes", prepare_zeros, scan_zeros},                                \
        .reference = {#n " vectorised reads", prepare_zeros, read_zeros_together},                 \
        .arg = &(struct run){.huge = true, .fresh = true, .lanes = (n), .more_threads = (n)-1},    \
        .bytes_per_turn = MEMORY_BYTES, .pairs = 15, .cpus = (n),                                  \
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
    {
        .name = "pass-absent-1-lane",
        .ours = {"first pass of memory that is not there", prepare_absent, pass_zeros},
        .reference = {"vectorised read", prepare_absent, read_zeros},
        .arg = &(struct run){.stride = 1, .lanes = 1},
        .bytes_per_turn = MEMORY_BYTES,
        .pairs = 15,
        .bar = 10,
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
