/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When QEMU stops the guest. It does so once what is left can be sent within downtime-limit; this
 * is what it is told is left, and how fast that goes. Pure. One thread, but for _look, which comes
 * with QEMU's bitmap_mutex held from whoever reads the dirty log.
 */
#ifndef PAGERAIL_GLUE_SWITCHOVER_H
#define PAGERAIL_GLUE_SWITCHOVER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct RdmaSwitchover {
    uint64_t least_bytes; /* of all reads of the dirty log */
    bool rounds_shrink;   /* the last read was much less than the least before */
    bool log_was_read;    /* since the bandwidth was last asked for */
    double bandwidth;     /* bytes a millisecond */
    double known_ms;      /* so long it has been measured */
    double reading_bytes; /* in the periods since, in which the log was read */
    double reading_ms;
} RdmaSwitchover;

void rdma_switchover_begin(RdmaSwitchover *s);

/* The dirty log was read, and so much is dirty. */
void rdma_switchover_look(RdmaSwitchover *s, uint64_t left_bytes);

/*
 * What is left beside the dirty pages. While rounds leave much less than any before the guest is
 * not stopped before sending it takes a 64th of downtime-limit, so there seems to be 64 times as
 * much as there is. Such rounds are short, all of them together take less than five times
 * as long as the first, and each takes a fifth of its own length, or more, off the downtime.
 */
uint64_t rdma_switchover_pending(const RdmaSwitchover *s, uint64_t pending_bytes,
                                 uint64_t dirty_bytes);

/*
 * Bytes a millisecond, by what arrived in the last few: an average over about a second. What is
 * under way completes in bursts, so the figure of a tenth of a second may be several times too
 * high, and one such moment is enough for QEMU to stop the guest. A period in which the log was
 * read does not lower a figure: all that time nothing was sent, a second and more when the virtual
 * processors are throttled. But rounds may be so short that there is no other period, and the
 * figure may come from pages that were zero: what a second of them has sent is the least it can be.
 */
double rdma_switchover_bandwidth(RdmaSwitchover *s, double bytes, double ms);

/*
 * How long the guest stood, in milliseconds, at least 1: from its stop until the release was sent,
 * half a round trip, and what the destination says it took from there. That is a peer's word: what
 * is counted after the release is never more than passed here until the peer's word came.
 */
int64_t rdma_switchover_downtime(int64_t stopped_ms, int64_t released_ns, int64_t told_ns,
                                 uint64_t rtt_ns, uint64_t resume_ns);

#endif
