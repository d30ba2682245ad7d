/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much the local fabric adds to the system call beneath it. `meson test --benchmark`.
 *
 * Method: a forked process offers 256 MiB; one thread here writes all of it, once through the
 * fabric and once by process_vm_writev alone with the same pieces in a call, turn about, ROUNDS
 * times. Told are GB/s (10^9 bytes of payload a second), median and best of the rounds, and the
 * median of the rounds' ratios.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/local.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (256ul << 20)
#define ROUNDS 15
#define MAX_BATCH 1024

struct shape {
    const char *name;
    uint64_t len;    /* of a write */
    uint64_t stride; /* from one write to the next */
    unsigned batch;  /* writes in a flush, and in a bare call */
};

static const struct shape shapes[] = {
    {"1 MiB writes, 1 a flush", 1 << 20, 1 << 20, 1},
    {"1 MiB writes, 16 a flush", 1 << 20, 1 << 20, 16},
    {"64 KiB writes, 16 a flush", 64 << 10, 64 << 10, 16},
    {"4 KiB alternate pages, 256 a flush", 4096, 8192, 256},
    {"4 KiB alternate pages, 16 a flush", 4096, 8192, 16},
};

struct bench {
    struct pr_fabric *fabric;
    struct pr_lane *lane;
    uint8_t *local;
    struct pr_mr *mr;
    struct pr_key key;
    pid_t peer;
};

static void check(int err, const char *what)
{
    if (err >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, pr_error_message());
    exit(1);
}

static void through_fabric(const struct bench *b, const struct shape *shape)
{
    uint64_t writes = BYTES / shape->stride;
    for (uint64_t i = 0; i < writes; i++) {
        struct pr_rma rma = {.local = b->local + i * shape->stride,
                             .mr = b->mr,
                             .remote = b->key.addr + i * shape->stride,
                             .key = &b->key,
                             .len = shape->len,
                             .signaled = (i + 1) % shape->batch == 0};
        check(pr_lane_post_write(b->lane, &rma), "post");
        if (!rma.signaled)
            continue;
        struct pr_completion c;
        check(pr_lane_flush(b->lane), "flush");
        int count = 0;
        while (!count)
            check(count = pr_lane_poll(b->lane, &c, 1), "poll");
    }
}

static void bare(const struct bench *b, const struct shape *shape)
{
    struct iovec local[MAX_BATCH], remote[MAX_BATCH];
    uint64_t writes = BYTES / shape->stride;
    for (uint64_t i = 0; i < writes; i++) {
        unsigned at = (unsigned)(i % shape->batch);
        local[at] = (struct iovec){b->local + i * shape->stride, shape->len};
        remote[at] =
            (struct iovec){(void *)(uintptr_t)(b->key.addr + i * shape->stride), shape->len};
        if (at + 1 == shape->batch &&
            process_vm_writev(b->peer, local, shape->batch, remote, shape->batch, 0) !=
                (ssize_t)(shape->batch * shape->len))
            exit(1);
    }
}

static double rate(void (*run)(const struct bench *, const struct shape *), const struct bench *b,
                   const struct shape *shape)
{
    uint64_t bytes = BYTES / shape->stride * shape->len;
    uint64_t before = pr_now_ns();
    run(b, shape);
    return (double)bytes / (double)(pr_now_ns() - before);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const struct bench *b, const struct shape *shape)
{
    double fabric[ROUNDS], alone[ROUNDS], ratio[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        fabric[i] = rate(through_fabric, b, shape);
        alone[i] = rate(bare, b, shape);
        ratio[i] = fabric[i] / alone[i];
    }
    qsort(fabric, ROUNDS, sizeof(double), compare);
    qsort(alone, ROUNDS, sizeof(double), compare);
    qsort(ratio, ROUNDS, sizeof(double), compare);
    printf("%-36s fabric %5.2f (best %5.2f)  bare %5.2f (best %5.2f) GB/s  ratio %.2f\n",
           shape->name, fabric[ROUNDS / 2], fabric[ROUNDS - 1], alone[ROUNDS / 2],
           alone[ROUNDS - 1], ratio[ROUNDS / 2]);
}

static uint8_t *make_memory(void)
{
    uint8_t *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        exit(1);
    memset(bytes, 1, BYTES);
    return bytes;
}

static void offer(const char *path)
{
    struct pr_fabric *fabric;
    struct pr_lane *lane;
    struct pr_mr *mr;
    check(pr_fabric_local_open(&fabric), "open");
    int err;
    while ((err = pr_fabric_connect(fabric, path, NULL, 0, 10000, NULL, &lane)) == -ENOENT)
        pr_sleep_ms(1);
    check(err, "connect");
    check(pr_fabric_reg(fabric, make_memory(), BYTES, PR_ACCESS_REMOTE_WRITE, &mr), "reg");
    check(pr_lane_post_send(lane, &mr->key, sizeof(mr->key), 0, false), "send");
    check(pr_lane_flush(lane), "flush");
    for (;;)
        pause();
}

int main(void)
{
    char folder[] = "/tmp/pagerail-perf-XXXXXX", path[64];
    struct bench b;
    struct pr_listener *listener;
    struct pr_completion c;
    int count = 0;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/s", folder);
    b.peer = fork();
    if (!b.peer)
        offer(path);
    check(pr_fabric_local_open(&b.fabric), "open");
    check(pr_fabric_listen(b.fabric, path, &listener), "listen");
    check(pr_listener_accept(listener, 10000, NULL, NULL, NULL, &b.lane), "accept");
    while (!count)
        check(count = pr_lane_poll(b.lane, &c, 1), "poll");
    memcpy(&b.key, c.bytes, sizeof(b.key));
    b.local = make_memory();
    check(pr_fabric_reg(b.fabric, b.local, BYTES, PR_ACCESS_LOCAL_READ, &b.mr), "reg");
    for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        measure(&b, &shapes[i]);
    kill(b.peer, SIGKILL);
    waitpid(b.peer, NULL, 0);
    pr_lane_close(b.lane);
    pr_fabric_dereg(b.mr);
    pr_listener_close(listener);
    pr_fabric_close(b.fabric);
    rmdir(folder);
    return 0;
}
