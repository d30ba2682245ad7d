/* SPDX-License-Identifier: BSD-2-Clause */
/* Phase "connecting", both sides. */
#include "base/runtime.h"
#include "migrate/migration.h"

int pr_connect_source(struct pagerail_migration *m)
{
    int err = pagerail_source_connect(m->source, m->uri, m->vmm.regions, m->vmm.region_count);
    return err ? err : PR_STATE_TRACK;
}

int pr_connect_destination(struct pagerail_migration *m)
{
    int err = pagerail_destination_accept(m->destination, m->vmm.regions, m->vmm.region_count, -1);
    m->start_ns = pr_now_ns();
    return err ? err : PR_STATE_RECEIVE;
}
