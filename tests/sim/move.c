/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/move.h"

#include "base/fault.h"
#include "transport/uri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URI "sim:destination"

const char *move_blow_name(enum move_blow blow)
{
    static const char *const names[] = {"nothing",
                                        "kill -9 of the source",
                                        "kill -9 of the destination",
                                        "SIGSTOP of the source",
                                        "SIGSTOP of the destination",
                                        "a cut link",
                                        "cancel at the source",
                                        "cancel at the destination"};
    return names[blow];
}

struct move move_typical(void)
{
    struct move move = {
        .net = sim_net_typical(),
        .options = {.size = sizeof(struct pagerail_options), .lanes = 3, .window_bytes = 64 << 10},
        .fresh = true,
    };
    return move;
}

/* ---- the VMM's callbacks; the opaque is the side ---- */

static struct move *the_move; /* each run has a process of its own */

static bool guest_runs_twice(void)
{
    bool runs[2];
    for (int i = 0; i < 2; i++)
        runs[i] = the_move->side[i].may_run && !world_killed(the_move->world, (unsigned)i);
    return runs[0] && runs[1];
}

static int on_dirty_start(void *opaque)
{
    struct vmm *vmm = &((struct move_side *)opaque)->vmm;
    memset(vmm->log, 0, sizeof(vmm->log));
    vmm->logging = true;
    return 0;
}

static int64_t on_dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                             uint64_t *bits)
{
    return vmm_dirty_sync(&((struct move_side *)opaque)->vmm, region, first_page, pages, bits);
}

static void on_dirty_stop(void *opaque)
{
    struct vmm *vmm = &((struct move_side *)opaque)->vmm;
    world_check(vmm->world, vmm->logging);
    vmm->logging = false;
}

static int on_stop(void *opaque)
{
    struct move_side *side = opaque;
    vmm_stop(&side->vmm);
    side->may_run = false;
    return 0;
}

static void run_guest(struct move_side *side)
{
    side->may_run = true;
    if (guest_runs_twice())
        world_fail(the_move->world, "the guest runs on both sides");
    vmm_run(&side->vmm);
}

static int on_resume(void *opaque)
{
    struct move_side *side = opaque;
    run_guest(side);
    return 0;
}

static int on_throttle(void *opaque, uint32_t percent)
{
    ((struct move_side *)opaque)->vmm.throttle_percent = percent;
    return 0;
}

static int on_save(void *opaque, pagerail_migration *migration)
{
    struct vmm *vmm = &((struct move_side *)opaque)->vmm;
    return pagerail_migration_write(migration, vmm->counts, sizeof(vmm->counts));
}

static int on_load(void *opaque, pagerail_migration *migration)
{
    struct vmm *vmm = &((struct move_side *)opaque)->vmm;
    uint8_t *to = (uint8_t *)vmm->counts;
    size_t have = 0;
    ssize_t got;
    while ((got = pagerail_migration_read(migration, to + have, sizeof(vmm->counts) - have)) > 0)
        have += (size_t)got;
    if (got < 0)
        return (int)got;
    world_check(vmm->world, have == sizeof(vmm->counts));
    vmm_verify(vmm, "when its device state was loaded");
    return 0;
}

static int on_run(void *opaque)
{
    struct move_side *side = opaque;
    run_guest(side);
    return 0;
}

static void on_progress(void *opaque, const struct pagerail_progress *progress)
{
    struct move_side *side = opaque;
    struct world *world = side->vmm.world;
    if (side == &the_move->side[MOVE_SOURCE] &&
        progress->stats.bytes_sent > sim_net_counts(world).write_bytes)
        world_fail(world, "bytes are counted as sent that have not arrived");
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
    .progress = on_progress,
};

/* ---- the two programs ---- */

/* A user at a console of this side. */
static void user_main(void *opaque)
{
    struct move_side *side = opaque;
    while (!side->ended && !side->cancel)
        world_sleep_ns(the_move->world, 200000);
    if (!side->ended)
        pagerail_migration_cancel(side->migration);
}

static void open_side(struct move_side *side, const char *name, bool fresh)
{
    struct move *move = the_move;
    vmm_open(&side->vmm, move->world, name, fresh);
    side->vmm.pause_ns += move->net.latency_ns / 8; /* a long migration needs few steps, too */
    struct pagerail_vmm vmm = {&vmm_ops, side, side->vmm.regions, VMM_REGIONS};
    vmm_start(&side->vmm);
    world_check(move->world, !pagerail_migration_new(&vmm, &move->options, &side->migration));
    world_check(move->world, !pr_thread_spawn(&side->user, "user", user_main, side));
}

static void close_side(struct move_side *side)
{
    side->ended = true;
    pr_thread_join(side->user);
    pagerail_migration_free(side->migration);
    vmm_close(&side->vmm);
}

static void note_end(struct move_side *side)
{
    struct world *world = the_move->world;
    side->ended = true;
    side->ended_ns = world_now_ns(world);
    pagerail_migration_outcome(side->migration, &side->outcome);
    const struct pagerail_outcome *o = &side->outcome;
    if (o->phase == PAGERAIL_PHASE_COMPLETED)
        return;
    world_check(world, o->error < 0 && o->message[0]);
    if (the_move->must_complete)
        world_fail(world, "%s did not complete: %s", side->vmm.name, o->message);
}

/* The guest's owner lets it run a little longer and looks at every byte. */
static void live_on(struct move_side *side, const char *when)
{
    struct vmm *vmm = &side->vmm;
    if (!side->may_run)
        world_fail(vmm->world, "%s has the guest and does not run it", vmm->name);
    uint64_t enough = vmm->writes + 20;
    for (int ms = 0; ms < 1000 && vmm->writes < enough; ms++)
        pr_sleep_ms(1);
    vmm_stop(vmm);
    world_check(vmm->world, vmm->writes >= enough);
    vmm_verify(vmm, when);
}

static void source_main(struct world *world, void *arg)
{
    struct move *move = arg;
    struct move_side *side = &move->side[MOVE_SOURCE];
    open_side(side, "source", true);
    vmm_fill(&side->vmm);
    run_guest(side);
    while (!move->listening && !move->blow_ns)
        world_sleep_ns(world, 100000);
    pagerail_migration_send(side->migration, URI);
    note_end(side);
    char report[16];
    if (side->outcome.phase == PAGERAIL_PHASE_COMPLETED && !move->blow)
        world_check(world, pagerail_migration_report_read(side->migration, report, sizeof(report),
                                                          60000) == 6);
    if (side->outcome.guest_is_here)
        live_on(side, "after the migration failed");
    close_side(side);
}

static void destination_main(struct world *world, void *arg)
{
    struct move *move = arg;
    struct move_side *side = &move->side[MOVE_DESTINATION];
    open_side(side, "destination", move->fresh);
    int err = pagerail_migration_listen(side->migration, URI);
    if (err)
        world_check(world, move->blow_ns);
    move->listening = true;
    if (!err)
        pagerail_migration_receive(side->migration);
    if (!err)
        note_end(side);
    if (side->outcome.guest_is_here) {
        live_on(side, "after the move");
        pagerail_migration_report(side->migration, "report", 6);
    }
    close_side(side);
}

/* ---- the blow ---- */

static void kill_frozen(struct world *world, void *arg)
{
    struct move *move = arg;
    world_kill(world, move->blow == MOVE_FREEZE_SOURCE ? MOVE_SOURCE : MOVE_DESTINATION);
}

/* A destination that no source has reached waits on, as it should, until somebody tires of it. */
static void tire(struct world *world, void *arg)
{
    (void)world;
    struct move *move = arg;
    struct move_side *side = &move->side[MOVE_DESTINATION];
    struct pagerail_outcome now;
    if (!side->migration || side->ended)
        return;
    pagerail_migration_outcome(side->migration, &now);
    move->tired = now.phase == PAGERAIL_PHASE_CONNECTING;
    side->cancel |= move->tired;
}

static void strike(struct world *world, void *arg)
{
    struct move *move = arg;
    move->blow_ns = world_now_ns(world);
    uint64_t later_ms = move->blow_ns / 1000000 + 2 * MOVE_PATIENCE_MS;
    world_at_ms(world, later_ms, tire, move);
    for (int i = 0; i < 2; i++)
        move->side[i].vmm.pause_ns = 1000000; /* the long wait needs few steps */
    switch (move->blow) {
    case MOVE_KILL_SOURCE:
        world_kill(world, MOVE_SOURCE);
        break;
    case MOVE_KILL_DESTINATION:
        world_kill(world, MOVE_DESTINATION);
        break;
    case MOVE_FREEZE_SOURCE:
        world_freeze(world, MOVE_SOURCE);
        world_at_ms(world, later_ms, kill_frozen, move);
        break;
    case MOVE_FREEZE_DESTINATION:
        world_freeze(world, MOVE_DESTINATION);
        world_at_ms(world, later_ms, kill_frozen, move);
        break;
    case MOVE_CUT:
        world_cut(world);
        break;
    case MOVE_CANCEL_SOURCE:
        move->side[MOVE_SOURCE].cancel = true;
        break;
    case MOVE_CANCEL_DESTINATION:
        move->side[MOVE_DESTINATION].cancel = true;
        break;
    default:
        break;
    }
}

/* ---- before and after ---- */

static int open_fabric(void *opaque, struct pr_fabric **out)
{
    struct move *move = opaque;
    return pr_fabric_sim_open(move->world, &move->net, out);
}

static void begin(struct world *world, void *arg)
{
    struct move *move = arg;
    the_move = move;
    move->world = world;
    if (move->draw_net)
        move->net = sim_net_draw(world);
    pr_uri_override("sim", open_fabric, move);
#ifdef PR_FAULTS
    if (pr_fault_arm(move->faults))
        world_fail(world, "cannot arm %s", move->faults);
#endif
    if (move->blow)
        world_at_step(world, move->blow_step, strike, move);
}

static void check_patience(struct world *world, const struct move *move, int i)
{
    const struct move_side *side = &move->side[i];
    if (i == MOVE_DESTINATION && move->tired)
        return;
    if (!side->ended || !move->blow_ns || side->ended_ns <= move->blow_ns)
        return;
    uint64_t ms = (side->ended_ns - move->blow_ns) / 1000000;
    if (side->outcome.error && ms > MOVE_PATIENCE_MS)
        world_fail(world, "%s took %llu ms to end after %s: %s", side->vmm.name,
                   (unsigned long long)ms, move_blow_name(move->blow), side->outcome.message);
}

/* With both sides alive, somebody must have the guest, or the source must know that it released it
 * and lost sight of it. */
static void check_guest(struct world *world, const struct move *move)
{
    const struct move_side *s = &move->side[MOVE_SOURCE], *d = &move->side[MOVE_DESTINATION];
    if (world_killed(world, MOVE_SOURCE) || world_killed(world, MOVE_DESTINATION))
        return;
    if (s->outcome.guest_is_here && d->outcome.guest_is_here)
        world_fail(world, "both sides say that they have the guest");
    if (!s->outcome.guest_is_here && !d->outcome.guest_is_here)
        world_check(world, s->outcome.reached == PAGERAIL_PHASE_HANDOVER && move->blow == MOVE_CUT);
}

static void finish(struct world *world, void *arg)
{
    struct move *move = arg;
    check_patience(world, move, MOVE_SOURCE);
    check_patience(world, move, MOVE_DESTINATION);
    check_guest(world, move);
    world_report(world, MOVE_VALUE_STEPS, world_steps(world));
    world_report(world, MOVE_VALUE_PHASE, move->side[MOVE_SOURCE].outcome.phase);
    world_report(world, MOVE_VALUE_ROUNDS, move->side[MOVE_SOURCE].outcome.rounds);
    world_report(world, MOVE_VALUE_BLOW_NS, move->blow_ns);
}

bool move_run(struct move *move, uint64_t seed, struct world_verdict *verdict)
{
    const struct world_side sides[] = {{"source", source_main, move},
                                       {"destination", destination_main, move}};
    const struct world_scenario scenario = {
        .seed = seed,
        .sides = sides,
        .side_count = 2,
        .begin = begin,
        .end = finish,
        .arg = move,
    };
    return world_run_forked(&scenario, verdict);
}
