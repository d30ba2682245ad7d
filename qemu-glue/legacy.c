/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rest of migration/rdma.h: what stock QEMU's protocol needs and this one does without. */
#include "qemu/osdep.h"

#include "compat.h"
#include "hooks.h"
#include "migration/options.h"
#include "migration/rdma.h"
#include "outgoing.h"
#include "qemu/error-report.h"

/* For a QEMU whose search for dirty pages does not ask rdma_sends_runs. */
int rdma_control_save_page(QEMUFile *f, ram_addr_t block_offset, ram_addr_t offset, size_t size)
{
    RdmaOutgoing *out = rdma_outgoing_of(f);
    int err;

    if (!out) {
        return RDMA_PAGE_IS_NOT_OURS;
    }
    err = rdma_save_run(f, guest_memory_block_at(&out->memory, block_offset), offset, size);
    return err ? err : RAM_SAVE_CONTROL_DELAYED;
}

int rdma_registration_handle(QEMUFile *f)
{
    error_report("rdma: the stream holds a message of another RDMA protocol: migrate from a QEMU "
                 "that was built with pagerail, too");
    return -EINVAL;
}

/* The two sides have compared their blocks when they connected. */
int rdma_block_notification_handle(QEMUFile *f, const char *name)
{
    return 0;
}
