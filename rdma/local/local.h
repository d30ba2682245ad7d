/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fabric between processes of one host: needs no device and no privilege beyond what the
 * kernel asks for to write into another process of the same user.
 *
 * An address is the path of a Unix socket file. Listening makes the file (mode 0600) and
 * pr_listener_close removes it; a file left by a listener that died is replaced. The socket carries
 * the connection request and the messages; data goes by process_vm_writev and process_vm_readv from
 * the poster straight into the peer's memory, without a copy in between.
 *
 * Within the contract of rdma/fabric.h:
 * - pr_lane_flush itself moves the bytes of writes and reads, so they complete inside it. Only a
 *   message may stay queued behind a full socket, with all that was posted after it; it goes on at
 *   the next flush or poll, and pr_lane_fd wakes up for it.
 * - A peer that sends more messages than there are free buffers waits; the lane does not fail.
 * - pr_lane_fd is an epoll descriptor.
 * - pr_listener_accept gives a client that has begun to talk up to two seconds to finish, whatever
 *   its timeout; clients that are connected and silent wait beside it and do not hold others up.
 * - A lane may read and write the peer's memory only if the kernel lets this process do so. The
 *   connecting side finds out in connect, which then fails with the setting to change. The
 * accepting side only needs it for its own posts, which return -EACCES when it is missing.
 */
#ifndef PR_RDMA_LOCAL_LOCAL_H
#define PR_RDMA_LOCAL_LOCAL_H

#include "rdma/fabric.h"

/* ERRORS: -ENOMEM, -EMFILE. Both ends must be of one version of pagerail, in one pid namespace. */
int pr_fabric_local_open(struct pr_fabric **out);

#endif
