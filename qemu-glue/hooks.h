/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hooks.h: what QEMU's migration code calls beside migration/rdma.h. Each does nothing, and costs a
 * test of a flag, when the migration under way is of another kind.
 *
 *   the user asks for rdma:              rdma_can_migrate
 *   migration thread starts              rdma_send_setup
 *   a dirty page was found               rdma_sends_runs, rdma_run_bytes, rdma_save_run
 *   the dirty log was read               rdma_dirty_log_was_read
 *   how much is left, how fast it goes   rdma_pending_bytes, rdma_bandwidth
 *   a device was saved                   rdma_device_saved
 *   the last byte was written            rdma_hand_over
 *   migration thread ends                rdma_send_cleanup
 *
 *   destination: all is loaded           rdma_take_over
 *   destination: the guest runs          rdma_guest_runs
 */
#ifndef PAGERAIL_GLUE_HOOKS_H
#define PAGERAIL_GLUE_HOOKS_H

#include "migration/qemu-file.h"
#include "qapi/qapi-types-migration.h"
#include "qemu/coroutine.h"

#ifdef CONFIG_RDMA

/* False, with a sentence that names it, when something is set that a migration over pagerail cannot
 * be combined with. Either side, before anything is sent; never ignored silently. */
bool rdma_can_migrate(Error **errp);

/* Connects. False: the state is FAILED, or CANCELLING as before, and s has the reason. Migration
 * thread, without the BQL. */
bool rdma_send_setup(MigrationState *s);

/* Whether dirty pages go by runs instead of one by one. */
bool rdma_sends_runs(void);

/* The longest run to hand over at once: the rate that is allowed shall hold. */
uint64_t rdma_run_bytes(void);

/* Dirty bits were set: pages may be handed over again, in a new epoch. Called, as rdma_save_run is,
 * with QEMU's bitmap_mutex held; any thread (auto-converge has a timer that reads the log). */
void rdma_dirty_log_was_read(void);

/* Hands over one run, whose dirty bits are cleared already. Waits while too much is under way.
 * 0 or negative; then f has the error. */
int rdma_save_run(QEMUFile *f, RAMBlock *block, ram_addr_t offset, uint64_t len);

/* What still has to go beside the dirty pages: what is handed over and not yet at the destination;
 * and while rounds shrink a multiple of all (switchover.h). Ends the epoch when the dirty log was
 * read, so that the next one need not wait for that; may wait for room in a worker's queue.
 * Migration thread. */
uint64_t rdma_pending_bytes(void);

/* Bytes a millisecond with which QEMU may reckon, when so many have arrived in the last ms.
 * Migration thread. */
double rdma_bandwidth(double bytes, double ms);

/* The state of one more device is in f: sends what there is when that is enough. Errors stay in f.
 */
void rdma_device_saved(QEMUFile *f);

/*
 * Gives the guest away. 0: it is the destination's, for good, whatever comes; s has an error if it
 * is not known to run there. Negative: nothing was given away and it may go on here.
 */
int rdma_hand_over(MigrationState *s);

/* Ends the session. Migration thread, after the guest was resumed if that was due. */
void rdma_send_cleanup(MigrationState *s);

/* Says that the guest could run here and waits for the source's release: 0, or negative, then it
 * must not run here. In a coroutine or not. */
int coroutine_mixed_fn rdma_take_over(QEMUFile *f, Error **errp);

/* Tells the source that the guest is running. Does not wait. */
void rdma_guest_runs(QEMUFile *f);

#else

static inline bool rdma_can_migrate(Error **errp)
{
    return true;
}

static inline bool rdma_send_setup(MigrationState *s)
{
    return true;
}

static inline bool rdma_sends_runs(void)
{
    return false;
}

static inline uint64_t rdma_run_bytes(void)
{
    g_assert_not_reached();
}

static inline int rdma_save_run(QEMUFile *f, RAMBlock *block, ram_addr_t offset, uint64_t len)
{
    g_assert_not_reached();
}

static inline void rdma_dirty_log_was_read(void)
{
}

static inline uint64_t rdma_pending_bytes(void)
{
    return 0;
}

static inline double rdma_bandwidth(double bytes, double ms)
{
    return bytes / ms;
}

static inline void rdma_device_saved(QEMUFile *f)
{
}

static inline int rdma_hand_over(MigrationState *s)
{
    g_assert_not_reached();
}

static inline void rdma_send_cleanup(MigrationState *s)
{
}

static inline int rdma_take_over(QEMUFile *f, Error **errp)
{
    return 0;
}

static inline void rdma_guest_runs(QEMUFile *f)
{
}

#endif
#endif
