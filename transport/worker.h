/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One worker of the source: takes chunks from its ring, walks them into transfers, and posts those
 * on the data lanes that it owns.
 *
 * EPOCHS. At an epoch's end the worker finishes its chunks, posts what is held back, and puts an
 * epoch_end behind everything on each of its lanes. Then it takes nothing until the destination has
 * acknowledged the epoch, which it does when it has reaped epoch_end from all lanes and applied all
 * zero ranges. So nothing of an epoch is posted before everything of the one before it is in the
 * destination's memory, whichever lane it took: a page needs no lane of its own (invariants 2 and 4
 * of docs/architecture.md). The caller does not wait: its chunks pile up in the rings.
 *
 * ZERO PAGES. `written` knows of each 4 KiB page whether it may hold something else than zeroes at
 * the destination. A zero page that does not costs nothing; one that does is named in a zero
 * message, once.
 */
#ifndef PR_TRANSPORT_WORKER_H
#define PR_TRANSPORT_WORKER_H

#include "base/ring.h"
#include "transport/lanes.h"
#include "transport/sender.h"
#include "transport/walk.h"
#include "transport/written.h"

/* What all workers of a session share. */
struct pr_work {
    struct pr_session *session;
    struct pr_windows *windows;
    struct pr_written *written; /* [regions] */
    struct pr_plan_limits limits;
    _Atomic uint64_t acked_epoch;   /* the control thread sets it, then wakes the workers */
    _Atomic uint64_t first_done_ns; /* when a write completed for the first time; 0 = none has */
    _Atomic bool crowded;           /* the caller waits for a place, or for work to be done */
    _Atomic uint64_t closings; /* epochs that each worker has closed, summed over the workers */
};

#define PR_PARKED 64 /* chunks whose window is not ready yet */

enum pr_worker_state {
    PR_WORKER_TAKING,   /* chunks */
    PR_WORKER_CLOSING,  /* the epoch: gets everything posted */
    PR_WORKER_AWAITING, /* its acknowledgement */
};

struct pr_worker {
    struct pr_work *work;
    struct pr_thread *thread;
    struct pr_sender *senders;
    uint32_t sender_count;
    struct pr_lanes lanes; /* how many of the senders get data */

    /* Shared with the caller. */
    struct pr_ring ring;
    struct pr_event wake;
    _Atomic bool asleep;
    _Atomic bool stopping;

    /* The worker's own. */
    enum pr_worker_state state;
    uint64_t epoch;
    struct pr_walk walk;
    bool walking;
    struct pr_window *window; /* of the walk */
    struct pr_chunk parked[PR_PARKED];
    uint32_t parked_count;
    struct pr_wire_zero zero; /* being filled */
    uint64_t zero_bytes;      /* in it */

    /* Written by the worker, read by anybody. */
    _Atomic uint64_t bytes_sent, writes, zero_pages, cpu_ns;
    _Atomic uint64_t flight_bytes;  /* of writes that are not complete */
    _Atomic uint64_t settled_epoch; /* acknowledged, and all its writes are in the figures above */
    _Atomic uint64_t settled_bytes; /* sent or found zero by its end */
};

/* lanes: become the worker's. ERRORS: -ENOMEM; then call pr_worker_close too. */
int pr_worker_open(struct pr_worker *worker, struct pr_work *work, struct pr_lane **lanes,
                   uint32_t count, uint32_t peer_depth, uint32_t peer_message_bytes);
int pr_worker_start(struct pr_worker *worker, unsigned number);

/* Asks the thread to end / waits for that / closes the lanes and frees the rest. In this order. */
void pr_worker_stop(struct pr_worker *worker);
void pr_worker_join(struct pr_worker *worker);
void pr_worker_close(struct pr_worker *worker);

/* Caller's thread: false when the ring is full. */
bool pr_worker_push(struct pr_worker *worker, const struct pr_chunk *chunk);

/* Any thread: something that it may wait for has changed. Cheap while it works. */
void pr_worker_wake(struct pr_worker *worker);

#endif
