/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_memory.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_4K 4096u

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

/* Huge pages are reserved by mmap, so a later touch cannot fail for want of them. Shared, as VMMs
 * have it: of private memory the kernel never clears the soft-dirty bits while RDMA has it pinned.
 */
static int map_flags(uint64_t page_bytes)
{
    int flags = MAP_SHARED | MAP_ANONYMOUS;
    if (page_bytes != PAGE_4K)
        flags |= MAP_HUGETLB | __builtin_ctzll(page_bytes) << MAP_HUGE_SHIFT;
    return flags;
}

int pr_guest_memory_map(struct pr_guest_memory *out, uint64_t len_bytes, uint64_t page_bytes)
{
    void *addr = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, map_flags(page_bytes), -1, 0);
    if (addr == MAP_FAILED) {
        int err = page_bytes == PAGE_4K ? 0 : pr_hugepages_check(len_bytes, page_bytes);
        return err ? err
                   : pr_error(ENOMEM, "cannot map %" PRIu64 " bytes of guest memory: %s", len_bytes,
                              strerror(errno));
    }
    /* Transparent huge pages would make the dirty log see 2 MiB at a time at first. */
    if (page_bytes == PAGE_4K)
        madvise(addr, len_bytes, MADV_NOHUGEPAGE);
    *out = (struct pr_guest_memory){addr, len_bytes, page_bytes};
    return 0;
}

void pr_guest_memory_unmap(struct pr_guest_memory *memory)
{
    if (memory->addr)
        munmap(memory->addr, memory->len_bytes);
    memory->addr = NULL;
}

uint32_t pr_guest_memory_regions(const struct pr_guest_memory *memory,
                                 struct pagerail_region out[PR_GUEST_REGIONS])
{
    uint64_t unit = 64 * memory->page_bytes;
    uint64_t low = memory->len_bytes / 4 / unit * unit;
    uint32_t count = 0;
    if (low)
        out[count++] =
            (struct pagerail_region){"guest.low", memory->addr, low, memory->page_bytes, 0};
    out[count++] = (struct pagerail_region){"guest.high", memory->addr + low,
                                            memory->len_bytes - low, memory->page_bytes, 0};
    return count;
}

uint64_t pr_memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file)
        return 0;
    char line[128];
    uint64_t kib = 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            break;
    }
    fclose(file);
    return kib * 1024;
}

static uint64_t free_hugepages(uint64_t page_bytes)
{
    char path[96];
    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/free_hugepages",
             page_bytes / 1024);
    FILE *file = fopen(path, "re");
    uint64_t count = 0;
    if (!file || fscanf(file, "%" SCNu64, &count) != 1)
        count = 0;
    if (file)
        fclose(file);
    return count;
}

int pr_hugepages_check(uint64_t len_bytes, uint64_t page_bytes)
{
    uint64_t needed = len_bytes / page_bytes;
    uint64_t have = free_hugepages(page_bytes);
    if (have >= needed)
        return 0;
    if (page_bytes == 2u << 20)
        return pr_error(ENOMEM,
                        "the guest needs %" PRIu64
                        " free huge pages of 2 MiB and there are %" PRIu64
                        ": run `sysctl vm.nr_hugepages=%" PRIu64 "` as root",
                        needed, have, needed);
    return pr_error(ENOMEM,
                    "the guest needs %" PRIu64 " free huge pages of 1 GiB and there are %" PRIu64
                    ": write the number to /sys/kernel/mm/hugepages/hugepages-1048576kB/"
                    "nr_hugepages, or boot with hugepagesz=1G hugepages=%" PRIu64,
                    needed, have, needed);
}
