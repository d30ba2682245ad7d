/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What became of a guest, as --json writes it. Each side knows a part: the destination what it
 * verified and measured, the source the rounds and the bytes. The same JSON text is also what one
 * side tells the other, so that both files tell the whole; what comes from a peer is checked field
 * by field, and what is missing or of the wrong type stays unknown (null).
 */
#ifndef PR_CLI_OUTCOME_H
#define PR_CLI_OUTCOME_H

#include "cli/guest_options.h"

#include <math.h>
#include <pagerail/migrate.h>

#define PR_OUTCOME_SCHEMA "pagerail-guest-1"
#define PR_OUTCOME_ROUNDS_MAX 4096u
#define PR_OUTCOME_RAILS_MAX 16u
#define PR_OUTCOME_TEXT_MAX (2u << 20) /* the most that is read from a peer */

/* Numbers are NAN while they are not known. */
struct pr_outcome_side {
    double cpu_s;          /* library threads and the migration thread */
    double writes;         /* pages the guest has written, as counted there */
    double wrong_pages;    /* found there */
    double largest_gap_ms; /* between two heartbeats there, but for the move's */
};

struct pr_outcome {
    const char *outcome;            /* "completed", "cancelled", "failed"; static */
    char error[PAGERAIL_ERROR_MAX]; /* "" = none */
    char phase[24];                 /* reached */
    char fabric[16];
    int verified; /* 1, 0; -1 = not known */
    double total_ms, downtime_ms, downtime_guest_ms;
    double beside_downtime_ms; /* of downtime_guest_ms; only the destination knows it */
    double bytes_sent, pages_sent, zero_pages;
    double lanes, rtt_us, first_byte_ms;
    bool downtime_known;
    struct pagerail_downtime downtime;
    struct pr_outcome_side source, destination;
    uint32_t rails; /* the source's */
    struct pagerail_rail rail[PR_OUTCOME_RAILS_MAX];
    uint32_t rounds;
    struct pagerail_round *round; /* owned */
    /* the guest */
    enum pr_guest_role role;
    bool plan_known;
    struct pr_guest_plan plan;
    uint64_t len_bytes, page_bytes;
    char tracking[96]; /* "" = none */
};

void pr_outcome_init(struct pr_outcome *outcome, const struct pr_guest_options *options);
void pr_outcome_free(struct pr_outcome *outcome);

/* Records a failure: the first sentence stays. */
void pr_outcome_fail(struct pr_outcome *outcome, const char *sentence);

/* What both sides know of a session; and with it what only the source counts. */
void pr_outcome_session(struct pr_outcome *outcome, const struct pagerail_stats *stats);
void pr_outcome_stats(struct pr_outcome *outcome, const struct pagerail_stats *stats);

/* Copies one more rail or round; those over the limit are dropped. */
void pr_outcome_rail(struct pr_outcome *outcome, const struct pagerail_rail *rail);
void pr_outcome_round(struct pr_outcome *outcome, const struct pagerail_round *round);

/* The JSON text, to be freed; NULL when memory is short. pretty: over several lines. */
char *pr_outcome_text(const struct pr_outcome *outcome, bool pretty);

/* Takes what only the peer can know from its text. from: the peer's role. -EPROTO when it is no
 * JSON object; nothing has changed then. */
int pr_outcome_merge(struct pr_outcome *outcome, enum pr_guest_role from, const char *text,
                     size_t len);

/* Writes the file whole or not at all. */
int pr_outcome_write(const struct pr_outcome *outcome, const char *path);

#endif
