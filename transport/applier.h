/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination's threads for the data lanes: they clear the ranges that zero messages name and
 * notice when an epoch has ended on every lane. Between messages they sleep; one-sided writes need
 * none of their time.
 *
 * THE FENCE. An epoch_end that was reaped from a lane proves that all the lane's writes before it
 * are visible here. When every lane has brought the epoch's end, and each zero range was applied by
 * the thread that read it before that lane's epoch_end, the epoch is complete in memory, and only
 * then is it acknowledged (invariant 3 of docs/architecture.md).
 */
#ifndef PR_TRANSPORT_APPLIER_H
#define PR_TRANSPORT_APPLIER_H

#include "transport/session.h"

struct pr_applier;

/* A data lane at the destination. */
struct pr_inlet {
    struct pr_channel channel;
    uint64_t ended; /* epochs; its applier's thread alone */
};

struct pr_appliers {
    struct pr_session *session;
    const uint32_t *local_of; /* the source's region index -> ours */
    struct pr_inlet *inlets;
    uint32_t inlet_count;
    struct pr_applier *threads;
    _Atomic uint32_t count; /* of threads */
    pthread_mutex_t lock;
    uint32_t arrived;              /* lanes that have ended epoch complete + 1 */
    uint64_t ack_ticket;           /* of the last acknowledgement */
    _Atomic uint64_t complete;     /* epochs that are whole in memory, and acknowledged */
    _Atomic uint64_t zeroed_bytes; /* cleared because they were not zero */
    _Atomic bool stopping;         /* tells the threads to end */
    bool stopped;
};

/* Takes lanes, whose entries in the list become NULL, and starts the threads. On failure call
 * pr_appliers_close too. */
int pr_appliers_open(struct pr_appliers *appliers, struct pr_session *session,
                     const uint32_t *local_of, struct pr_lane **lanes, uint32_t lane_count,
                     const struct pr_wire_hello *peer);

/* No more is to come by the data lanes: the threads are told to end, and not waited for. Whatever
 * comes all the same is not looked at. */
void pr_appliers_dismiss(struct pr_appliers *appliers);

/* Ends the threads and shuts the lanes: afterwards nothing reaches guest memory by them, and the
 * source has not noticed. What the statistics read stays. Safe on a zeroed struct and twice. */
void pr_appliers_stop(struct pr_appliers *appliers);

/* Stops, if need be, closes the lanes and frees. */
void pr_appliers_close(struct pr_appliers *appliers);

/* Any thread, while the appliers are open. */
uint64_t pr_appliers_cpu_ns(const struct pr_appliers *appliers);

#endif
