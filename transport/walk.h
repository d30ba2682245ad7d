/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chunk of what the caller handed over -> its transfers: dirty bits to runs, runs through the
 * zero scan, a slice at a time, so that a page is read soon after its bit was cleared. A walk can
 * stop after any transfer and go on later.
 */
#ifndef PR_TRANSPORT_WALK_H
#define PR_TRANSPORT_WALK_H

#include "pagecopy/absent.h"
#include "pagecopy/plan.h"
#include "pagecopy/runs.h"
#include "pagecopy/zero.h"
#include "transport/regions.h"

#include <stdbool.h>
#include <stdint.h>

/* A chunk is what one worker takes at a time: small enough that the last ones of a round end
 * together, large enough that handing it over costs nothing (1/2048 of an operation a page). It
 * never crosses a window. */
#define PR_CHUNK_BYTES (UINT64_C(8) << 20)

enum pr_chunk_kind {
    PR_CHUNK_RUN,   /* every page of the range */
    PR_CHUNK_DIRTY, /* the pages whose bit is set */
    PR_CHUNK_EPOCH, /* no pages: the epoch `offset` ends */
};

struct pr_chunk {
    enum pr_chunk_kind kind;
    uint32_t region;
    uint64_t offset, len; /* bytes in the region */
    uint64_t *bits;       /* PR_CHUNK_DIRTY: the caller's bitmap; */
    uint64_t first_bit;   /* the bit of the chunk's first page */
};

#define PR_SLICE_PAGES                                                                             \
    256 /* scanned at once: 1 MiB stays in the cache for the write that follows */

struct pr_walk {
    struct pr_chunk chunk;
    const struct pr_region *region;
    struct pr_plan_limits limits;
    struct pr_bitmap bitmap;
    struct pr_runs runs;
    uint64_t run_at, run_end; /* what is left of the current run, bytes in the region */
    struct pr_plan plan;      /* of the current slice */
    bool planned;
    bool behind_data; /* the last page that was scanned is not zero */
    uint64_t zero_bits[PR_SLICE_PAGES / 64];
    struct pr_transfer next;
    bool has_next;
};

/* Begins. The walk may not move in memory afterwards. */
void pr_walk_start(struct pr_walk *walk, const struct pr_chunk *chunk,
                   const struct pr_region *region, const struct pr_plan_limits *limits);

/* The transfer to do next, NULL at the end. It stays until pr_walk_took. */
const struct pr_transfer *pr_walk_peek(struct pr_walk *walk);
void pr_walk_took(struct pr_walk *walk);

#endif
