/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration as its phases see it. The public side is <pagerail/migrate.h>. */
#ifndef PR_MIGRATE_MIGRATION_H
#define PR_MIGRATE_MIGRATION_H

#include "base/error.h"
#include "base/pool.h"
#include "migrate/converge.h"
#include "migrate/dirty.h"

#include <pagerail/migrate.h>
#include <pthread.h>
#include <stdbool.h>

enum pr_state {
#define PR_STATE(name, phase, function, on_error) PR_STATE_##name,
#include "migrate/states.def"
#undef PR_STATE
};

struct pagerail_migration {
    struct pagerail_vmm vmm;
    struct pagerail_vmm_ops ops;     /* as many as the VMM's size covers */
    struct pagerail_options options; /* resolved */
    const char *uri;                 /* the caller's, while send runs */

    pthread_mutex_t lock; /* source, destination, cancelled: against pagerail_migration_cancel */
    pagerail_source *source;
    pagerail_destination *destination;
    bool cancelled;

    enum pr_state state;
    enum pagerail_phase phase;
    enum pagerail_phase reached; /* the last phase before it ended */
    int error;
    char message[PAGERAIL_ERROR_MAX];
    struct pr_failure io; /* of the stream, as met by the save and load callbacks */

    bool tracking; /* dirty_start succeeded and dirty_stop was not called */
    bool stopped;  /* the guest, by us */
    bool guest_here;
    uint32_t throttle_percent;

    struct pr_pool *pool; /* reads the dirty log */
    struct pr_dirty dirty;
    uint64_t total_bytes;

    struct pagerail_round *rounds;
    uint32_t round_count, round_room;
    struct pagerail_stats round_start; /* the session's figures when the round began */
    uint64_t round_start_ns, round_bytes;
    uint64_t log_since_ns; /* since when the dirty log has collected what it holds */
    struct pr_estimates estimates;
    uint64_t bandwidth_before_Bps; /* of the round before the one in the estimates; 0 = none */
    uint64_t least_sync_ns;
    uint64_t predicted_ns;

    uint64_t start_ns, end_ns;
    uint64_t stop_began_ns, pages_began_ns, last_epoch;
    uint64_t told_ns; /* last progress callback */
    struct pagerail_downtime downtime;
    struct pagerail_handover handover;
    struct pagerail_stats stats; /* at the end */
};

/* The states' functions. */
int pr_connect_source(struct pagerail_migration *m);
int pr_connect_destination(struct pagerail_migration *m);
int pr_precopy_track(struct pagerail_migration *m);
int pr_precopy_round(struct pagerail_migration *m);
int pr_switchover_stop(struct pagerail_migration *m);
int pr_switchover_last_pages(struct pagerail_migration *m);
int pr_switchover_state(struct pagerail_migration *m);
int pr_switchover_release(struct pagerail_migration *m);
int pr_finish_confirm(struct pagerail_migration *m);
int pr_finish_source(struct pagerail_migration *m);
int pr_receive_pages(struct pagerail_migration *m);
int pr_receive_state(struct pagerail_migration *m);
int pr_receive_take(struct pagerail_migration *m);
int pr_receive_run(struct pagerail_migration *m);
int pr_abort_source(struct pagerail_migration *m);
int pr_abort_destination(struct pagerail_migration *m);
int pr_abort_lost(struct pagerail_migration *m);

/* A callback's result in the library's form: an errno of the VMM gets a sentence. */
int pr_callback_result(const char *name, int64_t result);

/* The same for save and load: what went wrong with the session says more than what the callback
 * made of it. */
int pr_stream_callback_result(struct pagerail_migration *m, const char *name, int result);

/* Hands what is dirty over to the session: the first time everything, then the log's pages. */
int pr_precopy_push(struct pagerail_migration *m);

/* Tells the VMM how things stand: at once, or if a tenth of a second has passed. */
void pr_progress_now(struct pagerail_migration *m);
void pr_progress_sometimes(struct pagerail_migration *m);
#define PR_PROGRESS_MS 100

/* Ends the session object, keeping its last figures. */
void pr_migration_close_session(struct pagerail_migration *m);

#endif
