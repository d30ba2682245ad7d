/* SPDX-License-Identifier: BSD-2-Clause */
/* The source's workers together: who gets which lanes, who gets which chunk. */
#ifndef PR_TRANSPORT_CREW_H
#define PR_TRANSPORT_CREW_H

#include "transport/worker.h"

struct pr_crew {
    struct pr_work work;
    struct pr_worker *workers;
    uint32_t count;
    _Atomic uint32_t wakeable; /* workers that other threads may touch: all of them or none */
    uint32_t turn;             /* the worker that is offered the next chunk */
};

/* One worker a lane, but no more than processors. Pure. */
uint32_t pr_crew_size(uint32_t lanes, uint32_t cpus);

/*
 * Takes the lanes (also on failure; the list is then all NULL) and starts the workers.
 * crew: zeroed. written: [regions], borrowed.
 */
int pr_crew_open(struct pr_crew *crew, struct pr_session *session, struct pr_windows *windows,
                 struct pr_written *written, struct pr_lane **lanes, uint32_t lane_count,
                 const struct pr_wire_welcome *peer);

/* Ends the workers' threads. Afterwards only pool jobs that are under way may still wake them. */
void pr_crew_stop(struct pr_crew *crew);

/* Closes the lanes. The crew must be stopped and the pool idle. Safe on a zeroed struct. */
void pr_crew_close(struct pr_crew *crew);

/* Any thread, also before the crew is open: windows or acknowledgements came, or the session
 * failed. */
void pr_crew_wake(struct pr_crew *crew);

/* Control thread. -EPROTO unless it is the oldest epoch without one, and ended on every lane. */
int pr_crew_epoch_acked(struct pr_crew *crew, uint64_t epoch);

/* Caller's thread. Hands out one chunk; waits while every ring is full. */
int pr_crew_push(struct pr_crew *crew, const struct pr_chunk *chunk);

/* Caller's thread: waits until done(arg) says so, and asks it again whenever a worker took a chunk
 * or counted. Asks first: the caller rarely has to wait, and then the workers need not tell it. */
int pr_crew_wait(struct pr_crew *crew, bool (*done)(void *arg), void *arg, uint64_t deadline_ns);

/* Caller's thread: puts the end of the epoch into every ring. */
int pr_crew_epoch_end(struct pr_crew *crew, uint64_t epoch);

/* True when every worker has seen the epoch acknowledged and has counted all of it. */
bool pr_crew_settled(const struct pr_crew *crew, uint64_t epoch);

/* Sums over the workers. Any thread, while the crew is open. settled_bytes: sent or found zero in
 * epochs that are settled. */
struct pr_crew_counts {
    uint64_t bytes_sent, writes, zero_pages, cpu_ns, settled_bytes;
    uint64_t flight_bytes; /* now: of writes that are not complete */
};
struct pr_crew_counts pr_crew_counts(const struct pr_crew *crew);

#endif
