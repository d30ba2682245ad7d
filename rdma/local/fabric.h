/* SPDX-License-Identifier: BSD-2-Clause */
/* The local fabric's objects, as its own files see them. */
#ifndef PR_RDMA_LOCAL_FABRIC_H
#define PR_RDMA_LOCAL_FABRIC_H

#include "rdma/fabric.h"
#include "rdma/local/gate.h"
#include "rdma/local/link.h"
#include "rdma/local/table.h"

struct pr_local_fabric {
    struct pr_fabric base; /* first: cast back */
    pthread_mutex_t lock;  /* guards table */
    struct pr_local_table table;
    struct pr_local_gates gates; /* of all its lanes, and of closed ones still in use */
};

struct pr_local_mr {
    struct pr_mr base; /* first: cast back */
    unsigned access;
};

#define PR_LOCAL_MAX_WRITE (4u << 20)
#define PR_LOCAL_MAX_MESSAGE (16u << 10)
#define PR_LOCAL_SEND_DEPTH 1024u /* a power of two: indices run freely */
#define PR_LOCAL_RECV_DEPTH 64u

/* The queue of a connected link; takes the link over, also when it fails. (lane.c) */
int pr_local_lane_open(struct pr_local_fabric *fabric, struct pr_local_link *link,
                       struct pr_lane **out);

int pr_local_lane_post_write(struct pr_lane *lane, const struct pr_rma *write);
int pr_local_lane_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm);
int pr_local_lane_post_read(struct pr_lane *lane, const struct pr_rma *read);
int pr_local_lane_post_send(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                            bool signaled);
int pr_local_lane_flush(struct pr_lane *lane);
int pr_local_lane_poll(struct pr_lane *lane, struct pr_completion *out, unsigned max);
void pr_local_lane_recv_done(struct pr_lane *lane, const void *bytes);
int pr_local_lane_arm(struct pr_lane *lane);
int pr_local_lane_fd(struct pr_lane *lane);
void pr_local_lane_shut(struct pr_lane *lane);
void pr_local_lane_close(struct pr_lane *lane);

/* (listener.c) */
int pr_local_listener_open(struct pr_fabric *fabric, const char *address, struct pr_listener **out);
int pr_local_listener_accept(struct pr_listener *listener, int timeout_ms,
                             const struct pr_event *cancel, pr_admit_fn admit, void *opaque,
                             struct pr_lane **out);
void pr_local_listener_close(struct pr_listener *listener);

#endif
