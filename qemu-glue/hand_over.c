/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source gives the guest away. QEMU has no such step: it calls the migration completed when the
 * last byte is written, and the destination runs what it could load. Here the destination says that
 * it is ready, the source releases, and only then the one must not run the guest any more and the
 * other may.
 */
#include "qemu/osdep.h"

#include "compat.h"
#include "figures.h"
#include "hooks.h"
#include "migration/migration.h"
#include "outgoing.h"
#include "qapi/error.h"
#include "trace/trace-migration.h"

/* Beyond it the guest goes on here, or is not known to run there. */
#define ANSWER_TIMEOUT_MS 10000

static int release(RdmaOutgoing *out)
{
    int err = pagerail_source_write_end(out->session);

    if (!err) {
        err = pagerail_source_wait_ready(out->session, ANSWER_TIMEOUT_MS);
    }
    out->ready_ns = get_clock();
    if (!err) {
        err = pagerail_source_release(out->session);
    }
    out->released_ns = get_clock();
    return err;
}

/* It may run there, so it must not run here; somebody has to look. */
static void tell_of_silence(MigrationState *s)
{
    Error *local_err = NULL;

    error_setg(&local_err,
               "rdma: the guest was handed over, but the destination did not say that it runs "
               "there; look before you run it here: %s",
               pagerail_error_message());
    migrate_set_error(s, local_err);
    error_free(local_err);
}

/* The destination loads from the fence until it says ready; before that, it waited for memory. */
static uint64_t copy_ns(const RdmaOutgoing *out, const struct pagerail_handover *handover)
{
    uint64_t ns = out->ready_ns - out->last_look_ns;

    return ns > handover->load_ns ? ns - handover->load_ns : 0;
}

/* The guest stands until it runs there, and not until that is known here. QEMU keeps what is set
 * already, and leaves out its trace then. */
static void set_downtime(MigrationState *s, RdmaOutgoing *out, uint64_t resume_ns)
{
    struct pagerail_stats stats;

    pagerail_source_stats(out->session, &stats);
    s->downtime = rdma_switchover_downtime(s->downtime_start, out->released_ns, get_clock(),
                                           stats.rtt_ns, resume_ns);
    trace_vmstate_downtime_checkpoint("src-downtime-end");
}

int rdma_hand_over(MigrationState *s)
{
    RdmaOutgoing *out = rdma_outgoing_of(s->to_dst_file);
    struct pagerail_handover handover;
    int err = release(out);

    rdma_outgoing_count(out);
    rdma_outgoing_count_rails(out);
    if (err) {
        return rdma_outgoing_failed(s->to_dst_file, err);
    }
    if (pagerail_source_wait_running(out->session, ANSWER_TIMEOUT_MS, &handover) < 0) {
        tell_of_silence(s);
    } else {
        rdma_figures_downtime(copy_ns(out, &handover), &handover);
        set_downtime(s, out, handover.resume_ns);
    }
    return 0;
}
