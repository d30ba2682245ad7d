/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways out. Before the hand-over the guest runs on at the source, unharmed (invariant 7 of
 * docs/architecture.md); the resume comes first, everything else can wait.
 */
#include "base/fault.h"
#include "base/log.h"
#include "migrate/migration.h"

#include <stdio.h>
#include <string.h>

static void resume_guest(struct pagerail_migration *m)
{
    if (!m->stopped || pr_fault("abort.skip_resume"))
        return;
    int err = m->ops.resume(m->vmm.opaque);
    m->stopped = false;
    if (err >= 0)
        return;
    pr_callback_result("resume", err);
    pr_log_error("the guest stands still: %s", pr_error_message());
    size_t len = strlen(m->message);
    snprintf(m->message + len, sizeof(m->message) - len, "; and the guest stands still: %s",
             pr_error_message());
}

static void undo_throttle(struct pagerail_migration *m)
{
    if (m->throttle_percent)
        m->ops.throttle(m->vmm.opaque, 0);
    m->throttle_percent = 0;
}

int pr_abort_source(struct pagerail_migration *m)
{
    resume_guest(m);
    undo_throttle(m);
    pagerail_source_abort(m->source, m->message);
    if (m->tracking)
        m->ops.dirty_stop(m->vmm.opaque);
    m->tracking = false;
    return PR_STATE_END;
}

int pr_abort_destination(struct pagerail_migration *m)
{
    pagerail_destination_abort(m->destination, m->message);
    return PR_STATE_END;
}

int pr_abort_lost(struct pagerail_migration *m)
{
    if (m->tracking)
        m->ops.dirty_stop(m->vmm.opaque);
    m->tracking = false;
    if (pr_fault("abort.resume_released"))
        resume_guest(m);
    return PR_STATE_END;
}
