/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log at the source: a bitmap a region, filled from the VMM's log by several threads,
 * each reading its own ranges, and emptied by the transport's workers as they send. What it costs
 * beyond reading the log is a count a range: an untouched range is never looked at again.
 */
#ifndef PR_MIGRATE_DIRTY_H
#define PR_MIGRATE_DIRTY_H

#include "base/pool.h"
#include "pagecopy/bitmap.h"

#include <pagerail/migrate.h>

/* Read at once by one thread: 16 KiB of bitmap, 512 MiB of 4 KiB pages. */
#define PR_DIRTY_RANGE_PAGES (UINT64_C(1) << 17)

struct pr_dirty_range {
    uint32_t region;
    uint64_t first_page, pages;
    uint64_t dirty; /* pages found and not pushed yet; never too few */
};

struct pr_dirty {
    const struct pagerail_vmm *vmm;
    const struct pagerail_vmm_ops *ops;
    struct pr_bitmap *bitmaps; /* [regions] */
    struct pr_dirty_range *ranges;
    uint64_t range_count;
    uint64_t bytes; /* found and not pushed yet; never too few */
};

/* ERRORS: -ENOMEM; pr_dirty_close is safe then too. */
int pr_dirty_open(struct pr_dirty *dirty, const struct pagerail_vmm *vmm,
                  const struct pagerail_vmm_ops *ops);
void pr_dirty_close(struct pr_dirty *dirty); /* safe on a zeroed struct */

/* Reads and clears the VMM's log into the bitmaps, beside what is in them and was not pushed. What
 * was pushed must be acknowledged. ERRORS: what the VMM's dirty_sync returns. */
int pr_dirty_sync(struct pr_dirty *dirty, struct pr_pool *pool);

/* Hands the found pages of one range (below range_count) over; nothing if it has none. */
int pr_dirty_push(struct pr_dirty *dirty, uint64_t index, pagerail_source *source);

#endif
