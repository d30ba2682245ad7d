/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the migration thread asks for: connect, runs, rounds, figures. */
#include "qemu/osdep.h"

#include "compat.h"
#include "figures.h"
#include "hooks.h"
#include "migration/migration-stats.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "migration/rdma.h"
#include "outgoing.h"
#include "qapi/error.h"
#include "qemu/units.h"

/* A destination that lives but does not go on may keep a stopped guest for so long, or for twice
 * the downtime that the user allows. */
#define SWITCHOVER_TIMEOUT_MS 10000

#define RUN_BYTES (512 * KiB)
#define RUN_BYTES_LEAST (64 * KiB)

/* Handed over and not yet sent, when no rate limits it. */
#define PENDING_BYTES (32 * MiB)

/* Device state goes out when there is so much of it, then twice as much, and so on until QEMU's own
 * buffer is full (32 KiB): the destination loads the first devices while the next are saved, and a
 * large guest's state is not cut into small messages for that. */
#define STATE_FLUSH_BYTES (4 * KiB)

int rdma_outgoing_failed(QEMUFile *f, int err)
{
    Error *local_err = NULL;

    if (!qemu_file_get_error(f)) {
        error_setg(&local_err, "rdma: %s", pagerail_error_message());
        qemu_file_set_error_obj(f, err, local_err);
    }
    return err;
}

void rdma_outgoing_count_rails(RdmaOutgoing *out)
{
    struct pagerail_rail rails[RDMA_RAILS_MOST];
    unsigned count = 0;

    while (count < RDMA_RAILS_MOST && !pagerail_source_rail(out->session, count, &rails[count])) {
        count++;
    }
    out->rails_ns = get_clock();
    rdma_figures_rails(rails, count, out->rails_ns);
}

void rdma_outgoing_count(RdmaOutgoing *out)
{
    struct pagerail_stats stats;

    pagerail_source_stats(out->session, &stats);
    rdma_figures_update(&stats);
    stat64_set(&mig_stats.rdma_bytes, stats.bytes_sent);
    stat64_set(&mig_stats.normal_pages, stats.bytes_sent / TARGET_PAGE_SIZE);
    stat64_set(&mig_stats.zero_pages, stats.zero_pages);
    ram_transferred_add(stats.bytes_sent - out->bytes_seen);
    out->bytes_seen = stats.bytes_sent;
    if (get_clock() - out->rails_ns >= RDMA_RAILS_PERIOD_NS) {
        rdma_outgoing_count_rails(out);
    }
}

static int connect_session(RdmaOutgoing *out)
{
    int err = pagerail_source_connect(out->session, out->uri, (void *)out->memory.regions->data,
                                      out->memory.regions->len);

    if (!err) {
        err = migrate_rdma_pin_all() ? pagerail_source_registered_wait(out->session, -1) : 0;
    }
    return err;
}

bool rdma_send_setup(MigrationState *s)
{
    RdmaOutgoing *out = rdma_outgoing_of(s->to_dst_file);
    Error *local_err = NULL;

    if (!out) {
        return true;
    }
    rdma_switchover_begin(&out->switchover);
    if (guest_memory_changed(&out->memory)) {
        error_setg(&local_err, "rdma: memory was plugged or unplugged while the migration started");
    } else if (connect_session(out) < 0) {
        error_setg(&local_err, "rdma: %s", pagerail_error_message());
    } else {
        return true;
    }
    if (s->state == MIGRATION_STATUS_SETUP) { /* and not cancelled */
        migrate_set_error(s, local_err);
    }
    error_free(local_err);
    migrate_set_state(&s->state, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_FAILED);
    return false;
}

bool rdma_sends_runs(void)
{
    return migrate_rdma();
}

uint64_t rdma_run_bytes(void)
{
    uint64_t period = migration_rate_get(); /* bytes; 0 = no limit */
    uint64_t fit = period ? MAX(period / 8, RUN_BYTES_LEAST) : RUN_BYTES;

    return QEMU_ALIGN_DOWN(MIN(fit, RUN_BYTES), TARGET_PAGE_SIZE);
}

/*
 * QEMU compares what has arrived with the limit, so what is under way goes beyond it: an eighth of
 * a period, or what the link itself holds at that rate.
 */
static uint64_t most_pending(RdmaOutgoing *out)
{
    uint64_t period = migration_rate_get(); /* bytes; 0 = no limit */
    struct pagerail_stats stats;

    if (!period) {
        return PENDING_BYTES;
    }
    pagerail_source_stats(out->session, &stats);
    return MIN(period / 8 + 2 * period * stats.rtt_ns / (BUFFER_DELAY * SCALE_MS), PENDING_BYTES);
}

static RdmaOutgoing *current_outgoing(void)
{
    return migrate_rdma() ? rdma_outgoing_of(migrate_get_current()->to_dst_file) : NULL;
}

static bool dirty_log_was_read; /* since the epoch began */

void rdma_dirty_log_was_read(void)
{
    RdmaOutgoing *out = current_outgoing();

    if (out) {
        rdma_switchover_look(&out->switchover, ram_bytes_remaining());
    }
    qatomic_set(&dirty_log_was_read, true);
}

/* A page may be dirty again only after QEMU has read its log again: that begins a new epoch. */
static int follow_dirty_log(RdmaOutgoing *out)
{
    bool begin = qatomic_xchg(&dirty_log_was_read, false) && out->epoch_open;

    if (!begin) {
        return 0;
    }
    out->epoch_open = false;
    return pagerail_source_epoch_end(out->session, NULL);
}

static int push(RdmaOutgoing *out, RAMBlock *block, ram_addr_t offset, uint64_t len)
{
    int err = follow_dirty_log(out);

    if (!err) {
        err =
            pagerail_source_push(out->session, guest_memory_find(&out->memory, block), offset, len);
    }
    if (!err) {
        out->handed = out->epoch_open = true;
        err = pagerail_source_pending_wait(out->session, most_pending(out), -1);
    }
    return err;
}

int rdma_save_run(QEMUFile *f, RAMBlock *block, ram_addr_t offset, uint64_t len)
{
    RdmaOutgoing *out = rdma_outgoing_of(f);
    int err = push(out, block, offset, len);

    rdma_outgoing_count(out);
    return err ? rdma_outgoing_failed(f, err) : 0;
}

uint64_t rdma_pending_bytes(void)
{
    RdmaOutgoing *out = current_outgoing();
    struct pagerail_stats stats;
    int err;

    if (!out) {
        return 0;
    }
    err = follow_dirty_log(out);
    if (err) {
        rdma_outgoing_failed(migrate_get_current()->to_dst_file, err);
        return INT64_MAX; /* the guest is not stopped for a migration that has failed */
    }
    pagerail_source_stats(out->session, &stats);
    return rdma_switchover_pending(&out->switchover, stats.pending_bytes, ram_bytes_remaining());
}

double rdma_bandwidth(double bytes, double ms)
{
    RdmaOutgoing *out = current_outgoing();

    return out ? rdma_switchover_bandwidth(&out->switchover, bytes, ms) : bytes / ms;
}

int rdma_registration_start(QEMUFile *f, uint64_t flags)
{
    RdmaOutgoing *out = migrate_rdma() ? rdma_outgoing_of(f) : NULL;

    if (!out) {
        return 0;
    }
    out->handed = false;
    if (flags == RAM_CONTROL_FINISH) {
        out->last_look_ns = get_clock();
        pagerail_source_set_deadline(out->session,
                                     MAX(SWITCHOVER_TIMEOUT_MS, 2 * migrate_downtime_limit()));
    }
    return 0;
}

/* All is handed over, so QEMU has nothing to do until some of it has arrived. */
static int wait_for_some(RdmaOutgoing *out)
{
    int err = pagerail_source_pending_wait(out->session, 0, BUFFER_DELAY / 2);

    return err == -EAGAIN ? 0 : err;
}

/* What was written so far may be read at once, what follows after the fence. */
static int fence(RdmaOutgoing *out, QEMUFile *f)
{
    static const uint8_t frame[RDMA_FRAME_HEADER_BYTES] = {0};
    int err = qemu_fflush(f);

    out->flushed_bytes = qemu_file_transferred(f);
    out->state_flush_bytes = STATE_FLUSH_BYTES;
    if (!err) {
        err = pagerail_source_write(out->session, frame, sizeof(frame));
    }
    return err ? err : pagerail_source_fence(out->session, NULL);
}

int rdma_registration_stop(QEMUFile *f, uint64_t flags)
{
    RdmaOutgoing *out = migrate_rdma() ? rdma_outgoing_of(f) : NULL;
    int err = 0;

    if (!out) {
        return 0;
    }
    if (flags == RAM_CONTROL_FINISH) {
        err = fence(out, f);
    } else if (flags == RAM_CONTROL_ROUND && !out->handed) {
        err = wait_for_some(out);
    }
    rdma_outgoing_count(out);
    return err ? rdma_outgoing_failed(f, err) : 0;
}

void rdma_device_saved(QEMUFile *f)
{
    RdmaOutgoing *out = migrate_rdma() ? rdma_outgoing_of(f) : NULL;
    uint64_t bytes;

    if (!out) {
        return;
    }
    bytes = qemu_file_transferred(f);
    if (bytes - out->flushed_bytes >= out->state_flush_bytes) {
        out->flushed_bytes = bytes;
        out->state_flush_bytes *= 2;
        qemu_fflush(f); /* its error stays with the file */
    }
}

/* Here and not with the channel: the main thread would hold up the guest that runs on. */
void rdma_send_cleanup(MigrationState *s)
{
    RdmaOutgoing *out = rdma_outgoing_of(s->to_dst_file);
    pagerail_source *session;

    if (!out) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&out->lock)
    {
        session = g_steal_pointer(&out->session);
    }
    rdma_outgoing_end_return_path(out); /* the main thread is about to wait for its reader */
    pagerail_source_free(session);
}
