/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After each round: go on, slow the guest, switch over, or give up? Pure: numbers in, verdict out.
 *
 * Predicted downtime = last read of the dirty log + remaining bytes / completed bandwidth + the
 * round trips of fence and hand-over, each as measured in this migration. Stop, device state and
 * resume happen once and cannot be measured before (docs/architecture.md, "The switchover budget").
 *
 * A prediction is held against half of the budget as long as rounds still shrink: the other half is
 * for those, and for what no prediction can know (a busy processor, a burst of writes between the
 * last look and the stop). So long the bandwidth counts as the slower one of the last two
 * rounds, too: pages that lie scattered go at half the speed of whole runs, and towards the end
 * they lie more and more scattered. When rounds stop shrinking the whole budget counts, then the
 * guest is slowed, a fifth of its time more each round, and then the user's choice for a stall
 * applies.
 *
 * To slow the guest takes evidence. The first round is none: it pays for first touches on both
 * sides, and however long it took, a guest that writes all of its memory in that time leaves as
 * much as was sent. Later a round counts as one that did not shrink only if it left too much and
 * the rates say that the next one will too. And a guest is not slowed for what its writes do not
 * cost: a dirty log that takes longer to read, or round trips longer, than the budget allows. Those
 * are measured once a round, the least counts, and a busy processor can make any of them long: it
 * takes several rounds before they alone end a migration.
 */
#ifndef PR_MIGRATE_CONVERGE_H
#define PR_MIGRATE_CONVERGE_H

#include <pagerail/options.h>
#include <stdbool.h>
#include <stdint.h>

/* Measured so far; 0 = not yet. */
struct pr_estimates {
    uint64_t bandwidth_Bps; /* completed */
    uint64_t dirty_rate_Bps;
    uint64_t sync_ns;
    uint64_t rtt_ns;
};

/* UINT64_MAX when there is no bandwidth to divide by. */
uint64_t pr_converge_downtime_ns(const struct pr_estimates *estimates, uint64_t remaining_bytes);

/* What a round over `remaining_bytes` is expected to leave. UINT64_MAX as above. */
uint64_t pr_converge_next_bytes(const struct pr_estimates *estimates, uint64_t remaining_bytes);

/* Until completion if the guest goes on as it does: the rounds' geometric sum. UINT64_MAX when the
 * guest dirties as fast as the link carries. */
uint64_t pr_converge_eta_ns(const struct pr_estimates *estimates, uint64_t remaining_bytes);

enum pr_verdict {
    PR_VERDICT_ROUND,
    PR_VERDICT_THROTTLE, /* and another round */
    PR_VERDICT_SWITCHOVER,
    PR_VERDICT_STALL, /* nothing helps any more */
};

struct pr_converge_input {
    uint32_t rounds; /* done */
    uint32_t max_rounds;
    uint64_t sent_bytes;      /* that the last round had at its start */
    uint64_t remaining_bytes; /* found dirty after it */
    uint64_t next_bytes;      /* that the next one is expected to leave */
    uint64_t predicted_ns;    /* downtime */
    uint64_t careful_ns;      /* the same with the slower bandwidth of the last two rounds */
    uint64_t fixed_ns;        /* downtime with nothing left to copy, by the least measured */
    uint64_t budget_ns;
    uint32_t throttle_percent, max_throttle_percent; /* max 0: the VMM cannot throttle */
};

enum pr_verdict pr_converge_judge(const struct pr_converge_input *input);

/* The throttle after a PR_VERDICT_THROTTLE. */
uint32_t pr_converge_throttle(uint32_t percent, uint32_t max_percent);

#endif
