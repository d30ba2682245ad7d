/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registration at the source, window by window, overlapped with sending.
 *
 * A window can be written once it is registered here (by a pool thread) and the destination has
 * granted its key. The source asks for windows in order of address as far ahead as the pin budgets
 * of both sides allow, and out of order when a worker needs one. Where the budget holds all of the
 * guest, memory that does not exist yet (pr_fabric_reg_pays) is asked for only when a page with
 * data is found there. When the budget is used up,
 * windows that no transfer uses make room, the one idle for longest first; the destination is told,
 * so it frees its side. So the source alone decides, and keeps to the smaller budget of the two.
 *
 * THREADS. Any. One lock, taken once for a chunk of some MiB, never per page. Which windows are
 * empty is found without it, before anything is asked for.
 */
#ifndef PR_TRANSPORT_WINDOWS_H
#define PR_TRANSPORT_WINDOWS_H

#include "base/pool.h"
#include "transport/registration.h"
#include "transport/session.h"

#include <pthread.h>
#include <stdatomic.h>

enum pr_window_state {
    PR_WINDOW_IDLE,  /* neither registered nor asked for */
    PR_WINDOW_ASKED, /* registration here and the grant are under way */
    PR_WINDOW_READY,
    PR_WINDOW_LEAVING, /* being deregistered */
};

struct pr_window {
    struct pr_job job; /* first: cast back. Registration, or deregistration while LEAVING */
    struct pr_windows *windows;
    uint32_t region, index;
    enum pr_window_state state;
    _Atomic uint32_t users; /* transfers and chunks that need it; falls to 0 without the lock */
    struct pr_mr *mr;
    bool granted;
    bool empty;        /* not asked for ahead of need */
    bool demanded;     /* a worker waits for it: it may not be evicted before that worker had it */
    struct pr_key key; /* at the destination */
    struct pr_window *older, *newer; /* READY windows in order of last use */
};

struct pr_windows {
    struct pr_session *session;
    pthread_mutex_t lock;
    struct pr_window **of_region; /* [region][index] */
    uint64_t budget_bytes;        /* the smaller of both sides'; UINT64_MAX = no limit */
    uint64_t used_bytes;          /* of windows that are not IDLE */
    uint64_t leaving_bytes;
    struct pr_window *oldest, *newest;
    uint64_t prefetch_region, prefetch_index;
    bool prefetch_empty;   /* nothing is left out */
    _Atomic bool starving; /* somebody waits for room */
    _Atomic uint64_t registered_bytes;
    _Atomic uint64_t ready_bytes; /* of READY windows */
    struct pr_registration_cost cost;
    void (*on_change)(void *opaque); /* wakes whoever parked work; any thread */
    void *opaque;
};

/* peer_pin_bytes: the destination's budget, 0 = no limit. ERRORS: -ENOMEM. */
int pr_windows_open(struct pr_windows *windows, struct pr_session *session, uint64_t peer_pin_bytes,
                    void (*on_change)(void *opaque), void *opaque);

/* Ends all registrations, in parallel. The pool must be idle of window jobs: no sends go on. */
void pr_windows_close(struct pr_windows *windows);

/* Before anything is asked for: finds, on all the pool's threads, the windows that
 * pr_windows_prefetch is to leave out (pr_fabric_reg_pays); none where a budget is short of all. */
void pr_windows_leave_out_empty(struct pr_windows *windows);

/* Asks for further windows in order of address, as far as the budget goes, but for those left out.
 */
int pr_windows_prefetch(struct pr_windows *windows);

/* Those left out as well. */
int pr_windows_prefetch_all(struct pr_windows *windows);

/*
 * Gets the window that holds `offset`. *out then has one user more; pr_window_release gives it
 * back. ERRORS: -EAGAIN it was asked for; try again after on_change.
 */
int pr_windows_acquire(struct pr_windows *windows, uint32_t region, uint64_t offset,
                       struct pr_window **out);

/*
 * As pr_windows_acquire, for a caller that may find no data there: an empty window is not asked
 * for, and *out is then NULL.
 */
int pr_windows_look(struct pr_windows *windows, uint32_t region, uint64_t offset,
                    struct pr_window **out);

/* A further user of a window that the caller already uses. */
void pr_window_retain(struct pr_window *window);
void pr_window_release(struct pr_window *window);

/* Control thread: the destination granted a key. -EPROTO for one that was not asked for. */
int pr_windows_granted(struct pr_windows *windows, const struct pr_wire_grant *grant);

#endif
