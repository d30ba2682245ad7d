/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/walk.h"

void pr_walk_start(struct pr_walk *walk, const struct pr_chunk *chunk, const uint8_t *memory,
                   uint64_t page_bytes, const struct pr_plan_limits *limits)
{
    *walk = (struct pr_walk){.chunk = *chunk, .memory = memory, .page_bytes = page_bytes};
    walk->limits = *limits;
    if (chunk->kind == PR_CHUNK_DIRTY) {
        uint64_t pages = chunk->len / page_bytes;
        walk->bitmap = pr_bitmap_over(chunk->bits, chunk->first_bit + pages);
        uint64_t max_pages = PR_SLICE_PAGES * (uint64_t)PR_ZERO_PAGE_BYTES / page_bytes;
        walk->runs =
            pr_runs_take(&walk->bitmap, chunk->first_bit, pages, max_pages ? max_pages : 1);
    } else {
        walk->run_at = chunk->offset;
        walk->run_end = chunk->offset + chunk->len;
    }
}

static bool next_run(struct pr_walk *walk)
{
    struct pr_run run;
    if (walk->chunk.kind != PR_CHUNK_DIRTY || !pr_runs_next(&walk->runs, &run))
        return false;
    walk->run_at = walk->chunk.offset + (run.first_page - walk->chunk.first_bit) * walk->page_bytes;
    walk->run_end = walk->run_at + run.pages * walk->page_bytes;
    return true;
}

static bool next_slice(struct pr_walk *walk)
{
    if (walk->run_at == walk->run_end && !next_run(walk))
        return false;
    uint64_t left = walk->run_end - walk->run_at;
    uint64_t most = PR_SLICE_PAGES * (uint64_t)PR_ZERO_PAGE_BYTES;
    uint64_t len = left < most ? left : most;
    pr_zero_scan(walk->memory + walk->run_at, len / PR_ZERO_PAGE_BYTES, walk->zero_bits);
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
