/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/regions.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/messages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool page_size_known(uint64_t bytes)
{
    return bytes == 4096 || bytes == UINT64_C(2) << 20 || bytes == UINT64_C(1) << 30;
}

static bool name_usable(const char *name)
{
    size_t len = name ? strnlen(name, PR_WIRE_MAX_NAME + 1) : 0;
    return len && len <= PR_WIRE_MAX_NAME && pr_text_is_clean(name, len);
}

static int check(const struct pagerail_region *r, uint32_t index)
{
    if (!name_usable(r->name))
        return pr_error(EINVAL, "region %u needs a printable name of 1 to 255 bytes", index);
    if (!page_size_known(r->page_bytes))
        return pr_error(EINVAL,
                        "region '%s' has pages of %" PRIu64
                        " bytes: only 4 KiB, 2 MiB and 1 GiB are supported",
                        r->name, r->page_bytes);
    if (!r->len_bytes || r->len_bytes % r->page_bytes || r->len_bytes > PR_WIRE_MAX_REGION_BYTES)
        return pr_error(EINVAL,
                        "region '%s' is %" PRIu64 " bytes long: it must be a multiple of its page "
                        "size, not 0, and at most 256 TiB",
                        r->name, r->len_bytes);
    if (!r->addr || (uintptr_t)r->addr % 4096)
        return pr_error(EINVAL, "region '%s' does not start at a page boundary", r->name);
    if (r->len_bytes > UINTPTR_MAX - (uintptr_t)r->addr)
        return pr_error(EINVAL, "region '%s' ends beyond the address space", r->name);
    if (r->flags & ~(PAGERAIL_REGION_FRESH | PAGERAIL_REGION_NO_LAZY_FILL))
        return pr_error(EINVAL, "region '%s' has unknown flags 0x%x", r->name, r->flags);
    return 0;
}

static int append(struct pr_regions *to, const struct pagerail_region *r)
{
    if (pr_regions_find(to, r->name) >= 0)
        return pr_error(EINVAL, "two regions are called '%s'", r->name);
    char *name = strdup(r->name);
    if (!name)
        return pr_error(ENOMEM, "no memory for the region list");
    to->list[to->count++] =
        (struct pr_region){name, r->addr, r->len_bytes, r->page_bytes, r->flags, NULL};
    to->total_bytes += r->len_bytes;
    return 0;
}

int pr_regions_copy(const struct pagerail_region *regions, uint32_t count, struct pr_regions *out)
{
    if (!regions || !count || count > PR_WIRE_MAX_REGIONS)
        return pr_error(EINVAL, "%u regions given: 1 to %d are possible", count,
                        PR_WIRE_MAX_REGIONS);
    struct pr_regions copy = {.list = calloc(count, sizeof(*copy.list))};
    int err = copy.list ? 0 : pr_error(ENOMEM, "no memory for the region list");
    for (uint32_t i = 0; i < count && !err; i++) {
        err = check(&regions[i], i);
        if (!err)
            err = append(&copy, &regions[i]);
    }
    if (err) {
        pr_regions_free(&copy);
        return err;
    }
    *out = copy;
    return 0;
}

void pr_regions_free(struct pr_regions *regions)
{
    for (uint32_t i = 0; i < regions->count; i++)
        free(regions->list[i].name);
    free(regions->list);
    pr_absent_close(regions->absent);
    *regions = (struct pr_regions){0};
}

void pr_regions_find_absent(struct pr_regions *regions)
{
    regions->absent = pr_absent_open();
    for (uint32_t i = 0; i < regions->count; i++) {
        struct pr_region *region = &regions->list[i];
        if (region->flags & PAGERAIL_REGION_NO_LAZY_FILL &&
            pr_absent_is_zero(region->addr, region->len))
            region->absent = regions->absent;
    }
}

int64_t pr_regions_find(const struct pr_regions *regions, const char *name)
{
    for (uint32_t i = 0; i < regions->count; i++) {
        if (!strcmp(regions->list[i].name, name))
            return i;
    }
    return -1;
}

bool pr_region_holds(const struct pr_region *region, uint64_t offset, uint64_t len)
{
    return len && !(offset % 4096) && !(len % 4096) && offset < region->len &&
           len <= region->len - offset;
}

uint64_t pr_regions_page_bytes(const struct pr_regions *regions)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < regions->count; i++)
        if (regions->list[i].page_bytes > largest)
            largest = regions->list[i].page_bytes;
    return largest;
}

int pr_regions_check_windows(const struct pr_regions *regions, uint64_t window_bytes)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < regions->count; i++)
        count += pr_region_windows(&regions->list[i], window_bytes);
    if (count <= PR_MAX_WINDOWS)
        return 0;
    return pr_error(EINVAL,
                    "the guest's memory would be %" PRIu64 " windows of %" PRIu64
                    " KiB: raise window_bytes, or the pin budgets of both sides, which cap it",
                    count, window_bytes >> 10);
}

uint64_t pr_region_windows(const struct pr_region *region, uint64_t window_bytes)
{
    return (region->len + window_bytes - 1) / window_bytes;
}

uint64_t pr_region_window_len(const struct pr_region *region, uint64_t window_bytes, uint64_t index)
{
    uint64_t left = region->len - index * window_bytes;
    return left < window_bytes ? left : window_bytes;
}
