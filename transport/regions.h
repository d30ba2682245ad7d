/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's memory as one side describes it, and its division into registration windows. */
#ifndef PR_TRANSPORT_REGIONS_H
#define PR_TRANSPORT_REGIONS_H

#include "pagecopy/absent.h"

#include <pagerail/transport.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_region {
    char *name;
    uint8_t *addr;
    uint64_t len;                   /* bytes */
    uint64_t page_bytes;            /* unit of the dirty log */
    uint32_t flags;                 /* PAGERAIL_REGION_* */
    const struct pr_absent *absent; /* to ask which pages are not there, thus zero; or NULL */
};

struct pr_regions {
    struct pr_region *list;
    uint32_t count;
    uint64_t total_bytes;
    struct pr_absent *absent;
};

/*
 * Copies and checks a VMM's list.
 * OWNERSHIP: *out until pr_regions_free; the memory itself stays the VMM's.
 * ERRORS: -EINVAL naming the region and what is wrong with it; -ENOMEM.
 */
int pr_regions_copy(const struct pagerail_region *regions, uint32_t count, struct pr_regions *out);
void pr_regions_free(struct pr_regions *regions);

/* Finds the regions whose memory may be asked for pages that are not there (pagecopy/absent.h). For
 * regions that stay where they are, and once. */
void pr_regions_find_absent(struct pr_regions *regions);

/* The largest page size of all. */
uint64_t pr_regions_page_bytes(const struct pr_regions *regions);

/* The index of the region of that name; -1 when there is none. */
int64_t pr_regions_find(const struct pr_regions *regions, const char *name);

/* True when [offset, offset + len) lies in the region and both are multiples of 4 KiB, len not 0.
 */
bool pr_region_holds(const struct pr_region *region, uint64_t offset, uint64_t len);

/*
 * Refuses a division into more windows than a session keeps tables for. The size of a window may be
 * the peer's choice, so this bounds what a peer can make us allocate.
 * ERRORS: -EINVAL with what to raise.
 */
#define PR_MAX_WINDOWS (UINT64_C(1) << 22) /* some 100 bytes each */
int pr_regions_check_windows(const struct pr_regions *regions, uint64_t window_bytes);

/* How many windows the region has, and how long window `index` is (the last may be shorter). */
uint64_t pr_region_windows(const struct pr_region *region, uint64_t window_bytes);
uint64_t pr_region_window_len(const struct pr_region *region, uint64_t window_bytes,
                              uint64_t index);

#endif
