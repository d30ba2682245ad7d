/* SPDX-License-Identifier: BSD-2-Clause */
/* Options as given -> options with every default filled in. Pure. */
#ifndef PR_TRANSPORT_OPTIONS_H
#define PR_TRANSPORT_OPTIONS_H

#include <pagerail/options.h>

#define PR_MIN_WINDOW_BYTES (UINT64_C(64) << 10)

/*
 * given: NULL = all defaults. *out then has no zero where zero means "default", but for lanes (the
 * fabric decides) and pin_budget_bytes (no limit). The window is small enough that at least four
 * fit the pin budget, so that registering one overlaps with sending others. ERRORS: -EINVAL, naming
 * the option and its range.
 */
int pr_options_resolve(const struct pagerail_options *given, struct pagerail_options *out);

/* The largest window that a fabric with that limit can register and that is no larger than wanted.
 * ERRORS: -EINVAL there is none of at least PR_MIN_WINDOW_BYTES. */
int pr_options_fit_window(uint64_t wanted_bytes, uint64_t max_bytes, uint64_t *out);

#endif
