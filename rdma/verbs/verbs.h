/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fabric over RDMA devices: InfiniBand, RoCE (hardware, or the kernel's rdma_rxe) and iWARP, by
 * rdma_cm and libibverbs.
 *
 * An address is host:port, or [IPv6 address]:port. The host may be a name or a number; it must
 * belong to the network interface of an RDMA device, because connections are made by the RDMA
 * connection manager. To listen at all of them: 0.0.0.0:port or [::]:port.
 *
 * Within the contract of rdma/fabric.h:
 * - A fabric uses one device. On a host with a single one, or if only one may be used, that is
 * known from the start. On others the first connection chooses it: `limits` are those that all
 * devices can keep until then, its own afterwards, and pr_fabric_reg answers -ENODEV before. A
 * later connection over another device is refused (-EXDEV).
 * - A message stays in a ring of the lane until the device has taken it, so pr_lane_post_send can
 *   also answer -EAGAIN when places are left but this ring is full. Polling frees it, whether
 *   messages are signalled or not.
 * - A key's rkey has 32 bits; the upper half is not looked at.
 * - pr_lane_fd is an epoll descriptor over completions, connection events and the device's own
 *   events. When the peer ends the connection without a word (power loss) nothing wakes a side that
 *   has nothing under way: the transport's keep-alive is there for that.
 * - A child of a process that has used this fabric cannot use RDMA itself before it calls exec;
 *   that is rdma-core's and the kernel's rule.
 * - Looking a name up asks the resolver of the C library, which knows no time limit and no cancel.
 * - pr_listener_accept gives a client that it has admitted a few seconds to finish, whatever its
 *   timeout.
 */
#ifndef PR_RDMA_VERBS_VERBS_H
#define PR_RDMA_VERBS_VERBS_H

#include "rdma/fabric.h"

/* What an operator may choose. All zero: as the host is set up. */
struct pr_verbs_settings {
    /* Of all packets: the second byte of an IPv4 header, 4 x DSCP. 0: the host's default, see
     * docs/operating.md. */
    uint8_t traffic_class;
    /* Registers guest memory without pinning it, where the device can (on-demand paging); where it
     * cannot, the memory is pinned and a line in the log says so. */
    bool on_demand;
    /* Names of the devices that may be used, with commas between them; "" or NULL: all. Borrowed
     * for the call. */
    const char *rails;
};

/* settings: copied; NULL: all zero.
 * ERRORS: -ENODEV the host has no RDMA device that can be used, or none of a name that was given;
 * -EACCES; -ENOMEM. */
int pr_fabric_verbs_open(const struct pr_verbs_settings *settings, struct pr_fabric **out);

/* How many ports of those devices had a link when the fabric was opened. */
unsigned pr_fabric_verbs_active_ports(const struct pr_fabric *fabric);

#endif
