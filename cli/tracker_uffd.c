/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asynchronous userfaultfd write protection. Every page of the range is write-protected; the first
 * write to one faults, and the kernel lifts that page's protection by itself and lets the writer go
 * on. A page without protection is thus a page that was written. PAGEMAP_SCAN finds these and
 * protects them again in one pass under the page-table lock, and flushes the TLB before it returns:
 * a write either is seen by the scan or faults after it.
 */
#include "base/error.h"
#include "cli/tracker_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.7's, not yet in the headers of the systems we build on. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1ull << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1ull << 15)
#endif

#ifndef PAGEMAP_SCAN
struct page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN (1ull << 1)
#define PM_SCAN_WP_MATCHING (1ull << 0)
#define PM_SCAN_CHECK_WPASYNC (1ull << 1)
#endif

#define PAGE_4K 4096u
#define REGIONS_PER_SCAN 1024u

struct uffd {
    struct pr_tracker_range range;
    int fd;
    int pagemap;
};

/* User faults only: no privilege is needed for those, and the kernel resolves all others itself. */
static int uffd_open(int *fd, uint64_t page_bytes)
{
    *fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (*fd < 0)
        return pr_error(errno == ENOSYS ? ENOTSUP : errno, "userfaultfd cannot be opened: %s",
                        strerror(errno));
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED};
    if (page_bytes != PAGE_4K)
        api.features |= UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    if (ioctl(*fd, UFFDIO_API, &api)) {
        close(*fd);
        return pr_error(
            ENOTSUP,
            "this kernel has no asynchronous userfaultfd write protection: it needs Linux 6.7 with "
            "CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP");
    }
    return 0;
}

static void uffd_close(void *state)
{
    struct uffd *uffd = state;
    close(uffd->fd);
    close(uffd->pagemap);
    free(uffd);
}

/* A scan of nothing: does the kernel know the request? */
static int probe_scan(int pagemap)
{
    struct pm_scan_arg arg = {.size = sizeof(arg)};
    if (ioctl(pagemap, PAGEMAP_SCAN, &arg) && errno == ENOTTY)
        return pr_error(ENOTSUP, "this kernel has no PAGEMAP_SCAN: it needs Linux 6.7");
    return 0;
}

static int uffd_new(void **state, const struct pr_tracker_range *range,
                    const struct pr_tracker_gate *gate)
{
    (void)gate;
    struct uffd *uffd = calloc(1, sizeof(*uffd));
    if (!uffd)
        return pr_error(ENOMEM, "no memory for the dirty tracker");
    uffd->range = *range;
    int err = uffd_open(&uffd->fd, range->page_bytes);
    if (err)
        goto no_uffd;
    uffd->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (uffd->pagemap < 0) {
        err = pr_error(errno, "cannot open /proc/self/pagemap: %s", strerror(errno));
        goto no_pagemap;
    }
    err = probe_scan(uffd->pagemap);
    if (err)
        goto no_scan;
    *state = uffd;
    return 0;
no_scan:
    close(uffd->pagemap);
no_pagemap:
    close(uffd->fd);
no_uffd:
    free(uffd);
    return err;
}

static void unregister(struct uffd *uffd)
{
    struct uffdio_range whole = {(uintptr_t)uffd->range.addr, uffd->range.len_bytes};
    ioctl(uffd->fd, UFFDIO_UNREGISTER, &whole);
}

static int uffd_start(void *state)
{
    struct uffd *uffd = state;
    struct uffdio_range whole = {(uintptr_t)uffd->range.addr, uffd->range.len_bytes};
    struct uffdio_register reg = {.range = whole, .mode = UFFDIO_REGISTER_MODE_WP};
    if (ioctl(uffd->fd, UFFDIO_REGISTER, &reg))
        return pr_error(errno, "cannot track writes by userfaultfd: %s", strerror(errno));
    struct uffdio_writeprotect protect = {.range = whole, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    if (ioctl(uffd->fd, UFFDIO_WRITEPROTECT, &protect)) {
        int err = pr_error(errno, "cannot write-protect guest memory: %s", strerror(errno));
        unregister(uffd);
        return err;
    }
    return 0;
}

static void uffd_stop(void *state)
{
    unregister(state);
}

static uint64_t take_regions(const struct uffd *uffd, const struct page_region *regions, int count,
                             uint64_t start, uint64_t *bits)
{
    uint64_t found = 0;
    for (int i = 0; i < count; i++) {
        uint64_t first = (regions[i].start - start) / uffd->range.page_bytes;
        uint64_t pages = (regions[i].end - regions[i].start) / uffd->range.page_bytes;
        pr_tracker_set_bits(bits, first, pages);
        found += pages;
    }
    return found;
}

static int64_t uffd_sync(void *state, uint64_t first_page, uint64_t pages, uint64_t *bits)
{
    struct uffd *uffd = state;
    struct page_region regions[REGIONS_PER_SCAN];
    uint64_t start = (uintptr_t)uffd->range.addr + first_page * uffd->range.page_bytes;
    struct pm_scan_arg arg = {.size = sizeof(arg),
                              .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
                              .start = start,
                              .end = start + pages * uffd->range.page_bytes,
                              .vec = (uintptr_t)regions,
                              .vec_len = REGIONS_PER_SCAN,
                              .category_mask = PAGE_IS_WRITTEN,
                              .return_mask = PAGE_IS_WRITTEN};
    uint64_t found = 0;
    while (arg.start < arg.end) {
        int count = ioctl(uffd->pagemap, PAGEMAP_SCAN, &arg);
        if (count < 0)
            return pr_error(errno, "the scan for written pages failed: %s", strerror(errno));
        found += take_regions(uffd, regions, count, start, bits);
        arg.start = arg.walk_end;
    }
    return (int64_t)found;
}

const struct pr_tracker_ops pr_tracker_uffd = {
    .describe = "userfaultfd write protection (asynchronous) and PAGEMAP_SCAN",
    .open = uffd_new,
    .close = uffd_close,
    .start = uffd_start,
    .sync = uffd_sync,
    .stop = uffd_stop,
};
