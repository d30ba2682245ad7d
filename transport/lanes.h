/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many data lanes a session opens, and how many of them a worker uses at a time, when nobody
 * told. Pure: numbers in, numbers out.
 *
 * A NIC keeps a link full with what is posted on a few lanes, whatever the distance: there the
 * fabric's suggestion is opened and all of it is used. A fabric that lets only so much of a lane
 * be under way (limits.lane_flight_bytes: software RoCE) needs more lanes the longer the round
 * trip. What is under way beyond the bandwidth-delay product fills queues and nothing else; it
 * delays every message behind it, those of the switchover included. So there the lanes that are
 * used follow what is measured: by Little's law, what is under way divided by the rate at which it
 * completes is the round trip, queues included, and that should exceed the idle one, but not by
 * much. What is really under way may be less than the bound; that shows when fewer lanes carry
 * less, and is learnt then.
 */
#ifndef PR_TRANSPORT_LANES_H
#define PR_TRANSPORT_LANES_H

#include "rdma/fabric.h"

/* The most that are opened untold: each costs a connection of two round trips. */
#define PR_LANES_UNTOLD_MAX 8

/* How long bytes may stand in queues before fewer lanes are used: a tenth of the default downtime
 * budget; on a long path three idle round trips, because there a lane too few costs more. */
#define PR_LANES_QUEUE_NS UINT64_C(50000000)

/* Lanes to open. rtt_ns: of an idle path; 0 = not known. At least 1. */
uint32_t pr_lanes_wanted(const struct pr_fabric_limits *limits, uint64_t rtt_ns);

/* Lanes to use next of `count`, if `used` lanes were kept full and the round trip then was rtt_ns.
 * At least 1. */
uint32_t pr_lanes_next(uint32_t used, uint32_t count, uint64_t idle_rtt_ns, uint64_t rtt_ns);

/* One worker's. */
struct pr_lanes {
    uint64_t lane_bytes;   /* under way on a lane at most; 0: all lanes are used, always */
    uint32_t count;        /* the worker's */
    uint32_t used;         /* of them the first so many, now */
    uint64_t flight_bytes; /* under way on a full lane, as far as is known: lane_bytes at first */
    uint32_t before;       /* used at the measurement before; 0: there is none to compare with */
    double before_Bps;
    uint64_t since_ns, since_bytes; /* since then every look found the lanes full */
};

/*
 * Looks once more; `used` may change.
 * done_bytes: completed, ever. full: each lane in use has lane_bytes or more posted.
 */
void pr_lanes_look(struct pr_lanes *lanes, uint64_t now_ns, uint64_t done_bytes, bool full,
                   uint64_t idle_rtt_ns);

#endif
