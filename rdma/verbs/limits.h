/* SPDX-License-Identifier: BSD-2-Clause */
/* From what a device can do to what a fabric promises. Pure. */
#ifndef PR_RDMA_VERBS_LIMITS_H
#define PR_RDMA_VERBS_LIMITS_H

#include "rdma/fabric.h"

#include <infiniband/verbs.h>

#define PR_VERBS_SEND_DEPTH 256u /* at most; always a power of two, so indices can run freely */
#define PR_VERBS_RECV_DEPTH 64u
#define PR_VERBS_MIN_DEPTH 16u
#define PR_VERBS_MAX_MESSAGE (16u << 10)
#define PR_VERBS_MAX_WRITE (UINT64_C(1) << 30)
#define PR_VERBS_MAX_WINDOW (UINT64_C(1) << 46)
#define PR_VERBS_ROCE_LANES 4
#define PR_VERBS_IB_LANES 1

/* Limits that allow everything; start of pr_verbs_limits_meet over several. */
struct pr_fabric_limits pr_verbs_limits_widest(void);

/* What a port of a device allows.
 * ERRORS: -EOPNOTSUPP the device's queues are too short to work with. */
int pr_verbs_limits_of(const struct ibv_device_attr *device, const struct ibv_port_attr *port,
                       struct pr_fabric_limits *out);

/* Lowers `limits` to what `other` can keep as well. */
void pr_verbs_limits_meet(struct pr_fabric_limits *limits, const struct pr_fabric_limits *other);

/* Bytes in a packet of the port; 0 when the device names an unknown value. */
unsigned pr_verbs_mtu_bytes(enum ibv_mtu mtu);

#endif
