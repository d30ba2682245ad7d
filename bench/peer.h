/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination's process: a child that owns memory, listens for sessions, and answers questions
 * about both. The calling process is the source. What goes wrong ends the program with a sentence
 * (a benchmark has nobody else to tell).
 */
#ifndef PR_BENCH_PEER_H
#define PR_BENCH_PEER_H

#include <pagerail/transport.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pr_bench_peer {
    pid_t pid;
    int sock;
    char folder[32]; /* holds the listener's socket file */
    char uri[64];
    uint8_t *memory; /* where it is in the child */
    size_t len_bytes;
};

/* Forks: before the calling process has started any thread. */
void pr_bench_peer_start(struct pr_bench_peer *peer);
void pr_bench_peer_stop(struct pr_bench_peer *peer);

/* Gives the child memory, never touched, instead of what it had. */
void pr_bench_peer_map(struct pr_bench_peer *peer, size_t len_bytes, bool huge);

/* A page in every `stride` bytes is really there / none is, as in new memory. */
void pr_bench_peer_touch(struct pr_bench_peer *peer, size_t stride);
void pr_bench_peer_forget(struct pr_bench_peer *peer);

/* Listens, and accepts the next connection while the caller goes on. fresh: claims that the memory
 * is all zero. */
void pr_bench_peer_listen(struct pr_bench_peer *peer, bool fresh);

/* Ends the session. */
void pr_bench_peer_part(struct pr_bench_peer *peer);

/* Every stride-th page must hold the stamp (bench/memory.h). */
void pr_bench_peer_expect(struct pr_bench_peer *peer, uint64_t stride, uint64_t stamp);

/* Processor time of the child so far. */
uint64_t pr_bench_peer_cpu_ns(struct pr_bench_peer *peer);

/* Guest memory that the child's session has registered. */
uint64_t pr_bench_peer_registered_bytes(struct pr_bench_peer *peer);

/* The one region of both sides. */
struct pagerail_region pr_bench_region(void *memory, size_t len_bytes, bool fresh);

/* Ends the program when a call failed: with what it was for and the library's sentence. */
void pr_bench_must(int err, const char *what);

#endif
