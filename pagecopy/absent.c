/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/absent.h"

#include "base/log.h"
#include "pagecopy/zero.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An entry of /proc/PID/pagemap (proc_pid_pagemap(5)): the page is in memory, or in swap. What is
 * neither was never made. Markers of userfaultfd count as swap. */
#define ENTRY_THERE (UINT64_C(3) << 62)

struct pr_absent {
    int pagemap;
};

void pr_absent_close(struct pr_absent *absent)
{
    if (!absent)
        return;
    if (absent->pagemap >= 0)
        close(absent->pagemap);
    free(absent);
}

struct pr_absent *pr_absent_open(void)
{
    struct pr_absent *absent = malloc(sizeof(*absent));
    if (!absent)
        return NULL;
    absent->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (absent->pagemap >= 0 && sysconf(_SC_PAGESIZE) == PR_ZERO_PAGE_BYTES)
        return absent;
    pr_log_debug("memory that was never touched will be read: %s",
                 absent->pagemap < 0 ? strerror(errno) : "pages are not 4 KiB");
    pr_absent_close(absent);
    return NULL;
}

/* One line of /proc/PID/maps (proc_pid_maps(5)). False when it is none. A file has a device, even
 * where its file system gives it no inode number. */
static bool parse_mapping(const char *line, uint64_t *start, uint64_t *end, bool *is_zero)
{
    char kind;
    unsigned major, minor;
    uint64_t inode;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*3s%c %*x %x:%x %" SCNu64, start, end, &kind, &major,
               &minor, &inode) != 6)
        return false;
    *is_zero = kind == 'p' && !major && !minor && !inode;
    return true;
}

/* The mappings come in order of address. */
static bool all_is_zero(FILE *maps, uint64_t at, uint64_t end)
{
    char *line = NULL;
    size_t size = 0;
    bool known = true;
    while (known && at < end && getline(&line, &size, maps) > 0) {
        uint64_t first, past;
        bool is_zero;
        known = parse_mapping(line, &first, &past, &is_zero);
        if (!known || past <= at)
            continue;
        known = first <= at && is_zero;
        at = past;
    }
    free(line);
    return known && at >= end;
}

bool pr_absent_is_zero(const void *start, uint64_t len_bytes)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return false;
    bool known = all_is_zero(maps, (uintptr_t)start, (uintptr_t)start + len_bytes);
    fclose(maps);
    return known;
}

bool pr_absent_all(const struct pr_absent *absent, const void *start)
{
    uint64_t entries[PR_ABSENT_PAGES], there = 0;
    if (!absent)
        return false;
    off_t at = (off_t)((uintptr_t)start / PR_ZERO_PAGE_BYTES * sizeof(*entries));
    if (pread(absent->pagemap, entries, sizeof(entries), at) != (ssize_t)sizeof(entries))
        return false;
    for (unsigned i = 0; i < PR_ABSENT_PAGES; i++)
        there |= entries[i];
    return !(there & ENTRY_THERE);
}
