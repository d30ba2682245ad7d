/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "compat.h"
#include "memory.h"
#include "migration/ram.h"
#include "qemu/rcu.h"

void guest_memory_list(GuestMemory *memory)
{
    RAMBlock *block;

    *memory = (GuestMemory){
        .regions = g_array_new(false, true, sizeof(struct pagerail_region)),
        .blocks = g_array_new(false, true, sizeof(RAMBlock *)),
    };
    RCU_READ_LOCK_GUARD();
    memory->version = qatomic_read(&ram_list.version);
    smp_rmb(); /* a block that comes while we read the list shows as a change */
    RAMBLOCK_FOREACH_MIGRATABLE(block)
    {
        struct pagerail_region region = {
            .name = block->idstr,
            .addr = block->host,
            .len_bytes = block->max_length,
            .page_bytes = TARGET_PAGE_SIZE,
            .flags = PAGERAIL_REGION_NO_LAZY_FILL, /* refuse.c sees to it */
        };
        g_array_append_val(memory->regions, region);
        g_array_append_val(memory->blocks, block);
    }
}

void guest_memory_free(GuestMemory *memory)
{
    if (memory->regions) {
        g_array_free(memory->regions, true);
        g_array_free(memory->blocks, true);
    }
    *memory = (GuestMemory){0};
}

bool guest_memory_changed(const GuestMemory *memory)
{
    return qatomic_read(&ram_list.version) != memory->version;
}

int guest_memory_find(GuestMemory *memory, const RAMBlock *block)
{
    guint i, count = memory->blocks->len;

    for (i = 0; i < count; i++) { /* pages of one block come in a row */
        guint at = (memory->last + i) % count;
        if (g_array_index(memory->blocks, RAMBlock *, at) == block) {
            memory->last = at;
            return at;
        }
    }
    return -1;
}

RAMBlock *guest_memory_block_at(const GuestMemory *memory, ram_addr_t block_offset)
{
    for (guint i = 0; i < memory->blocks->len; i++) {
        RAMBlock *block = g_array_index(memory->blocks, RAMBlock *, i);
        if (block->offset == block_offset) {
            return block;
        }
    }
    return NULL;
}
