/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/dirty.h"

#include "base/error.h"
#include "base/fault.h"
#include "migrate/migration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t pages_of(const struct pagerail_region *region)
{
    return region->len_bytes / region->page_bytes;
}

static uint64_t ranges_of(const struct pagerail_region *region)
{
    return (pages_of(region) + PR_DIRTY_RANGE_PAGES - 1) / PR_DIRTY_RANGE_PAGES;
}

static void cut(struct pr_dirty *dirty, uint32_t r)
{
    uint64_t pages = pages_of(&dirty->vmm->regions[r]);
    for (uint64_t at = 0; at < pages; at += PR_DIRTY_RANGE_PAGES) {
        uint64_t left = pages - at;
        dirty->ranges[dirty->range_count++] = (struct pr_dirty_range){
            .region = r,
            .first_page = at,
            .pages = left < PR_DIRTY_RANGE_PAGES ? left : PR_DIRTY_RANGE_PAGES,
        };
    }
}

int pr_dirty_open(struct pr_dirty *dirty, const struct pagerail_vmm *vmm,
                  const struct pagerail_vmm_ops *ops)
{
    *dirty = (struct pr_dirty){.vmm = vmm, .ops = ops};
    uint64_t ranges = 0;
    for (uint32_t r = 0; r < vmm->region_count; r++)
        ranges += ranges_of(&vmm->regions[r]);
    dirty->bitmaps = calloc(vmm->region_count, sizeof(*dirty->bitmaps));
    dirty->ranges = calloc(ranges, sizeof(*dirty->ranges));
    if (!dirty->bitmaps || !dirty->ranges)
        return pr_error(ENOMEM, "no memory for the dirty log");
    int err = 0;
    for (uint32_t r = 0; r < vmm->region_count && !err; r++) {
        cut(dirty, r);
        err = pr_bitmap_open(&dirty->bitmaps[r], pages_of(&vmm->regions[r]));
    }
    return err;
}

void pr_dirty_close(struct pr_dirty *dirty)
{
    for (uint32_t r = 0; dirty->bitmaps && r < dirty->vmm->region_count; r++)
        pr_bitmap_close(&dirty->bitmaps[r]);
    free(dirty->bitmaps);
    free(dirty->ranges);
    *dirty = (struct pr_dirty){0};
}

static uint64_t *bits_of(struct pr_dirty *dirty, const struct pr_dirty_range *range)
{
    return (uint64_t *)dirty->bitmaps[range->region].words + range->first_page / 64;
}

static int sync_range(void *opaque, uint64_t i)
{
    struct pr_dirty *dirty = opaque;
    struct pr_dirty_range *range = &dirty->ranges[i];
    int64_t found = dirty->ops->dirty_sync(dirty->vmm->opaque, range->region, range->first_page,
                                           range->pages, bits_of(dirty, range));
    if (found < 0)
        return pr_callback_result("dirty_sync", found);
    if ((uint64_t)found > range->pages)
        return pr_error(EINVAL, "the VMM's dirty_sync found more pages than it was asked for");
    range->dirty += (uint64_t)found;
    if (range->dirty > range->pages)
        range->dirty = range->pages;
    return 0;
}

static void sum_up(struct pr_dirty *dirty)
{
    dirty->bytes = 0;
    for (uint64_t i = 0; i < dirty->range_count; i++) {
        const struct pr_dirty_range *range = &dirty->ranges[i];
        dirty->bytes += range->dirty * dirty->vmm->regions[range->region].page_bytes;
    }
}

int pr_dirty_sync(struct pr_dirty *dirty, struct pr_pool *pool)
{
    int err = pr_pool_each(pool, dirty->range_count, sync_range, dirty);
    if (!err)
        sum_up(dirty);
    return err;
}

int pr_dirty_push(struct pr_dirty *dirty, uint64_t index, pagerail_source *source)
{
    struct pr_dirty_range *range = &dirty->ranges[index];
    uint64_t page = dirty->vmm->regions[range->region].page_bytes, found = range->dirty;
    range->dirty = 0;
    dirty->bytes -= found * page;
    return found ? pagerail_source_push_dirty(source, range->region, range->first_page * page,
                                              range->pages * page, bits_of(dirty, range), found)
                 : 0;
}
