/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/walk.h"

#include "pagecopy/bits.h"

#include <string.h>

_Static_assert(PR_SLICE_PAGES == PR_ABSENT_PAGES, "a slice is asked for at once");

#define SLICE_BYTES (PR_SLICE_PAGES * (uint64_t)PR_ZERO_PAGE_BYTES)

void pr_walk_start(struct pr_walk *walk, const struct pr_chunk *chunk,
                   const struct pr_region *region, const struct pr_plan_limits *limits)
{
    const uint64_t page_bytes = region->page_bytes;
    *walk = (struct pr_walk){.chunk = *chunk, .region = region, .limits = *limits};
    if (chunk->kind == PR_CHUNK_DIRTY) {
        uint64_t pages = chunk->len / page_bytes;
        walk->bitmap = pr_bitmap_over(chunk->bits, chunk->first_bit + pages);
        uint64_t max_pages = SLICE_BYTES / page_bytes;
        walk->runs =
            pr_runs_take(&walk->bitmap, chunk->first_bit, pages, max_pages ? max_pages : 1);
    } else {
        walk->run_at = chunk->offset;
        walk->run_end = chunk->offset + chunk->len;
    }
}

static bool next_run(struct pr_walk *walk)
{
    const uint64_t page_bytes = walk->region->page_bytes;
    struct pr_run run;
    if (walk->chunk.kind != PR_CHUNK_DIRTY || !pr_runs_next(&walk->runs, &run))
        return false;
    walk->run_at = walk->chunk.offset + (run.first_page - walk->chunk.first_bit) * page_bytes;
    walk->run_end = walk->run_at + run.pages * page_bytes;
    return true;
}

/* Data is mostly followed by data: the kernel is asked at the chunk's start and behind zeroes. */
static void find_zeroes(struct pr_walk *walk, uint64_t len)
{
    const uint8_t *at = walk->region->addr + walk->run_at;
    const uint64_t pages = len / PR_ZERO_PAGE_BYTES;
    if (len == SLICE_BYTES && !walk->behind_data && pr_absent_all(walk->region->absent, at)) {
        memset(walk->zero_bits, 0xff, sizeof(walk->zero_bits));
        return;
    }
    pr_zero_scan(at, pages, walk->zero_bits);
    walk->behind_data = !pr_bits_test(walk->zero_bits, pages - 1);
}

static bool next_slice(struct pr_walk *walk)
{
    if (walk->run_at == walk->run_end && !next_run(walk))
        return false;
    uint64_t left = walk->run_end - walk->run_at;
    uint64_t len = left < SLICE_BYTES ? left : SLICE_BYTES;
    find_zeroes(walk, len);
    walk->plan = pr_plan_start(&walk->limits, walk->run_at, len, walk->zero_bits);
    walk->planned = true;
    walk->run_at += len;
    return true;
}

const struct pr_transfer *pr_walk_peek(struct pr_walk *walk)
{
    while (!walk->has_next) {
        if (walk->planned && pr_plan_next(&walk->plan, &walk->next)) {
            walk->has_next = true;
        } else {
            walk->planned = false;
            if (!next_slice(walk))
                return NULL;
        }
    }
    return &walk->next;
}

void pr_walk_took(struct pr_walk *walk)
{
    walk->has_next = false;
}
