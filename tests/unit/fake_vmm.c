/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vmm.h"

#include <errno.h>
#include <string.h>

/* One region of one range: the log is read by one thread at a time. */
static int called(void *opaque, char call)
{
    struct fake_vmm *vmm = opaque;
    size_t len = strlen(vmm->calls);
    if (len + 1 < sizeof(vmm->calls))
        vmm->calls[len] = call;
    if (vmm->on_call)
        vmm->on_call(vmm, call);
    return vmm->fails && strchr(vmm->fails, call) ? -EIO : 0;
}

static int on_dirty_start(void *opaque)
{
    return called(opaque, 'S');
}

static int64_t on_dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                             uint64_t *bits)
{
    struct fake_vmm *vmm = opaque;
    (void)region, (void)first_page;
    int err = called(vmm, 'y');
    if (err)
        return err;
    if (vmm->sync_result < 0)
        return vmm->sync_result;
    uint64_t found = vmm->dirty_pages < pages ? vmm->dirty_pages : pages;
    for (uint64_t i = 0; i < found; i++)
        bits[i / 64] |= UINT64_C(1) << (i % 64);
    return (int64_t)found;
}

static void on_dirty_stop(void *opaque)
{
    called(opaque, 'E');
}

static int on_stop(void *opaque)
{
    return called(opaque, 'P');
}

static int on_resume(void *opaque)
{
    return called(opaque, 'R');
}

static int on_save(void *opaque, pagerail_migration *migration)
{
    static const uint8_t bytes[4096];
    struct fake_vmm *vmm = opaque;
    int err = called(vmm, 'V');
    for (uint64_t done = 0; done < vmm->state_bytes && !err; done += sizeof(bytes)) {
        vmm->io_result = pagerail_migration_write(migration, bytes, sizeof(bytes));
        err = vmm->io_result ? -EIO : 0; /* as a VMM that has errors of its own */
    }
    return err;
}

static int on_throttle(void *opaque, uint32_t percent)
{
    ((struct fake_vmm *)opaque)->throttle_percent = percent;
    return called(opaque, percent ? 't' : '0');
}

static int on_load(void *opaque, pagerail_migration *migration)
{
    uint8_t bytes[4096];
    struct fake_vmm *vmm = opaque;
    int err = called(vmm, 'L');
    for (uint64_t done = 0; done < vmm->state_bytes && !err; done += (uint64_t)vmm->io_result) {
        vmm->io_result = (int)pagerail_migration_read(migration, bytes, sizeof(bytes));
        err = vmm->io_result <= 0 ? -EIO : 0;
    }
    return err;
}

static int on_run(void *opaque)
{
    return called(opaque, 'r');
}

static void on_progress(void *opaque, const struct pagerail_progress *progress)
{
    struct fake_vmm *vmm = opaque;
    unsigned count = vmm->told_count;
    if (count < sizeof(vmm->told) / sizeof(vmm->told[0])) {
        vmm->told[count] = *progress;
        vmm->told_count = count + 1;
    }
}

void fake_vmm_open(struct fake_vmm *vmm, uint8_t *memory)
{
    *vmm = (struct fake_vmm){
        .ops = {.size = sizeof(vmm->ops),
                .dirty_start = on_dirty_start,
                .dirty_sync = on_dirty_sync,
                .dirty_stop = on_dirty_stop,
                .stop = on_stop,
                .resume = on_resume,
                .save = on_save,
                .throttle = on_throttle,
                .load = on_load,
                .run = on_run,
                .progress = on_progress},
        .region = {.name = "ram",
                   .addr = memory,
                   .len_bytes = FAKE_PAGES * 4096,
                   .page_bytes = 4096},
    };
    vmm->vmm = (struct pagerail_vmm){&vmm->ops, vmm, &vmm->region, 1};
}
