/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake: from a connected socket to two ends that can reach each other's memory. */
#ifndef PR_RDMA_LOCAL_LINK_H
#define PR_RDMA_LOCAL_LINK_H

#include "rdma/fabric.h"
#include "rdma/local/gate.h"
#include "rdma/local/packet.h"
#include "rdma/local/table.h"

struct pr_local_fabric;

struct pr_local_link {
    int sock;
    struct pr_local_gate *gate;
    struct pr_local_view view; /* the peer's table of keys */
    int reach_err;             /* 0, or why this end cannot reach the peer's memory */
};

/* Both take `sock` over, also when they fail. */

/* ERRORS: those of pr_fabric_connect. */
int pr_local_link_connect(struct pr_local_fabric *fabric, int sock, const void *private_data,
                          uint32_t len, uint64_t deadline_ns, const struct pr_event *cancel,
                          struct pr_local_link *out);

/* Answers `hello`, whose fds it takes over. ERRORS: those of pr_listener_accept. */
int pr_local_link_accept(struct pr_local_fabric *fabric, int sock, struct pr_local_greeting *hello,
                         pr_admit_fn admit, void *opaque, uint64_t deadline_ns,
                         const struct pr_event *cancel, struct pr_local_link *out);

/* Tells the peer the calling thread's sentence for err, which stays in place. Whether it arrives
 * changes nothing here. */
void pr_local_link_refuse(int sock, int err);

void pr_local_link_close(struct pr_local_fabric *fabric, struct pr_local_link *link);

#endif
