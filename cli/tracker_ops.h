/* SPDX-License-Identifier: BSD-2-Clause */
/* Between dirty.c and the trackers. */
#ifndef PR_CLI_TRACKER_OPS_H
#define PR_CLI_TRACKER_OPS_H

#include "cli/tracker.h"

/* Each tracker fills one. The state is the tracker's own, made by open; the calls are dirty.h's. */
struct pr_tracker_ops {
    const char *describe;
    int (*open)(void **state, const struct pr_tracker_range *range,
                const struct pr_tracker_gate *gate);
    void (*close)(void *state);
    int (*start)(void *state);
    int64_t (*sync)(void *state, uint64_t first_page, uint64_t pages, uint64_t *bits);
    void (*stop)(void *state);
};

extern const struct pr_tracker_ops pr_tracker_uffd;
extern const struct pr_tracker_ops pr_tracker_softdirty;

/* ORs `count` ones into bits from bit `first` on. */
void pr_tracker_set_bits(uint64_t *bits, uint64_t first, uint64_t count);

#endif
