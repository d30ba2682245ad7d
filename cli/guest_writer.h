/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread of a guest, as far as it is alone: its part of the memory, its sequence of writes, how
 * fast it may go, and how long it stood still. Used by one thread at a time; guest.h decides which.
 */
#ifndef PR_CLI_GUEST_WRITER_H
#define PR_CLI_GUEST_WRITER_H

#include "cli/guest_model.h"
#include "cli/guest_pattern.h"

#include <stdbool.h>
#include <stdint.h>

/* When the thread was last seen alive. A gap is the time between two beats. Nanoseconds of
 * CLOCK_MONOTONIC. */
struct pr_heartbeat {
    uint64_t last_ns;       /* 0 = has not beaten yet */
    uint64_t largest_ns;    /* gap, but for the one across a move */
    uint64_t largest_at_ns; /* when it ended */
    uint64_t move_ns;       /* the gap across the move; 0 = none or not known */
    bool moved;             /* the next beat ends the gap across the move */
};

void pr_heartbeat_beat(struct pr_heartbeat *heartbeat, uint64_t now_ns);

/* Pages that a thread may write by now: filled with time, emptied by writes, never more than a few
 * milliseconds' worth, so that a thread that was held up does not catch up in a flood. */
struct pr_pace {
    uint64_t rate_Bps;
    uint64_t refilled_ns;
    uint64_t credit; /* bytes times 2^20 */
};

/* Adds what the time since the last refill is worth, at (100 - throttle_percent) % of the rate. */
void pr_pace_refill(struct pr_pace *pace, uint64_t now_ns, uint32_t throttle_percent);

/* Whether there is a page's worth, and takes it if so. */
bool pr_pace_ready(const struct pr_pace *pace);
bool pr_pace_take(struct pr_pace *pace);

struct pr_guest_writer {
    const struct pr_guest_model *model;
    uint8_t *memory;     /* the whole guest's */
    uint64_t pages;      /* the whole guest's, of 4 KiB */
    uint64_t first_page; /* of this thread's part */
    uint64_t part_pages;
    uint32_t *counts; /* writes of each page of the part */
    struct pr_guest_sequence sequence;
    struct pr_heartbeat heartbeat;
    struct pr_pace pace;
    uint64_t wrong_pages; /* found by pr_guest_writer_verify and pr_guest_writer_write */
};

/* thread of threads: the guest's pages are dealt out in equal parts. seed is the sequence's.
 * ERRORS: -ENOMEM. */
int pr_guest_writer_open(struct pr_guest_writer *writer, uint32_t thread, uint32_t threads,
                         enum pr_guest_pattern pattern);
void pr_guest_writer_close(struct pr_guest_writer *writer);

/* Writes the content of unwritten pages. Zero pages are left alone: new memory is zero. */
void pr_guest_writer_fill(struct pr_guest_writer *writer);

/* Checks the next page of the sequence and writes its next version. -EIO with a sentence: the page
 * did not hold what it must, and nothing was written. */
int pr_guest_writer_write(struct pr_guest_writer *writer);

/* Checks pages first to first + count - 1 of the part. -EIO with a sentence on the first wrong one;
 * all are counted. */
int pr_guest_writer_verify(struct pr_guest_writer *writer, uint64_t first, uint64_t count);

#endif
