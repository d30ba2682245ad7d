/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that a session takes on each side, for guests of which a page in each GiB is in use:
 * what grows with the guest's size, whatever it holds. And how long it takes to register it all.
 */
#include "bench/memory.h"
#include "bench/pair.h"
#include "bench/program.h"

#include "base/runtime.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB ((size_t)1 << 30)
#define MIB ((double)(1 << 20))

struct guest {
    size_t gib;
    enum { SOURCE, DESTINATION, SECONDS } what;
};

static void touch_sparsely(uint8_t *memory, size_t len_bytes)
{
    for (size_t at = 0; at < len_bytes; at += GIB)
        memory[at] = 1;
}

static uint64_t read_kib(const char *path, const char *format)
{
    FILE *file = fopen(path, "re");
    char line[256];
    uint64_t kib = 0;
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, format, &kib) == 1)
            break;
    }
    if (file)
        fclose(file);
    if (kib)
        return kib;
    fprintf(stderr, "cannot find '%s' in %s\n", format, path);
    exit(2);
}

/* Its share of all its memory, and the kernel's page tables for it. */
static uint64_t used_bytes(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    uint64_t kib = read_kib(path, "Pss: %" SCNu64);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    return (kib + read_kib(path, "VmPTE: %" SCNu64)) << 10;
}

static uint64_t registered_bytes(struct pr_bench_pair *pair)
{
    struct pagerail_stats stats;
    pagerail_source_stats(pair->session, &stats);
    uint64_t theirs = pr_bench_peer_registered_bytes(&pair->peer);
    return stats.registered_bytes < theirs ? stats.registered_bytes : theirs;
}

static uint64_t register_all(struct pr_bench_pair *pair)
{
    pr_bench_pair_listen(pair, false);
    uint64_t start = pr_now_ns();
    pr_bench_pair_connect(pair, 0);
    while (registered_bytes(pair) < pair->len_bytes)
        pr_sleep_ms(1);
    return pr_now_ns() - start;
}

static void push_sparsely(struct pr_bench_pair *pair)
{
    for (size_t at = 0; at < pair->len_bytes; at += GIB)
        pr_bench_must(pagerail_source_push(pair->session, 0, at, PAGERAIL_PAGE_BYTES), "a push");
    pr_bench_pair_settle(pair);
}

static double run(const struct guest *guest)
{
    struct pr_bench_pair pair;
    pr_bench_pair_open(&pair);
    pr_bench_pair_reserve(&pair, guest->gib * GIB);
    touch_sparsely(pair.memory, pair.len_bytes);
    pr_bench_peer_touch(&pair.peer, GIB);
    pid_t pid = guest->what == SOURCE ? getpid() : pair.peer.pid;
    uint64_t before = used_bytes(pid);
    uint64_t ns = register_all(&pair);
    push_sparsely(&pair);
    uint64_t grown = used_bytes(pid) - before;
    pr_bench_pair_close(&pair);
    return guest->what == SECONDS ? (double)ns / 1e9 : (double)grown / MIB;
}

/* In a process of its own, so that each session starts with an empty heap. */
static double run_apart(void *arg)
{
    double result;
    int ends[2];
    if (pipe(ends))
        abort();
    pid_t pid = fork();
    if (!pid) {
        result = run(arg);
        _exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 2);
    }
    close(ends[1]);
    bool told = pid > 0 && read(ends[0], &result, sizeof(result)) == sizeof(result);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    if (!told)
        exit(2);
    return result;
}

/* 0.1 % of the guest and 64 MiB. */
#define BAR(gib_) ((gib_)*1024.0 / 1000 + 64)
#define MEMORY(title, gib_, side, samples_)                                                        \
    {                                                                                              \
        title, "MiB", run_apart, &(struct guest){gib_, side}, samples_, BAR(gib_)                  \
    }

static const struct pr_figure figures[] = {
    MEMORY("footprint-source-1g", 1, SOURCE, 3),
    MEMORY("footprint-destination-1g", 1, DESTINATION, 3),
    MEMORY("footprint-source-64g", 64, SOURCE, 3),
    MEMORY("footprint-destination-64g", 64, DESTINATION, 3),
    MEMORY("footprint-source-1t", 1024, SOURCE, 3),
    MEMORY("footprint-destination-1t", 1024, DESTINATION, 3),
    MEMORY("footprint-source-24t", 24 * 1024, SOURCE, 1),
    MEMORY("footprint-destination-24t", 24 * 1024, DESTINATION, 1),
    {"register-1t", "s", run_apart, &(struct guest){1024, SECONDS}, 3, 0},
    {"register-24t", "s", run_apart, &(struct guest){24 * 1024, SECONDS}, 1, 0},
};

static const struct pr_bench_tables tables = {
    .figures = figures,
    .figure_count = sizeof(figures) / sizeof(figures[0]),
};

int main(int argc, char **argv)
{
    return pr_bench_program(argc, argv, &tables);
}
