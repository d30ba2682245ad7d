/* SPDX-License-Identifier: BSD-2-Clause */
/* Two processes with memory of one size each, and a session over local: between them. Errors end
 * the program. */
#ifndef PR_BENCH_PAIR_H
#define PR_BENCH_PAIR_H

#include "bench/peer.h"

struct pr_bench_pair {
    struct pr_bench_peer peer;
    uint8_t *memory; /* the source's: this process's */
    size_t len_bytes;
    bool huge;
    uint64_t stamp; /* the newest one in the source's memory */
    pagerail_source *session;
    uint64_t epoch; /* of the session */
};

/* Before any thread is started. */
void pr_bench_pair_open(struct pr_bench_pair *pair);
void pr_bench_pair_close(struct pr_bench_pair *pair);

/* Memory on both sides, the source's filled with data; keeps what is there already when it is like
 * this. Without a session. */
void pr_bench_pair_map(struct pr_bench_pair *pair, size_t len_bytes, bool huge);

/* Memory on both sides that nothing is in. Without a session. */
void pr_bench_pair_reserve(struct pr_bench_pair *pair, size_t len_bytes);

/* A new stamp into every stride-th page of the source / it must have arrived. */
void pr_bench_pair_stamp(struct pr_bench_pair *pair, uint64_t stride);
void pr_bench_pair_expect(struct pr_bench_pair *pair, uint64_t stride);

/* lanes: 0 = default. fresh: the destination claims that its memory is all zero. The first lets the
 * destination listen, the second connects. */
void pr_bench_pair_listen(struct pr_bench_pair *pair, bool fresh);
void pr_bench_pair_connect(struct pr_bench_pair *pair, uint32_t lanes);
void pr_bench_pair_part(struct pr_bench_pair *pair);

/* Hands everything over / the pages whose bits are set, and waits until the destination has it. */
void pr_bench_pair_pass(struct pr_bench_pair *pair);
void pr_bench_pair_round(struct pr_bench_pair *pair, uint64_t *bits);

/* Ends the epoch and waits until the destination has it. */
void pr_bench_pair_settle(struct pr_bench_pair *pair);

/* Processor time of both processes so far. */
uint64_t pr_bench_pair_cpu_ns(struct pr_bench_pair *pair);

#endif
