/* SPDX-License-Identifier: BSD-2-Clause */
/* The source's workers together: who gets which lanes, who gets which chunk. */
#ifndef PR_TRANSPORT_CREW_H
#define PR_TRANSPORT_CREW_H

#include "transport/worker.h"

struct pr_crew {
    struct pr_work work;
    struct pr_worker *workers;
    uint32_t count;
    uint32_t turn; /* the worker that is offered the next chunk */
};

/* One worker a lane, but no more than processors. Pure. */
uint32_t pr_crew_size(uint32_t lanes, uint32_t cpus);

/*
 * Takes the lanes (also on failure) and starts the workers.
 * written: [regions], borrowed.
 */
int pr_crew_open(struct pr_crew *crew, struct pr_session *session, struct pr_windows *windows,
                 struct pr_bitmap *written, struct pr_lane **lanes, uint32_t lane_count,
                 const struct pr_wire_welcome *peer);

/* Ends the workers' threads, so that they ask for no more windows. pr_crew_wake, which
 * registrations under way call at their end, stays harmless until pr_crew_close. */
void pr_crew_stop(struct pr_crew *crew);
void pr_crew_close(struct pr_crew *crew);

/* Any thread: windows or acknowledgements came, or the session failed. */
void pr_crew_wake(struct pr_crew *crew);

/* Control thread. -EPROTO unless it is the oldest epoch without one, and ended on every lane. */
int pr_crew_epoch_acked(struct pr_crew *crew, uint64_t epoch);

/* Caller's thread. Hands out one chunk; waits while every ring is full. */
int pr_crew_push(struct pr_crew *crew, const struct pr_chunk *chunk);

/* Caller's thread: puts the end of the epoch into every ring. */
int pr_crew_epoch_end(struct pr_crew *crew, uint64_t epoch);

/* Sums over the workers. Any thread. */
struct pr_crew_counts {
    uint64_t bytes_sent, writes, zero_pages, cpu_ns;
};
struct pr_crew_counts pr_crew_counts(const struct pr_crew *crew);

#endif
