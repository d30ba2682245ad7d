/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory as pagerail wants it: one region for each migratable RAM block.
 *
 * A region is as long as its block can become (max_length): blocks that firmware resizes (ACPI
 * tables) may differ between the two sides until QEMU's own stream has told the destination.
 */
#ifndef PAGERAIL_GLUE_MEMORY_H
#define PAGERAIL_GLUE_MEMORY_H

#include "exec/cpu-common.h"
#include <pagerail/transport.h>

typedef struct GuestMemory {
    GArray *regions; /* struct pagerail_region */
    GArray *blocks;  /* RAMBlock *, of the same index */
    guint last;      /* found */
    uint32_t version;
} GuestMemory;

/* Lists the blocks that exist now. guest_memory_free may be called on a zeroed one. */
void guest_memory_list(GuestMemory *memory);
void guest_memory_free(GuestMemory *memory);

/* Whether blocks came or went since. */
bool guest_memory_changed(const GuestMemory *memory);

/* The region of a block; -1 when it came later. */
int guest_memory_find(GuestMemory *memory, const RAMBlock *block);

/* The block at that ram_addr_t, as migration/rdma.h names blocks; NULL: none. */
RAMBlock *guest_memory_block_at(const GuestMemory *memory, ram_addr_t block_offset);

#endif
