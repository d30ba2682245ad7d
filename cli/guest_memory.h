/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a synthetic guest: anonymous, private, of 4 KiB pages or of hugetlb pages. */
#ifndef PR_CLI_GUEST_MEMORY_H
#define PR_CLI_GUEST_MEMORY_H

#include <pagerail/transport.h>
#include <stdint.h>

#define PR_GUEST_REGIONS 2

struct pr_guest_memory {
    uint8_t *addr;
    uint64_t len_bytes;
    uint64_t page_bytes; /* 4 KiB, 2 MiB or 1 GiB */
};

/*
 * Maps fresh memory: every byte reads as zero.
 * len_bytes: a multiple of page_bytes. ERRORS: -ENOMEM, and the sentence names the setting to
 * raise.
 */
int pr_guest_memory_map(struct pr_guest_memory *out, uint64_t len_bytes, uint64_t page_bytes);

void pr_guest_memory_unmap(struct pr_guest_memory *memory);

/* How the guest's memory is described to pagerail: as a low and a high region, where there is room
 * for two. Returns how many. Their boundary lies at a multiple of 64 pages. */
uint32_t pr_guest_memory_regions(const struct pr_guest_memory *memory,
                                 struct pagerail_region out[PR_GUEST_REGIONS]);

/* MemAvailable in bytes, or 0 when the kernel does not say. */
uint64_t pr_memory_available(void);

/* -ENOMEM with the setting to raise when no len_bytes of free huge pages are there. */
int pr_hugepages_check(uint64_t len_bytes, uint64_t page_bytes);

#endif
