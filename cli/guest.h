/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A synthetic live guest: real memory, threads that keep writing whole pages at a set rate, and a
 * model (guest_model.h) that every byte is held against: a page before it is written again, and all
 * of them in the end. It can be stopped between two writes, moved, and gone on with elsewhere.
 *
 * A new guest stands still. One thread at a time may call, but for those marked otherwise.
 */
#ifndef PR_CLI_GUEST_H
#define PR_CLI_GUEST_H

#include "cli/guest_memory.h"
#include "cli/guest_state.h"
#include "cli/tracker.h"

#include <stdbool.h>
#include <stdint.h>

struct pr_guest; /* opaque */

/*
 * Makes a guest in the memory, which is borrowed until pr_guest_close and must be fresh, and starts
 * its threads, parked.
 * ERRORS: -ENOMEM; -EINVAL less than a page for each thread.
 */
int pr_guest_open(struct pr_guest **out, const struct pr_guest_memory *memory,
                  const struct pr_guest_plan *plan);

/* Ends the threads, running or not, and frees. NULL is allowed. */
void pr_guest_close(struct pr_guest *guest);

const struct pr_guest_plan *pr_guest_plan(const struct pr_guest *guest);

/* Writes what memory holds before the first write. All threads work. */
void pr_guest_fill(struct pr_guest *guest);

/*
 * Makes a guest that has not run yet the one of the state: counts each page's writes by replaying
 * them (about 100 million a second and thread). same_clock: the state's times are of this machine's
 * CLOCK_MONOTONIC. ERRORS: -EINVAL the state is of another plan or size.
 */
int pr_guest_restore(struct pr_guest *guest, const struct pr_guest_state *state, bool same_clock);

/* The threads write from now on. */
void pr_guest_run(struct pr_guest *guest);

/* When it returns, no thread writes, and each has finished its page. */
void pr_guest_stop(struct pr_guest *guest);

/* Slows the writers by this percentage of their time, 0 to 99. Any thread. */
void pr_guest_throttle(struct pr_guest *guest, uint32_t percent);

/* What to hand over. The guest stands still. boot_id is this boot's; stopped_ns is when the last
 * pr_guest_stop was called. */
void pr_guest_save(struct pr_guest *guest, struct pr_guest_state *out);

/* Checks every page, all threads at once; the guest stands still. Returns as pr_guest_failure. */
int pr_guest_verify(struct pr_guest *guest);

/* 0, or -EIO and the sentence about the first wrong page that any check has found. Any thread. */
int pr_guest_failure(struct pr_guest *guest);

/* Figures; the guest stands still. */
struct pr_guest_figures {
    uint64_t writes;         /* page writes, since the guest's beginning */
    uint64_t wrong_pages;    /* findings; a page found wrong twice counts twice */
    uint64_t largest_gap_ns; /* between two heartbeats of one thread, but for a move's */
    uint64_t largest_gap_at_ns;
    uint64_t move_gap_ns; /* the largest of the threads' gaps across the move; without the time
                             from stop to run if the clock was another one; 0 = not known */
};
void pr_guest_figures(struct pr_guest *guest, struct pr_guest_figures *out);

/* The gate that a soft-dirty tracker needs. Its calls come from any thread. */
struct pr_tracker_gate pr_guest_gate(struct pr_guest *guest);

#endif
