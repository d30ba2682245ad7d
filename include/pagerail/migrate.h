/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagerail/migrate.h: the whole migration, for VMMs that have no pre-copy loop of their own.
 *
 * The VMM fills a table of callbacks and calls pagerail_migration_send on one host and
 * pagerail_migration_receive on the other. Both block until the guest runs at the destination or
 * the migration has failed.
 *
 * ONE SIDE RUNS. pagerail_migration_send resumes the guest itself, through the `resume` callback,
 * if it stopped it and the hand-over did not happen. Its outcome says who has the guest.
 *
 * CALLBACKS return 0 (or a count) or a negative errno, which fails the migration. They are called
 * from the thread that called send or receive, one at a time, except where stated.
 */
#ifndef PAGERAIL_MIGRATE_H
#define PAGERAIL_MIGRATE_H

#include <pagerail/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pagerail_migration pagerail_migration;

/* Appends device state, from `save`: copies. */
PAGERAIL_API int pagerail_migration_write(pagerail_migration *migration, const void *bytes,
                                          size_t len);

/* Reads device state, from `load`: bytes read, 0 at the end, negative errno. Waits for the first.
 */
PAGERAIL_API ssize_t pagerail_migration_read(pagerail_migration *migration, void *to, size_t size);

/* Where a migration stands; also the last state of a failed one. */
enum pagerail_phase {
    PAGERAIL_PHASE_IDLE,
    PAGERAIL_PHASE_CONNECTING, /* source: connect; destination: waiting for a source */
    PAGERAIL_PHASE_PRECOPY,    /* rounds while the guest runs at the source */
    PAGERAIL_PHASE_SWITCHOVER, /* the guest stands still */
    PAGERAIL_PHASE_HANDOVER,   /* released by the source, not yet confirmed by the destination */
    PAGERAIL_PHASE_COMPLETED,
    PAGERAIL_PHASE_CANCELLED,
    PAGERAIL_PHASE_FAILED,
};

/* A static lower-case word. */
PAGERAIL_API const char *pagerail_phase_name(enum pagerail_phase phase);

/* One pass over the dirty pages. Figures of the round alone. Pages are of 4 KiB. */
struct pagerail_round {
    uint64_t bytes;      /* of guest memory written */
    uint64_t pages;      /* sent as data */
    uint64_t zero_pages; /* found all-zero */
    uint64_t duration_ns;
    uint64_t bandwidth_Bps;         /* completed bytes over duration */
    uint64_t dirty_bytes;           /* dirtied by the guest while the round ran */
    uint64_t dirty_rate_Bps;        /* dirty_bytes over the time they were collected in */
    uint64_t predicted_downtime_ns; /* had the guest been stopped at the round's end */
    uint32_t throttle_percent;      /* in force during the round */
};

/* What the downtime consisted of, in nanoseconds: measured, not predicted. */
struct pagerail_downtime {
    uint64_t total_ns;  /* from the stop callback's call to the destination's word that it runs */
    uint64_t stop_ns;   /* stop callback */
    uint64_t sync_ns;   /* last read of the dirty log */
    uint64_t copy_ns;   /* last pages, until the fence closed */
    uint64_t state_ns;  /* save, transfer and load of device state, until ready */
    uint64_t resume_ns; /* release until the destination's word */
    uint64_t bytes;     /* guest memory written meanwhile */
};

struct pagerail_progress {
    enum pagerail_phase phase;
    uint32_t round;           /* from 1 */
    uint64_t total_bytes;     /* of all regions */
    uint64_t round_bytes;     /* this round's at its start */
    uint64_t remaining_bytes; /* this round's, not yet at the destination */
    uint64_t bandwidth_Bps;   /* 0 = not known yet */
    uint64_t dirty_rate_Bps;
    uint64_t predicted_downtime_ns; /* UINT64_MAX = not known yet */
    uint64_t eta_ns;                /* until completion; UINT64_MAX = not known or not converging */
    uint32_t throttle_percent;
    struct pagerail_stats stats;
};

/* The callbacks. Size-stamped as options are. */
struct pagerail_vmm_ops {
    size_t size; /* sizeof(struct pagerail_vmm_ops) */

    /* --- source --- */

    /* Start to log writes to every region. All pages count as dirty at that moment. */
    int (*dirty_start)(void *vmm);

    /* Read and clear the dirty log of `pages` pages from first_page (a multiple of 64): OR a 1 into
     * bits (bit 0 = first_page) for each page written since the last call on it. Returns how many
     * pages were found. Called by several threads at once on disjoint ranges. A page's log entry
     * must be cleared before this returns, and a later write must show in a later call. */
    int64_t (*dirty_sync)(void *vmm, uint32_t region, uint64_t first_page, uint64_t pages,
                          uint64_t *bits);

    /* Stop to log. Called exactly once after a successful dirty_start. */
    void (*dirty_stop)(void *vmm);

    /* Stop the guest: when it returns, no vCPU and no device writes guest memory. */
    int (*stop)(void *vmm);

    /* Run the guest again after `stop`, because the hand-over did not happen. */
    int (*resume)(void *vmm);

    /* Write device state by pagerail_migration_write. */
    int (*save)(void *vmm, pagerail_migration *migration);

    /* Slow the guest's writers by this percentage of their time; 0 = full speed. NULL = cannot. */
    int (*throttle)(void *vmm, uint32_t percent);

    /* --- destination --- */

    /* Read device state by pagerail_migration_read. The guest's memory is complete. */
    int (*load)(void *vmm, pagerail_migration *migration);

    /* Run the guest: it is now this side's. */
    int (*run)(void *vmm);

    /* --- either, may be NULL --- */

    /* At every change of phase; at the source also at every round and about every 100 ms while
     * pages are sent. */
    void (*progress)(void *vmm, const struct pagerail_progress *progress);
};

struct pagerail_vmm {
    const struct pagerail_vmm_ops *ops;
    void *opaque; /* first argument of every callback */
    const struct pagerail_region *regions;
    uint32_t region_count;
};

/* The end of a migration, as this side knows it. */
struct pagerail_outcome {
    enum pagerail_phase phase;   /* COMPLETED, CANCELLED or FAILED */
    enum pagerail_phase reached; /* the phase it was in when it ended */
    int error;                   /* negative errno, 0 when completed */
    char message[PAGERAIL_ERROR_MAX];
    int guest_is_here; /* 1: this side has the guest and may run it; 0: it must not */
    uint64_t total_ns; /* from send's connect, or receive's first contact, to the end */
    struct pagerail_downtime downtime; /* source only */
    struct pagerail_handover handover; /* source only */
    struct pagerail_stats stats;
    uint32_t rounds; /* see pagerail_migration_round */
};

/*
 * pagerail_migration_new: makes an idle migration.
 * vmm: copied; its regions are borrowed until pagerail_migration_free. options: copied; NULL =
 * defaults. ERRORS: -EINVAL no regions, an option or a callback that this version does not know;
 * -ENOMEM.
 */
PAGERAIL_API int pagerail_migration_new(const struct pagerail_vmm *vmm,
                                        const struct pagerail_options *options,
                                        pagerail_migration **out);

/*
 * pagerail_migration_send: moves the running guest to the destination at uri. Blocks.
 * RETURN VALUE: 0: the guest runs there. Otherwise a negative errno, and the outcome's
 * guest_is_here says whether it still runs here (it does unless the hand-over had begun). ERRORS:
 * those of pagerail/transport.h; -EBUSY it did not converge within the options' limits; -ECANCELED;
 * what a callback returned.
 */
PAGERAIL_API int pagerail_migration_send(pagerail_migration *migration, const char *uri);

/* pagerail_migration_listen: makes the address ready; pagerail_migration_receive waits there. */
PAGERAIL_API int pagerail_migration_listen(pagerail_migration *migration, const char *uri);

/*
 * pagerail_migration_receive: takes a guest in. Blocks until it runs here or never will.
 * RETURN VALUE: 0: it runs here.
 */
PAGERAIL_API int pagerail_migration_receive(pagerail_migration *migration);

/*
 * pagerail_migration_cancel: ends the migration; send or receive returns -ECANCELED soon.
 * ERRORS: -EALREADY the guest is being handed over: the migration goes on. At the destination this
 * is so from the moment it is ready; then only the source can still cancel. THREAD-SAFETY: any
 * thread, any time before _free.
 */
PAGERAIL_API int pagerail_migration_cancel(pagerail_migration *migration);

/* After send or receive returned. pagerail_migration_round: round 0 <= index < outcome.rounds;
 * -EINVAL otherwise. pagerail_migration_rail: as pagerail_source_rail; -ENOENT at the destination.
 */
PAGERAIL_API void pagerail_migration_outcome(pagerail_migration *migration,
                                             struct pagerail_outcome *out);
PAGERAIL_API int pagerail_migration_round(pagerail_migration *migration, uint32_t index,
                                          struct pagerail_round *out);
PAGERAIL_API int pagerail_migration_rail(pagerail_migration *migration, uint32_t index,
                                         struct pagerail_rail *out);

/*
 * After a completed migration the destination may send one report (any bytes) to the source.
 * pagerail_migration_report: destination: sends it whole.
 * pagerail_migration_report_read: source: as pagerail_source_read.
 */
PAGERAIL_API int pagerail_migration_report(pagerail_migration *migration, const void *bytes,
                                           size_t len);
PAGERAIL_API ssize_t pagerail_migration_report_read(pagerail_migration *migration, void *to,
                                                    size_t size, int timeout_ms);

/* pagerail_migration_free: closes the connection and frees. NULL is allowed. */
PAGERAIL_API void pagerail_migration_free(pagerail_migration *migration);

#ifdef __cplusplus
}
#endif
#endif
