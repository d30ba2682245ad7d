/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/lanes.h"

/* Completions come in groups: fewer bytes than some of these are no measurement of a rate. */
#define LOOK_LANES 8 /* times lane_bytes */
#define LOOK_NS UINT64_C(50000000)

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

uint32_t pr_lanes_wanted(const struct pr_fabric_limits *limits, uint64_t rtt_ns)
{
    uint64_t wanted = at_least(limits->suggested_lanes, 1);
    if (!limits->lane_flight_bytes)
        return (uint32_t)wanted;
    double product = (double)limits->rate_Bps * (double)rtt_ns / 1e9;
    double lanes = product / (double)limits->lane_flight_bytes;
    if (lanes >= PR_LANES_UNTOLD_MAX)
        return (uint32_t)at_least(wanted, PR_LANES_UNTOLD_MAX);
    return (uint32_t)at_least((uint64_t)lanes + 1, wanted);
}

uint32_t pr_lanes_next(uint32_t used, uint32_t count, uint64_t idle_rtt_ns, uint64_t rtt_ns)
{
    uint64_t queue_ns = rtt_ns > idle_rtt_ns ? rtt_ns - idle_rtt_ns : 0;
    uint64_t allowed_ns = at_least(3 * idle_rtt_ns, PR_LANES_QUEUE_NS);
    uint64_t next = used;
    if (queue_ns > allowed_ns)
        next = at_least(
            (uint64_t)((double)used * (double)(idle_rtt_ns + allowed_ns) / (double)rtt_ns), 1);
    else
        next += queue_ns < allowed_ns / 2 ? used : 1;
    return next < count ? (uint32_t)next : count;
}

static void start_over(struct pr_lanes *lanes, uint64_t now_ns, uint64_t done_bytes)
{
    lanes->since_ns = now_ns;
    lanes->since_bytes = done_bytes;
}

/* With other lanes in use the line carried more or less, so with the fewer ones nothing had stood
 * in queues, and what was under way was what completes in an idle round trip. That is less than
 * lane_bytes if something else bounds it, the NIC's queue perhaps. */
static void learn(struct pr_lanes *lanes, uint32_t used, double rate_Bps, uint64_t idle_rtt_ns)
{
    uint64_t learnt = (uint64_t)(rate_Bps * (double)idle_rtt_ns / 1e9 / (double)used);
    if (learnt && learnt < lanes->flight_bytes)
        lanes->flight_bytes = learnt;
}

/* A queue that one lane makes cannot be made shorter, and may be a mistake: two lanes tell. */
static uint32_t next_of(const struct pr_lanes *lanes, double rate_Bps, uint64_t idle_rtt_ns)
{
    double under_way = (double)lanes->used * (double)lanes->flight_bytes;
    uint64_t rtt_ns = (uint64_t)(under_way * 1e9 / rate_Bps);
    uint32_t next = pr_lanes_next(lanes->used, lanes->count, idle_rtt_ns, rtt_ns);
    return next == 1 && lanes->used == 1 && lanes->count > 1 ? 2 : next;
}

static void measured(struct pr_lanes *lanes, double rate_Bps, uint64_t idle_rtt_ns)
{
    bool fewer = lanes->before > lanes->used, more = lanes->before && lanes->before < lanes->used;
    if (fewer && rate_Bps < 0.9 * lanes->before_Bps) {
        learn(lanes, lanes->used, rate_Bps, idle_rtt_ns);
        lanes->used = lanes->before;
        lanes->before = 0;
        return;
    }
    if (more && rate_Bps > 1.1 * lanes->before_Bps)
        learn(lanes, lanes->before, lanes->before_Bps, idle_rtt_ns);
    lanes->before = lanes->used;
    lanes->before_Bps = rate_Bps;
    lanes->used = next_of(lanes, rate_Bps, idle_rtt_ns);
}

void pr_lanes_look(struct pr_lanes *lanes, uint64_t now_ns, uint64_t done_bytes, bool full,
                   uint64_t idle_rtt_ns)
{
    if (!lanes->lane_bytes)
        return;
    if (!lanes->since_ns || !full) {
        start_over(lanes, now_ns, done_bytes);
        return;
    }
    uint64_t ns = now_ns - lanes->since_ns, bytes = done_bytes - lanes->since_bytes;
    if (ns < at_least(2 * idle_rtt_ns, LOOK_NS) || bytes < LOOK_LANES * lanes->lane_bytes)
        return;
    measured(lanes, (double)bytes * 1e9 / (double)ns, idle_rtt_ns);
    start_over(lanes, now_ns, done_bytes);
}
