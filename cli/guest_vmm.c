/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_vmm.h"

#include "base/cursor.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAGIC 0x54534750u /* "PGST" */
#define HEADER_BYTES 12u

double pr_guest_vmm_cpu_s(const struct pr_guest_vmm *vmm, const struct pagerail_stats *stats)
{
    return (double)(stats->cpu_ns + pr_thread_cpu_ns() - vmm->cpu_start_ns) / 1e9;
}

static struct pr_outcome_side *own_side(struct pr_guest_vmm *vmm)
{
    return vmm->options->role == PR_GUEST_DESTINATION ? &vmm->outcome->destination
                                                      : &vmm->outcome->source;
}

void pr_guest_vmm_figures(struct pr_guest_vmm *vmm)
{
    struct pr_outcome_side *side = own_side(vmm);
    struct pr_guest_figures figures;
    pr_guest_figures(vmm->guest, &figures);
    side->writes = (double)figures.writes;
    side->wrong_pages = (double)figures.wrong_pages;
    side->largest_gap_ms = (double)figures.largest_gap_ns / 1e6;
    if (figures.move_gap_ns && vmm->stopped_ns)
        vmm->outcome->downtime_guest_ms = (double)figures.move_gap_ns / 1e6;
    else if (figures.move_gap_ns)
        vmm->outcome->beside_downtime_ms = (double)figures.move_gap_ns / 1e6;
}

void pr_guest_vmm_rounds(struct pr_guest_vmm *vmm)
{
    struct pagerail_round round;
    for (uint32_t i = vmm->outcome->rounds; !pagerail_migration_round(vmm->migration, i, &round);
         i++)
        pr_outcome_round(vmm->outcome, &round);
}

/* The library knows a callback's errno only, so the sentence is put down here. */
static int told(struct pr_guest_vmm *vmm, int err)
{
    if (err < 0)
        pr_outcome_fail(vmm->outcome, pr_error_message());
    return err;
}

/* Every callback is a fault point: it fails, or the process ends or stops there. */
static int fault(const char *name)
{
    return pr_fault(name) ? pr_error(EIO, "the fault point %s is armed", name) : 0;
}

/* --- callbacks of the source --- */

static int on_dirty_start(void *opaque)
{
    struct pr_guest_vmm *vmm = opaque;
    int err = fault("guest.dirty_start");
    return told(vmm, err ? err : pr_tracker_start(vmm->tracker));
}

static int64_t on_dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                             uint64_t *bits)
{
    struct pr_guest_vmm *vmm = opaque;
    int err = fault("guest.dirty_sync");
    if (err)
        return err;
    uint64_t offset = (uint64_t)((uint8_t *)vmm->regions[region].addr - vmm->memory.addr);
    return pr_tracker_sync(vmm->tracker, offset / vmm->memory.page_bytes + first_page, pages, bits);
}

static void on_dirty_stop(void *opaque)
{
    struct pr_guest_vmm *vmm = opaque;
    (void)fault("guest.dirty_stop");
    pr_tracker_stop(vmm->tracker);
}

static int on_stop(void *opaque)
{
    struct pr_guest_vmm *vmm = opaque;
    int err = fault("guest.stop");
    if (err)
        return told(vmm, err);
    pr_guest_stop(vmm->guest);
    return told(vmm, pr_guest_failure(vmm->guest)); /* a wrong one is not worth moving */
}

static int on_resume(void *opaque)
{
    struct pr_guest_vmm *vmm = opaque;
    pr_guest_run(vmm->guest);
    return 0;
}

static int on_throttle(void *opaque, uint32_t percent)
{
    struct pr_guest_vmm *vmm = opaque;
    pr_guest_throttle(vmm->guest, percent);
    return 0;
}

static int write_state(struct pr_guest_vmm *vmm, pagerail_migration *migration, const char *notes)
{
    static struct pr_guest_state state;
    static uint8_t encoded[PR_GUEST_STATE_BYTES_MAX];
    pr_guest_save(vmm->guest, &state);
    int len = pr_guest_state_encode(&state, encoded, sizeof(encoded));
    if (len < 0)
        return len;
    uint8_t header[HEADER_BYTES];
    struct pr_writer w = pr_writer_over(header, sizeof(header));
    pr_write_u32(&w, STATE_MAGIC);
    pr_write_u32(&w, (uint32_t)len);
    pr_write_u32(&w, (uint32_t)strlen(notes));
    int err = pagerail_migration_write(migration, header, sizeof(header));
    if (!err)
        err = pagerail_migration_write(migration, encoded, (size_t)len);
    if (!err)
        err = pagerail_migration_write(migration, notes, strlen(notes));
    return err;
}

static int on_save(void *opaque, pagerail_migration *migration)
{
    struct pr_guest_vmm *vmm = opaque;
    pr_guest_vmm_figures(vmm);
    pr_guest_vmm_rounds(vmm);
    char *notes = pr_outcome_text(vmm->outcome, false);
    if (!notes)
        return pr_error(ENOMEM, "no memory for the guest's state");
    int err = fault("guest.save");
    if (!err)
        err = write_state(vmm, migration, notes);
    free(notes);
    return told(vmm, err);
}

static void on_progress(void *opaque, const struct pagerail_progress *progress)
{
    struct pr_guest_vmm *vmm = opaque;
    pr_progress_show(&vmm->progress, progress);
    if (vmm->options->role == PR_GUEST_SOURCE) {
        pr_outcome_stats(vmm->outcome, &progress->stats);
        vmm->outcome->source.cpu_s = pr_guest_vmm_cpu_s(vmm, &progress->stats);
    }
}

/* --- callbacks of the destination --- */

static int read_whole(pagerail_migration *migration, void *to, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t got = pagerail_migration_read(migration, (uint8_t *)to + have, len - have);
        if (got < 0)
            return (int)got;
        if (!got)
            return pr_error(EPROTO, "the guest's state ends after %zu of %zu bytes", have, len);
        have += (size_t)got;
    }
    return 0;
}

static int read_header(pagerail_migration *migration, uint32_t *state_len, uint32_t *notes_len)
{
    uint8_t header[HEADER_BYTES];
    int err = read_whole(migration, header, sizeof(header));
    if (err)
        return err;
    struct pr_reader r = pr_reader_over(header, sizeof(header));
    uint32_t magic = pr_read_u32(&r);
    *state_len = pr_read_u32(&r);
    *notes_len = pr_read_u32(&r);
    if (magic != STATE_MAGIC)
        return pr_error(EPROTO, "the source is no `pagerail guest`: what it sent is not the state "
                                "of one");
    if (*state_len > PR_GUEST_STATE_BYTES_MAX || *notes_len > PR_OUTCOME_TEXT_MAX)
        return pr_error(EPROTO, "the guest's state is larger than it can be");
    return 0;
}

/* The figures are worth a look, not a failure. */
static int read_notes(struct pr_guest_vmm *vmm, pagerail_migration *migration, uint32_t len)
{
    char *notes = malloc(len ? len : 1);
    if (!notes)
        return pr_error(ENOMEM, "no memory for the source's figures");
    int err = read_whole(migration, notes, len);
    if (!err)
        (void)pr_outcome_merge(vmm->outcome, PR_GUEST_SOURCE, notes, len);
    free(notes);
    return err;
}

static int adopt(struct pr_guest_vmm *vmm, const struct pr_guest_state *state)
{
    char boot_id[PR_BOOT_ID_BYTES];
    pr_boot_id(boot_id);
    bool same_clock = boot_id[0] && !strcmp(boot_id, state->boot_id);
    int err = pr_guest_open(&vmm->guest, &vmm->memory, &state->plan);
    if (err)
        return err;
    vmm->stopped_ns = same_clock ? state->stopped_ns : 0;
    vmm->outcome->plan = state->plan;
    vmm->outcome->plan_known = true;
    return pr_guest_restore(vmm->guest, state, same_clock);
}

static int on_load(void *opaque, pagerail_migration *migration)
{
    struct pr_guest_vmm *vmm = opaque;
    static struct pr_guest_state state;
    static uint8_t encoded[PR_GUEST_STATE_BYTES_MAX];
    uint32_t state_len, notes_len;
    int err = fault("guest.load");
    if (!err)
        err = read_header(migration, &state_len, &notes_len);
    if (!err)
        err = read_whole(migration, encoded, state_len);
    if (!err)
        err = pr_guest_state_decode(&state, encoded, state_len);
    if (!err)
        err = read_notes(vmm, migration, notes_len);
    return told(vmm, err ? err : adopt(vmm, &state));
}

static int on_run(void *opaque)
{
    struct pr_guest_vmm *vmm = opaque;
    int err = fault("guest.run");
    if (err)
        return told(vmm, err);
    pr_guest_run(vmm->guest);
    uint64_t now = pr_now_ns();
    if (vmm->stopped_ns && now >= vmm->stopped_ns)
        vmm->outcome->downtime_ms = (double)(now - vmm->stopped_ns) / 1e6;
    return 0;
}

/* --- the object --- */

static const struct pagerail_vmm_ops ops = {
    .size = sizeof(ops),
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

int pr_guest_vmm_open(struct pr_guest_vmm *vmm, const struct pr_guest_options *options,
                      struct pr_outcome *outcome)
{
    *vmm = (struct pr_guest_vmm){.options = options, .outcome = outcome};
    pr_progress_init(&vmm->progress, stderr, options->quiet);
    int err = fault("guest.selftest"); /* tells the tests that the points are compiled in */
    if (!err)
        err = pr_guest_memory_map(&vmm->memory, options->len_bytes, options->page_bytes);
    if (!err && options->role != PR_GUEST_DESTINATION)
        err = pr_guest_open(&vmm->guest, &vmm->memory, &options->plan);
    if (!err && vmm->guest)
        pr_guest_fill(vmm->guest);
    if (err)
        pr_guest_vmm_close(vmm);
    return err;
}

static int open_tracker(struct pr_guest_vmm *vmm)
{
    struct pr_tracker_range range = {vmm->memory.addr, vmm->memory.len_bytes,
                                     vmm->memory.page_bytes};
    struct pr_tracker_gate gate = pr_guest_gate(vmm->guest);
    int err = pr_tracker_open(&vmm->tracker, vmm->options->tracking, &range, &gate);
    if (!err)
        snprintf(vmm->outcome->tracking, sizeof(vmm->outcome->tracking), "%s",
                 pr_tracker_describe(vmm->tracker));
    return err;
}

int pr_guest_vmm_prepare(struct pr_guest_vmm *vmm)
{
    struct pagerail_vmm described = {.ops = &ops, .opaque = vmm, .regions = vmm->regions};
    described.region_count = pr_guest_memory_regions(&vmm->memory, vmm->regions);
    const bool destination = vmm->options->role == PR_GUEST_DESTINATION;
    for (uint32_t i = 0; i < described.region_count; i++)
        vmm->regions[i].flags =
            PAGERAIL_REGION_NO_LAZY_FILL | (destination ? PAGERAIL_REGION_FRESH : 0);
    if (!destination) {
        int err = open_tracker(vmm);
        if (err)
            return err;
    }
    return pagerail_migration_new(&described, &vmm->options->migration, &vmm->migration);
}

void pr_guest_vmm_close(struct pr_guest_vmm *vmm)
{
    pagerail_migration_free(vmm->migration);
    pr_tracker_close(vmm->tracker);
    pr_guest_close(vmm->guest);
    pr_guest_memory_unmap(&vmm->memory);
    vmm->migration = NULL;
    vmm->tracker = NULL;
    vmm->guest = NULL;
}
