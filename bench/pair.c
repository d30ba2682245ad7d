/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/pair.h"

#include "bench/memory.h"

#include <sys/mman.h>

void pr_bench_pair_open(struct pr_bench_pair *pair)
{
    *pair = (struct pr_bench_pair){0};
    pr_bench_peer_start(&pair->peer);
}

void pr_bench_pair_close(struct pr_bench_pair *pair)
{
    pr_bench_pair_part(pair);
    pr_bench_peer_stop(&pair->peer);
    if (pair->memory)
        munmap(pair->memory, pair->len_bytes);
}

static void map(struct pr_bench_pair *pair, size_t len_bytes, bool huge)
{
    if (pair->memory)
        munmap(pair->memory, pair->len_bytes);
    pair->memory = pr_bench_reserve(len_bytes, huge);
    pair->len_bytes = len_bytes;
    pair->huge = huge;
    pr_bench_peer_map(&pair->peer, len_bytes, huge);
}

void pr_bench_pair_map(struct pr_bench_pair *pair, size_t len_bytes, bool huge)
{
    if (pair->memory && pair->len_bytes == len_bytes && pair->huge == huge)
        return;
    map(pair, len_bytes, huge);
    pr_bench_fill(pair->memory, len_bytes);
}

void pr_bench_pair_reserve(struct pr_bench_pair *pair, size_t len_bytes)
{
    map(pair, len_bytes, false);
}

void pr_bench_pair_stamp(struct pr_bench_pair *pair, uint64_t stride)
{
    pr_bench_stamp(pair->memory, pair->len_bytes, stride, ++pair->stamp);
}

void pr_bench_pair_expect(struct pr_bench_pair *pair, uint64_t stride)
{
    pr_bench_peer_expect(&pair->peer, stride, pair->stamp);
}

void pr_bench_pair_listen(struct pr_bench_pair *pair, bool fresh)
{
    pr_bench_peer_listen(&pair->peer, fresh);
}

void pr_bench_pair_connect(struct pr_bench_pair *pair, uint32_t lanes)
{
    struct pagerail_options options = PAGERAIL_OPTIONS_INIT;
    options.lanes = lanes;
    struct pagerail_region region = pr_bench_region(pair->memory, pair->len_bytes, false);
    pr_bench_must(pagerail_source_new(&options, &pair->session), "making a source");
    pr_bench_must(pagerail_source_connect(pair->session, pair->peer.uri, &region, 1), "connecting");
}

void pr_bench_pair_part(struct pr_bench_pair *pair)
{
    if (!pair->session)
        return;
    pagerail_source_free(pair->session);
    pair->session = NULL;
    pr_bench_peer_part(&pair->peer);
}

void pr_bench_pair_settle(struct pr_bench_pair *pair)
{
    pr_bench_must(pagerail_source_epoch_end(pair->session, &pair->epoch), "ending an epoch");
    pr_bench_must(pagerail_source_epoch_wait(pair->session, pair->epoch, -1), "an epoch");
}

void pr_bench_pair_pass(struct pr_bench_pair *pair)
{
    pr_bench_must(pagerail_source_push(pair->session, 0, 0, pair->len_bytes), "a push");
    pr_bench_pair_settle(pair);
}

void pr_bench_pair_round(struct pr_bench_pair *pair, uint64_t *bits)
{
    uint64_t pages = pair->len_bytes / PAGERAIL_PAGE_BYTES;
    pr_bench_must(pagerail_source_push_dirty(pair->session, 0, 0, pair->len_bytes, bits, pages),
                  "a push of dirty pages");
    pr_bench_pair_settle(pair);
}

uint64_t pr_bench_pair_cpu_ns(struct pr_bench_pair *pair)
{
    return pr_bench_cpu_ns() + pr_bench_peer_cpu_ns(&pair->peer);
}
