/* SPDX-License-Identifier: BSD-2-Clause */
/* The destination's states. */
#include "base/error.h"
#include "base/runtime.h"
#include "migrate/migration.h"

int pr_receive_pages(struct pagerail_migration *m)
{
    int err = pagerail_destination_fence(m->destination);
    return err ? err : PR_STATE_LOAD;
}

int pr_receive_state(struct pagerail_migration *m)
{
    int err = pr_stream_callback_result(m, "load", m->ops.load(m->vmm.opaque, m));
    return err ? err : PR_STATE_TAKE;
}

int pr_receive_take(struct pagerail_migration *m)
{
    int err = pagerail_destination_ready(m->destination);
    if (err)
        return err;
    m->guest_here = true;
    return PR_STATE_RUN;
}

/* The source need not hear of it for the guest to run: an error of the message alone is none. */
int pr_receive_run(struct pagerail_migration *m)
{
    int err = pr_callback_result("run", m->ops.run(m->vmm.opaque));
    if (err)
        return err;
    pagerail_destination_running(m->destination);
    return PR_STATE_END;
}
