/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `pagerail guest`. */
#ifndef PR_CLI_GUEST_OPTIONS_H
#define PR_CLI_GUEST_OPTIONS_H

#include "cli/guest_state.h"
#include "cli/tracker.h"

#include <pagerail/options.h>
#include <stdbool.h>
#include <stdint.h>

enum pr_guest_role {
    PR_GUEST_ALONE = 1,       /* neither --to nor --listen */
    PR_GUEST_SOURCE = 2,      /* --to */
    PR_GUEST_DESTINATION = 4, /* --listen */
};

/* "alone", "source", "destination" */
const char *pr_guest_role_name(enum pr_guest_role role);

struct pr_guest_options {
    enum pr_guest_role role;
    const char *uri;       /* of --to or --listen */
    const char *json_path; /* NULL = none */
    bool quiet;
    uint64_t len_bytes;
    uint64_t page_bytes;
    struct pr_guest_plan plan; /* not the destination's: the guest brings its own */
    enum pr_tracker_kind tracking;
    uint64_t run_before_ms, run_after_ms;
    struct pagerail_options migration;
};

/*
 * Reads and checks it all, and changes nothing. Strings point into argv.
 * RETURN VALUE: -1: go on with *out. Otherwise the exit status: help or a complaint was printed.
 */
int pr_guest_options_parse(int argc, char **argv, struct pr_guest_options *out);

#endif
