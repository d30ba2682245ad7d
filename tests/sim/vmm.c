/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/vmm.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096

static const struct pagerail_region layout[VMM_REGIONS] = {
    {.name = "ram", .len_bytes = VMM_PAGES_MAX * PAGE, .page_bytes = PAGE},
    {.name = "vga", .len_bytes = 24 * PAGE, .page_bytes = PAGE},
};

static uint64_t mix(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 27);
}

/* A third of all contents are zero, so pages flip between data and zero in either direction. */
static uint64_t word_of(uint32_t region, uint64_t page, uint32_t count, unsigned i)
{
    uint64_t key = mix((uint64_t)region << 48 | page << 32 | count);
    return (page + count) % 3 == 0 ? 0 : mix(key + i) | 1;
}

void vmm_open(struct vmm *vmm, struct world *world, const char *name, bool fresh)
{
    *vmm = (struct vmm){.world = world, .name = name, .parked = true, .pause_ns = 20000};
    for (unsigned r = 0; r < VMM_REGIONS; r++) {
        vmm->regions[r] = layout[r];
        vmm->regions[r].addr = aligned_alloc(PAGE, layout[r].len_bytes);
        vmm->regions[r].flags = fresh ? PAGERAIL_REGION_FRESH : 0;
        memset(vmm->regions[r].addr, 0, layout[r].len_bytes);
        uint64_t *words = vmm->regions[r].addr;
        for (uint64_t i = 0; !fresh && i < layout[r].len_bytes / 8; i++)
            words[i] = world_random(world);
    }
}

static void store_word(struct vmm *vmm, uint32_t r, uint64_t page, unsigned i)
{
    uint64_t *words = (uint64_t *)((uint8_t *)vmm->regions[r].addr + page * PAGE);
    words[i] = word_of(r, page, vmm->counts[r][page], i);
}

void vmm_fill(struct vmm *vmm)
{
    for (uint32_t r = 0; r < VMM_REGIONS; r++) {
        for (uint64_t page = 0; page < layout[r].len_bytes / PAGE; page++) {
            for (unsigned i = 0; i < PAGE / 8; i++)
                store_word(vmm, r, page, i);
        }
    }
}

/* A store and its entry in the log are one instant; between two pieces anything may happen. */
static void write_page(struct vmm *vmm, uint32_t r, uint64_t page)
{
    vmm->counts[r][page]++;
    vmm->writes++;
    for (unsigned piece = 0; piece < 4; piece++) {
        for (unsigned i = 0; i < PAGE / 8 / 4; i++)
            store_word(vmm, r, page, piece * (PAGE / 8 / 4) + i);
        vmm->log[r][page] = 1;
        pr_sim_step("store");
    }
}

/* Most writes go to a few pages. */
static void write_some_page(struct vmm *vmm)
{
    uint32_t r = world_random_below(vmm->world, 5) == 0;
    uint64_t pages = layout[r].len_bytes / PAGE;
    if (world_random_below(vmm->world, 4))
        pages = 12;
    write_page(vmm, r, world_random_below(vmm->world, pages));
}

static void cpu_main(void *opaque)
{
    struct vmm *vmm = opaque;
    while (!vmm->over) {
        vmm->parked = !vmm->running;
        if (vmm->running)
            write_some_page(vmm);
        uint64_t slowed = vmm->pause_ns * 100 / (100 - vmm->throttle_percent);
        world_sleep_ns(vmm->world, 1 + world_random_below(vmm->world, 2 * slowed));
    }
}

void vmm_start(struct vmm *vmm)
{
    world_check(vmm->world, !pr_thread_spawn(&vmm->cpu, "vcpu", cpu_main, vmm));
}

void vmm_run(struct vmm *vmm)
{
    vmm->running = true;
    vmm->parked = false;
}

void vmm_stop(struct vmm *vmm)
{
    vmm->running = false;
    while (!vmm->parked)
        world_sleep_ns(vmm->world, 1000);
}

void vmm_close(struct vmm *vmm)
{
    vmm->over = true;
    if (vmm->cpu)
        pr_thread_join(vmm->cpu);
    for (unsigned r = 0; r < VMM_REGIONS; r++)
        free(vmm->regions[r].addr);
}

void vmm_verify(struct vmm *vmm, const char *when)
{
    for (uint32_t r = 0; r < VMM_REGIONS; r++) {
        const uint64_t *words = vmm->regions[r].addr;
        for (uint64_t i = 0; i < layout[r].len_bytes / 8; i++) {
            uint64_t page = i / (PAGE / 8);
            uint64_t expected = word_of(r, page, vmm->counts[r][page], i % (PAGE / 8));
            if (words[i] != expected)
                world_fail(vmm->world,
                           "%s, %s: region %s page %llu (written %u times) is wrong at byte %llu",
                           vmm->name, when, layout[r].name, (unsigned long long)page,
                           vmm->counts[r][page], (unsigned long long)(i * 8 % PAGE));
        }
    }
}

int64_t vmm_dirty_sync(struct vmm *vmm, uint32_t region, uint64_t first_page, uint64_t pages,
                       uint64_t *bits)
{
    int64_t found = 0;
    for (uint64_t i = 0; i < pages; i++) {
        if (!vmm->logging || !vmm->log[region][first_page + i])
            continue;
        vmm->log[region][first_page + i] = 0;
        bits[i / 64] |= UINT64_C(1) << (i % 64);
        found++;
        if (i % 16 == 0)
            pr_sim_step("sync");
    }
    return found;
}
