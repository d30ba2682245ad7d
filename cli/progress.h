/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows a migration while it runs: one line that changes on a terminal, else a line at each change
 * of phase. */
#ifndef PR_CLI_PROGRESS_H
#define PR_CLI_PROGRESS_H

#include <pagerail/migrate.h>
#include <stdbool.h>
#include <stdio.h>

enum pr_progress_style { PR_PROGRESS_NONE, PR_PROGRESS_LINES, PR_PROGRESS_BAR };

struct pr_progress {
    enum pr_progress_style style;
    FILE *to;
    enum pagerail_phase phase; /* last shown */
    bool open;                 /* a bar is on the line */
};

/* `to` is a terminal: a bar, unless quiet. */
void pr_progress_init(struct pr_progress *progress, FILE *to, bool quiet);

void pr_progress_show(struct pr_progress *progress, const struct pagerail_progress *now);

/* Ends the bar's line, before anything else is printed. */
void pr_progress_end(struct pr_progress *progress);

/* The bar's text for a terminal of `columns`, without colours; fits exactly or is shorter. */
#define PR_PROGRESS_TEXT_MAX 512
void pr_progress_text(const struct pagerail_progress *now, unsigned columns,
                      char to[PR_PROGRESS_TEXT_MAX]);

#endif
