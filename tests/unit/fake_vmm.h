/* SPDX-License-Identifier: BSD-2-Clause */
/* A VMM whose callbacks only note that they were called, and fail when the test says so. */
#ifndef PR_TESTS_UNIT_FAKE_VMM_H
#define PR_TESTS_UNIT_FAKE_VMM_H

#include <pagerail/migrate.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FAKE_PAGES 256

struct fake_vmm {
    struct pagerail_vmm vmm;
    struct pagerail_vmm_ops ops;
    struct pagerail_region region;
    /* One letter a call, in order: S dirty_start, y dirty_sync, E dirty_stop, P stop, R resume,
     * V save, t throttle, 0 throttle off, L load, r run. */
    char calls[256];
    const char *fails;    /* letters of callbacks that fail with EIO */
    int64_t sync_result;  /* what dirty_sync returns, if negative */
    uint64_t dirty_pages; /* that each dirty_sync finds, from the first page on */
    uint32_t throttle_percent;
    void (*on_call)(struct fake_vmm *vmm, char call); /* may be NULL */
    /* For save and load: bytes to write, or read. */
    uint64_t state_bytes;
    int io_result; /* what pagerail_migration_write or _read returned last */
    struct pagerail_progress told[64];
    _Atomic unsigned told_count;
    void *test; /* the test's own */
};

/* memory: FAKE_PAGES pages of 4 KiB. */
void fake_vmm_open(struct fake_vmm *vmm, uint8_t *memory);

#endif
