/* SPDX-License-Identifier: BSD-2-Clause */
/* Options as given -> options with every default filled in. Pure. */
#ifndef PR_TRANSPORT_OPTIONS_H
#define PR_TRANSPORT_OPTIONS_H

#include "rdma/fabric.h"

#include <pagerail/options.h>

#define PR_MIN_WINDOW_BYTES (UINT64_C(64) << 10)

/*
 * given: NULL = all defaults. *out then has no zero where zero means "default", but for lanes and
 * the two time-outs (the fabric decides), window_bytes (the guest's pages decide) and
 * pin_budget_bytes (no limit).
 * ERRORS: -EINVAL, naming the option and its range.
 */
int pr_options_resolve(const struct pagerail_options *given, struct pagerail_options *out);

/* The time-outs that nobody set, by what the fabric needs. */
void pr_options_suit(struct pagerail_options *options, const struct pr_fabric_limits *limits);

/*
 * The size of a window, by the options, the largest pages of the guest and the most that the fabric
 * registers at once. It is small enough that at least four fit the pin budget, so that registering
 * one overlaps with sending others.
 * ERRORS: -EINVAL the budget is too small for the pages, or the fabric's limit for any window.
 */
int pr_options_window(const struct pagerail_options *options, uint64_t page_bytes,
                      uint64_t max_bytes, uint64_t *out);

#endif
