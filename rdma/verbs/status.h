/* SPDX-License-Identifier: BSD-2-Clause */
/* What the device says went wrong, as an errno and a sentence that says what to do. */
#ifndef PR_RDMA_VERBS_STATUS_H
#define PR_RDMA_VERBS_STATUS_H

#include <infiniband/verbs.h>

/* A work completion that is no success, on a port of a device (the rail). Returns the negative
 * errno, the sentence is set. */
int pr_verbs_status_error(enum ibv_wc_status status, uint32_t vendor_err, const char *device,
                          unsigned port);

/* Device events. What a lane makes of one: a negative errno with its sentence when it is the end of
 * the lane, else 0. */
int pr_verbs_event_error(enum ibv_event_type type, const char *device);

#endif
