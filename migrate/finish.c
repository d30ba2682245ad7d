/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest is the destination's: what the source still does. */
#include "base/error.h"
#include "base/runtime.h"
#include "migrate/migration.h"

#include <errno.h>

/* A destination that answers pings gets so long to run the guest. */
#define CONFIRM_MS 30000

static void close_books(struct pagerail_migration *m)
{
    struct pagerail_stats now;
    pagerail_source_stats(m->source, &now);
    m->downtime.bytes = now.bytes_sent - m->round_start.bytes_sent;
}

int pr_finish_confirm(struct pagerail_migration *m)
{
    uint64_t released = pr_now_ns();
    int err = pagerail_source_wait_running(m->source, CONFIRM_MS, &m->handover);
    m->downtime.resume_ns = pr_now_ns() - released;
    m->downtime.total_ns = pr_now_ns() - m->stop_began_ns;
    close_books(m);
    if (err == -EAGAIN)
        err = pr_error(ETIMEDOUT, "the destination has not run the guest within %d s",
                       CONFIRM_MS / 1000);
    return err ? err : PR_STATE_FINISH;
}

int pr_finish_source(struct pagerail_migration *m)
{
    m->tracking = false;
    m->ops.dirty_stop(m->vmm.opaque);
    return PR_STATE_END;
}
