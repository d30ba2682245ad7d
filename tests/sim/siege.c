/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/siege.h"

#include "base/error.h"
#include "tests/hostile/verdict.h"
#include "transport/uri.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URI "sim:castle"
#define PAGE 4096
#define GUARD (8 * PAGE)
#define RAM (VMM_PAGES_MAX * PAGE)
#define VGA (24 * PAGE)
#define GROUND (3 * GUARD + RAM + VGA)

#define QUIET_MS 8000    /* from the foe's end, or its last deed, to the library's */
#define HEAP_MOST 65536u /* that a flood may add */

static struct siege *the_siege; /* each run has a process of its own */

/* ---- memory in use ---- */

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static uint64_t heap_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks;
}

static void look(struct foe *foe)
{
    struct siege *siege = foe->opaque;
    if (!foe->struck && !(foe->deed && !foe->deed->act))
        return;
    if (!siege->strike_ns) {
        siege->strike_ns = world_now_ns(siege->world);
        siege->vmm.pause_ns = 5000000; /* a long wait needs few steps */
    }
    if (!foe->floods)
        return;
    uint64_t now = heap_bytes();
    if (!siege->heap_before)
        siege->heap_before = siege->heap_most = now;
    if (now > siege->heap_most)
        siege->heap_most = now;
}

static void complain(struct foe *foe, const char *complaint)
{
    struct siege *siege = foe->opaque;
    world_fail(siege->world, "the library misbehaves: %s", complaint);
}

static void listens(struct foe *foe)
{
    ((struct siege *)foe->opaque)->listening = true;
}

/* ---- the foe's side ---- */

static void describe_regions(struct foe *foe)
{
    foe->regions = 2;
    foe->region[0] = (struct foe_region){.name = "ram", .len = RAM, .page_bytes = PAGE};
    foe->region[1] = (struct foe_region){.name = "vga", .len = VGA, .page_bytes = PAGE};
}

/* A destination that no source has reached waits on, as it should, until somebody tires of it. */
static void wait_for_the_end(struct siege *siege)
{
    uint64_t limit = world_now_ns(siege->world) + (uint64_t)QUIET_MS * 1000000;
    while (!siege->ended && world_now_ns(siege->world) < limit)
        world_sleep_ns(siege->world, 1000000);
    if (siege->ended)
        return;
    struct pagerail_outcome now;
    pagerail_migration_outcome(siege->migration, &now);
    if (siege->role == FOE_SOURCE && now.phase == PAGERAIL_PHASE_CONNECTING)
        siege->tired = true;
    else
        world_fail(siege->world, "%d ms after the foe was gone the library is in phase %s",
                   QUIET_MS, pagerail_phase_name(now.phase));
    pagerail_migration_cancel(siege->migration);
}

static void foe_main(struct world *world, void *arg)
{
    struct siege *siege = arg;
    struct foe *foe = &siege->foe;
    *foe = (struct foe){
        .role = siege->role,
        .address = "castle",
        .random = {world_random(world)},
        .deed = siege->deed,
        .strike_at = siege->strike_at,
        .patience_ms = 25000,
        .listens = listens,
        .look = look,
        .complain = complain,
        .opaque = siege,
    };
    if (siege->role == FOE_SOURCE)
        describe_regions(foe);
    world_check(world, !pr_fabric_sim_open(world, &siege->net, &foe->fabric));
    while (siege->role == FOE_SOURCE && !siege->listening)
        world_sleep_ns(world, 100000);
    siege->foe_err = foe_play(foe);
    siege->foe_end_ns = world_now_ns(world);
    siege->foe_ended = true;
    snprintf(siege->foe_words, sizeof(siege->foe_words), "%s",
             siege->foe_err ? pr_error_message() : "");
    wait_for_the_end(siege);
    pr_fabric_close(foe->fabric);
}

/* ---- the library's side: its VMM ---- */

static int on_dirty_start(void *opaque)
{
    struct siege *siege = opaque;
    memset(siege->vmm.log, 0, sizeof(siege->vmm.log));
    siege->vmm.logging = true;
    return 0;
}

static int64_t on_dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                             uint64_t *bits)
{
    return vmm_dirty_sync(&((struct siege *)opaque)->vmm, region, first_page, pages, bits);
}

static void on_dirty_stop(void *opaque)
{
    ((struct siege *)opaque)->vmm.logging = false;
}

static int on_stop(void *opaque)
{
    vmm_stop(&((struct siege *)opaque)->vmm);
    return 0;
}

static int on_resume(void *opaque)
{
    struct siege *siege = opaque;
    if (siege->foe.released)
        world_fail(siege->world, "the source resumes a guest that it has released");
    vmm_run(&siege->vmm);
    return 0;
}

static int on_throttle(void *opaque, uint32_t percent)
{
    ((struct siege *)opaque)->vmm.throttle_percent = percent;
    return 0;
}

static int on_save(void *opaque, pagerail_migration *migration)
{
    struct vmm *vmm = &((struct siege *)opaque)->vmm;
    return pagerail_migration_write(migration, vmm->counts, sizeof(vmm->counts));
}

static int on_load(void *opaque, pagerail_migration *migration)
{
    (void)opaque;
    uint8_t bytes[1000];
    ssize_t got;
    while ((got = pagerail_migration_read(migration, bytes, sizeof(bytes))) > 0)
        continue;
    return (int)got;
}

static int on_run(void *opaque)
{
    struct siege *siege = opaque;
    if (!siege->foe.release_said)
        world_fail(siege->world, "the destination runs a guest that nobody released");
    siege->ran = true;
    return 0;
}

static const struct pagerail_vmm_ops vmm_ops = {
    .size = sizeof(vmm_ops),
    .dirty_start = on_dirty_start,
    .dirty_sync = on_dirty_sync,
    .dirty_stop = on_dirty_stop,
    .stop = on_stop,
    .resume = on_resume,
    .save = on_save,
    .throttle = on_throttle,
    .load = on_load,
    .run = on_run,
};

static void open_migration(struct siege *siege, const struct pagerail_region *regions)
{
    struct pagerail_vmm vmm = {&vmm_ops, siege, regions, VMM_REGIONS};
    struct pagerail_options options = {
        .size = sizeof(options), .lanes = FOE_DATA_LANES, .window_bytes = FOE_WINDOW_BYTES};
    world_check(siege->world, !pagerail_migration_new(&vmm, &options, &siege->migration));
}

static void note_end(struct siege *siege)
{
    struct world *world = siege->world;
    pagerail_migration_outcome(siege->migration, &siege->outcome);
    siege->end_ns = world_now_ns(world);
    siege->ended = true;
}

/* ---- as source ---- */

static void live_on(struct siege *siege)
{
    struct vmm *vmm = &siege->vmm;
    if (!vmm->running)
        world_fail(siege->world, "the source has the guest and does not run it");
    uint64_t enough = vmm->writes + 20;
    for (int ms = 0; ms < 1000 && vmm->writes < enough; ms++)
        pr_sleep_ms(1);
    vmm_stop(vmm);
    world_check(siege->world, vmm->writes >= enough);
}

static void source_main(struct world *world, void *arg)
{
    struct siege *siege = arg;
    vmm_open(&siege->vmm, world, "source", true);
    vmm_start(&siege->vmm);
    open_migration(siege, siege->vmm.regions);
    vmm_fill(&siege->vmm);
    vmm_run(&siege->vmm);
    while (!siege->listening)
        world_sleep_ns(world, 100000);
    pagerail_migration_send(siege->migration, URI);
    note_end(siege);
    char report[16];
    if (!siege->outcome.error)
        pagerail_migration_report_read(siege->migration, report, sizeof(report), 3000);
    if (siege->outcome.guest_is_here)
        live_on(siege);
    vmm_verify(&siege->vmm, "after the siege");
    pagerail_migration_free(siege->migration);
    while (!siege->foe_ended)
        pr_sleep_ms(1); /* the world ends the run when all threads are over: so does the foe */
    vmm_close(&siege->vmm);
}

/* ---- as destination ---- */

static uint8_t ground_byte(uint64_t at)
{
    return (uint8_t)(at * 167 + at / 4096 + 1);
}

static void lay_ground(struct siege *siege)
{
    siege->ground = aligned_alloc(PAGE, GROUND);
    for (uint64_t i = 0; i < GROUND; i++)
        siege->ground[i] = ground_byte(i);
    siege->regions[0] = (struct pagerail_region){
        .name = "vga", .addr = siege->ground + GUARD, .len_bytes = VGA, .page_bytes = PAGE};
    siege->regions[1] = (struct pagerail_region){.name = "ram",
                                                 .addr = siege->ground + 2 * GUARD + VGA,
                                                 .len_bytes = RAM,
                                                 .page_bytes = PAGE};
}

static void check_guard(struct siege *siege, uint64_t start)
{
    for (uint64_t i = start; i < start + GUARD; i++) {
        if (siege->ground[i] != ground_byte(i))
            world_fail(siege->world, "a byte outside of the guest's regions has changed");
    }
}

static void check_guards(struct siege *siege)
{
    check_guard(siege, 0);
    check_guard(siege, GUARD + VGA);
    check_guard(siege, 2 * GUARD + VGA + RAM);
}

static void destination_main(struct world *world, void *arg)
{
    struct siege *siege = arg;
    lay_ground(siege);
    open_migration(siege, siege->regions);
    world_check(world, !pagerail_migration_listen(siege->migration, URI));
    siege->listening = true;
    pagerail_migration_receive(siege->migration);
    note_end(siege);
    if (!siege->outcome.error)
        pagerail_migration_report(siege->migration, "report", 6);
    pagerail_migration_free(siege->migration);
    check_guards(siege);
    while (!siege->foe_ended)
        pr_sleep_ms(1);
    check_guards(siege);
    free(siege->ground);
}

/* ---- judgement ---- */

static void check_time(struct world *world, const struct siege *siege)
{
    bool at_once = siege->deed && siege->deed->err > 0 && siege->strike_ns;
    uint64_t from = at_once ? siege->strike_ns : siege->foe_end_ns;
    uint64_t ms = siege->end_ns > from ? (siege->end_ns - from) / 1000000 : 0;
    if (ms > 2 * QUIET_MS)
        world_fail(world, "it took %llu ms to end: %s", (unsigned long long)ms,
                   siege->outcome.message);
}

static void check_heap(struct world *world, const struct siege *siege)
{
    uint64_t taken = siege->heap_most - siege->heap_before;
    if (siege->heap_before && taken > HEAP_MOST)
        world_fail(world, "the flood filled %llu bytes", (unsigned long long)taken);
}

static void finish(struct world *world, void *arg)
{
    struct siege *siege = arg;
    struct ending ending = {&siege->foe, siege->foe_words, &siege->outcome, siege->ran,
                            siege->tired};
    char text[1024];
    if (!verdict_good(&ending, text, sizeof(text)))
        world_fail(world, "%s", text);
    check_time(world, siege);
    check_heap(world, siege);
    world_report(world, SIEGE_MOMENTS, siege->foe.moment);
    world_report(world, SIEGE_STRUCK, siege->foe.struck);
    world_report(world, SIEGE_ERROR, (uint64_t)-siege->outcome.error);
    for (unsigned p = 0; p < FOE_PHASES; p++)
        world_report(world, SIEGE_FIRST + p, siege->foe.first[p]);
}

static int open_fabric(void *opaque, struct pr_fabric **out)
{
    struct siege *siege = opaque;
    return pr_fabric_sim_open(siege->world, &siege->net, out);
}

static void begin(struct world *world, void *arg)
{
    struct siege *siege = arg;
    the_siege = siege;
    siege->world = world;
    siege->net = sim_net_typical();
    siege->net.overrun_allowed = true;
    pr_uri_override("sim", open_fabric, siege);
}

bool siege_run(struct siege *siege, uint64_t seed, struct world_verdict *verdict)
{
    const struct world_side as_source[] = {{"source", source_main, siege},
                                           {"foe", foe_main, siege}};
    const struct world_side as_destination[] = {{"foe", foe_main, siege},
                                                {"destination", destination_main, siege}};
    const struct world_scenario scenario = {
        .seed = seed,
        .sides = siege->role == FOE_SOURCE ? as_destination : as_source,
        .side_count = 2,
        .begin = begin,
        .end = finish,
        .arg = siege,
    };
    return world_run_forked(&scenario, verdict);
}
