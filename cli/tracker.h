/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages of this process's own memory have been written: one interface over what the kernel
 * offers. A tracker watches one range.
 *
 *   uffd       userfaultfd write protection, resolved by the kernel alone, read and re-armed in one
 *              step by PAGEMAP_SCAN. Linux 6.7.
 *   softdirty  the soft-dirty bits of /proc/self/pagemap. The kernel reads and clears them in two
 *              steps, and clears those of the whole process, so the tracker stands the writers
 * still (struct pr_tracker_gate) while it collects the bits of the whole range, and hands them out
 * from memory afterwards. One such tracker at a time in a process.
 *
 * The promise of both: a page written before the writers stood still is reported by the first sync
 * of its range after that, unless an earlier one has reported that write; while they run, a write
 * is reported by some later sync. A page's entry is cleared before the sync that reports it
 * returns.
 */
#ifndef PR_CLI_TRACKER_H
#define PR_CLI_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pr_tracker_kind { PR_TRACKER_AUTO, PR_TRACKER_UFFD, PR_TRACKER_SOFTDIRTY, PR_TRACKER_KINDS };

/* "auto", "uffd", "softdirty"; NULL when out of range. */
const char *pr_tracker_kind_name(enum pr_tracker_kind kind);
bool pr_tracker_kind_find(const char *name, enum pr_tracker_kind *out);

/* What softdirty needs from whoever owns the writers. */
struct pr_tracker_gate {
    void *opaque;
    /* Stands the writers still, and lets them go on if they ran before. In pairs. */
    void (*close)(void *opaque);
    void (*open)(void *opaque);
    /* 0 while the writers run; else a number for this standstill, a new one each time. What `close`
     * does is no standstill of its own. */
    uint64_t (*standstill)(void *opaque);
};

struct pr_tracker_range {
    void *addr;          /* page-aligned */
    uint64_t len_bytes;  /* a multiple of page_bytes */
    uint64_t page_bytes; /* what backs the range and what a bit stands for */
};

struct pr_tracker; /* opaque */

/*
 * Makes a tracker that does not watch yet. gate: copied.
 * ERRORS: -ENOTSUP the kernel lacks it, the sentence says what; -EPERM; -ENOMEM.
 */
int pr_tracker_open(struct pr_tracker **out, enum pr_tracker_kind kind,
                    const struct pr_tracker_range *range, const struct pr_tracker_gate *gate);

/* Stops if need be, and frees. NULL is allowed. */
void pr_tracker_close(struct pr_tracker *tracker);

/* One line for the user: what is used. Static. */
const char *pr_tracker_describe(const struct pr_tracker *tracker);

/* Watches from now on. No page counts as dirty yet. */
int pr_tracker_start(struct pr_tracker *tracker);

/* ORs a 1 into bits (bit 0 = first_page) for each page written since the last sync of it, and
 * returns how many it found. first_page: a multiple of 64. Several threads at once on disjoint
 * ranges. */
int64_t pr_tracker_sync(struct pr_tracker *tracker, uint64_t first_page, uint64_t pages,
                        uint64_t *bits);

void pr_tracker_stop(struct pr_tracker *tracker);

#endif
