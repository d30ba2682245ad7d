/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The size of RoCE packets. The connecting side's port decides it; the connection manager does not
 * ask whether the other port can take packets of that size, and one that cannot drops them without
 * a word. So the size travels in the request (rdma/verbs/greeting.h) and is checked there.
 */
#ifndef PR_RDMA_VERBS_MTU_H
#define PR_RDMA_VERBS_MTU_H

#include <rdma/rdma_cma.h>
#include <stdint.h>

/* Of the port under a connection, as enum ibv_mtu; 0 where the ends agree on one by other means
 * (InfiniBand by its subnet manager, iWARP by TCP) or when it is not known. */
uint8_t pr_verbs_port_mtu(const struct rdma_cm_id *id);

/* Whether this side's port takes the source's packets; 0 in either is no objection. Pure.
 * ERRORS: -EMSGSIZE it does not. */
int pr_verbs_mtu_check(uint8_t theirs, uint8_t ours);

/* Bytes in a packet of the port; 0 when the device names an unknown value. Pure. */
unsigned pr_verbs_mtu_bytes(enum ibv_mtu mtu);

#endif
