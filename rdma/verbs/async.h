/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device says of itself: ports that go down, failures. librdmacm opens a device once in a
 * process, so its events come to all lanes of all fabrics through one descriptor. Whoever reads one
 * passes it on to the lanes that it concerns.
 */
#ifndef PR_RDMA_VERBS_ASYNC_H
#define PR_RDMA_VERBS_ASYNC_H

#include "rdma/verbs/lane.h"

/* From here to pr_verbs_async_remove the lane is told. Its queue pair must exist all the time. */
void pr_verbs_async_add(struct pr_verbs_lane *lane);
void pr_verbs_async_remove(struct pr_verbs_lane *lane); /* of one that was not added: nothing */

/* Reads what there is and logs it. Does not block. */
void pr_verbs_async_read(struct ibv_context *context);

#endif
