/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/converge.h"

#define NS_PER_S 1000000000.0

/* A round that leaves more than this share of its own work behind does not shrink. */
#define SHRINKING 0.8

#define THROTTLE_FIRST 20
#define THROTTLE_STEP 20

/* Rounds in which the costs beside the copy were measured before they count as they are. */
#define FIXED_EVIDENCE_ROUNDS 6

static uint64_t to_ns(double seconds)
{
    return seconds < 9e9 ? (uint64_t)(seconds * NS_PER_S) : UINT64_MAX;
}

uint64_t pr_converge_downtime_ns(const struct pr_estimates *e, uint64_t remaining_bytes)
{
    /* The guest still writes while the last read of the log begins. */
    double bytes =
        (double)remaining_bytes + (double)e->dirty_rate_Bps * (double)e->sync_ns / NS_PER_S;
    if (bytes > 0 && !e->bandwidth_Bps)
        return UINT64_MAX;
    double copy_s = bytes > 0 ? bytes / (double)e->bandwidth_Bps : 0;
    /* Round trips: last page to ready, release to running. */
    double fixed_s = ((double)e->sync_ns + 2.0 * (double)e->rtt_ns) / NS_PER_S;
    return to_ns(copy_s + fixed_s);
}

uint64_t pr_converge_next_bytes(const struct pr_estimates *e, uint64_t remaining_bytes)
{
    if (!e->bandwidth_Bps)
        return UINT64_MAX;
    double round_s = (double)remaining_bytes / (double)e->bandwidth_Bps +
                     ((double)e->sync_ns + (double)e->rtt_ns) / NS_PER_S;
    double bytes = (double)e->dirty_rate_Bps * round_s;
    return bytes < 1e19 ? (uint64_t)bytes : UINT64_MAX;
}

uint64_t pr_converge_eta_ns(const struct pr_estimates *e, uint64_t remaining_bytes)
{
    if (!e->bandwidth_Bps || e->dirty_rate_Bps >= e->bandwidth_Bps)
        return UINT64_MAX;
    return to_ns((double)remaining_bytes / (double)(e->bandwidth_Bps - e->dirty_rate_Bps));
}

uint32_t pr_converge_throttle(uint32_t percent, uint32_t max_percent)
{
    uint32_t next = percent ? percent + THROTTLE_STEP : THROTTLE_FIRST;
    return next < max_percent ? next : max_percent;
}

static bool shrinks(const struct pr_converge_input *in)
{
    return in->rounds <= 1 || (double)in->remaining_bytes <= SHRINKING * (double)in->sent_bytes ||
           (double)in->next_bytes <= SHRINKING * (double)in->remaining_bytes;
}

enum pr_verdict pr_converge_judge(const struct pr_converge_input *in)
{
    bool fits = in->predicted_ns <= in->budget_ns;
    /* With nothing left there is nothing to shrink. */
    bool hopeful = in->remaining_bytes && shrinks(in);
    if (in->careful_ns <= in->budget_ns / 2 || (fits && !hopeful))
        return PR_VERDICT_SWITCHOVER;
    if (in->rounds >= in->max_rounds)
        return fits ? PR_VERDICT_SWITCHOVER : PR_VERDICT_STALL;
    if (hopeful || in->rounds <= 1)
        return PR_VERDICT_ROUND;
    if (in->fixed_ns > in->budget_ns)
        return in->rounds < FIXED_EVIDENCE_ROUNDS ? PR_VERDICT_ROUND : PR_VERDICT_STALL;
    return in->throttle_percent < in->max_throttle_percent ? PR_VERDICT_THROTTLE : PR_VERDICT_STALL;
}
