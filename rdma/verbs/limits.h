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
#define PR_VERBS_RXE_VENDOR 0xffffffu /* what rdma_rxe names itself */
/* The connection manager repeats a lost message after 4.3 s: one may get lost. A link that was down
 * for two seconds comes back with the next repetition of the queue pairs, 2.1 s later on software
 * RoCE, and the peer's last word may be a third of the limit old by then. */
#define PR_VERBS_CONNECT_MS 10000u
#define PR_VERBS_SILENCE_MS 8000u
#define PR_VERBS_RXE_PACKETS 128u /* it keeps no more of a queue pair unacknowledged */

/* Limits that allow everything; start of pr_verbs_limits_meet over several. */
struct pr_fabric_limits pr_verbs_limits_widest(void);

/* What a port of a device allows.
 * ERRORS: -EOPNOTSUPP the device's queues are too short to work with. */
int pr_verbs_limits_of(const struct ibv_device_attr *device, const struct ibv_port_attr *port,
                       struct pr_fabric_limits *out);

/* Lowers `limits` to what `other` can keep as well; rate_Bps is that of the faster line. */
void pr_verbs_limits_meet(struct pr_fabric_limits *limits, const struct pr_fabric_limits *other);

/*
 * How long to wait for an acknowledgement before everything since the last one is sent again, as
 * the exponent of InfiniBand: 4.096 us << exponent; seven times, then the connection is given up.
 * A NIC: 16, 268 ms: longer than any round trip on earth, so that a far peer does not look silent,
 * and short enough that a packet lost at the end does not cost the downtime budget. The kernel's
 * software RoCE: 19, 2.1 s: it acknowledges late on a busy host, and sending again what is under
 * way makes that worse.
 */
uint8_t pr_verbs_ack_timeout(const struct ibv_device_attr *device);

/* How often to send again before the connection is given up: as often as can be said. The kernel's
 * software RoCE takes the largest number, 7, for ever, and a path that swallows large packets would
 * hang a lane for good. */
uint8_t pr_verbs_retries(const struct ibv_device_attr *device);

#endif
