/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A data lane at the source: posts one-sided writes in groups of which only the last is signalled,
 * and accounts them when they complete, never before (bytes count as sent when they completed).
 *
 * The last write of a group is not known when it is posted, so the newest write is held back until
 * the next one comes (then it goes unsignalled) or the group closes (then signalled).
 *
 * THREADS. The worker's alone.
 */
#ifndef PR_TRANSPORT_SENDER_H
#define PR_TRANSPORT_SENDER_H

#include "transport/channel.h"
#include "transport/windows.h"

/* A group is signalled at the latest after so many writes or bytes. */
#define PR_GROUP_WRITES 64
#define PR_GROUP_BYTES (UINT64_C(1) << 20)

/* What the completion of a group's last write means. */
struct pr_group {
    uint64_t bytes;
    uint32_t writes;
    struct pr_window *window; /* released then */
};

struct pr_sender {
    struct pr_channel channel;
    struct pr_rma held; /* newest write, not yet posted */
    bool holding;
    struct pr_group open;    /* the group being built, with the held write */
    struct pr_group *groups; /* closed ones in flight: ring of group_mask + 1 */
    uint32_t group_mask, group_limit;
    uint64_t group_bytes;
    uint64_t closed, completed;         /* groups; the tag of a group's last write is its number */
    uint64_t flight_bytes;              /* in closed groups and the open one */
    uint64_t epoch_writes, epoch_bytes; /* posted in this epoch */
    uint64_t done_bytes, done_writes;   /* completed, ever */
};

/* Takes the lane over. */
int pr_sender_open(struct pr_sender *sender, struct pr_lane *lane);
void pr_sender_close(struct pr_sender *sender); /* windows in flight are released */

/*
 * Adds a write of [from, from + len) to `remote` in the window.
 * ERRORS: -EAGAIN no place now: pump the channel and try again; others: the lane failed.
 */
int pr_sender_write(struct pr_sender *sender, struct pr_window *window, const void *from,
                    uint64_t remote, uint64_t len);

/* Closes the open group: posts what is held back, signalled. ERRORS: as above. */
int pr_sender_close_group(struct pr_sender *sender);

/* A completion's tag. -EIO for one that is not in flight. */
int pr_sender_written(struct pr_sender *sender, uint64_t tag);

/* True when nothing is held back or in flight. */
static inline bool pr_sender_idle(const struct pr_sender *sender)
{
    return !sender->holding && sender->closed == sender->completed;
}

#endif
