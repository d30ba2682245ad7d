/* SPDX-License-Identifier: BSD-2-Clause */
/* The objects that the files of this folder share. */
#ifndef PR_RDMA_VERBS_FABRIC_H
#define PR_RDMA_VERBS_FABRIC_H

#include "rdma/fabric.h"
#include "rdma/verbs/verbs.h"

#include <infiniband/verbs.h>
#include <pthread.h>

struct pr_verbs_fabric {
    struct pr_fabric base; /* first: cast back */
    /* As librdmacm lists them. Holding the list holds the devices open: our PD lives in one. */
    struct ibv_context **devices;
    int device_count;
    struct ibv_context **rails; /* of them, those that may be used */
    int rail_count;
    pthread_mutex_t lock; /* choosing the device */
    struct ibv_context *context;
    struct ibv_pd *pd;       /* NULL until a device is chosen; then it stays */
    unsigned ports;          /* that it has */
    uint64_t retries_before; /* that it had counted when it was chosen */
    uint8_t ack_timeout_exponent;
    uint8_t retries;
    unsigned active_ports; /* of all rails, when they were listed */
    struct pr_verbs_settings settings;
    bool on_demand; /* asked for, and the device can */
};

struct pr_verbs_mr {
    struct pr_mr base; /* first: cast back */
    struct ibv_mr *mr;
    unsigned access; /* enum pr_access */
};

static inline struct pr_verbs_fabric *pr_verbs_fabric_of(struct pr_fabric *fabric)
{
    return (struct pr_verbs_fabric *)fabric;
}

/* device.c */

/* Lists the devices, sets the limits that all can keep, and chooses the device if there is one
 * only. On error nothing is held. */
int pr_verbs_devices_open(struct pr_verbs_fabric *fabric);
void pr_verbs_devices_close(struct pr_verbs_fabric *fabric);

/* Makes sure that the fabric's device is this one, choosing it if none is chosen.
 * ERRORS: -EXDEV another one is; -ENODEV it was not there when the fabric was opened. */
int pr_verbs_device_choose(struct pr_verbs_fabric *fabric, struct ibv_context *context);

/* rails.c: fills `rails` from the devices, by the names in the settings; the caller frees it.
 * ERRORS: -ENODEV there is none of such a name, -ENOMEM. */
int pr_verbs_rails_choose(struct pr_verbs_fabric *fabric);

/* device.c: what was chosen, and its counters. */
void pr_verbs_rail(struct pr_fabric *fabric, struct pr_rail *out);

/* memory.c: the calls of pr_fabric_ops; and how a failed pinning is explained. */
int pr_verbs_reg(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
                 struct pr_mr **out);
void pr_verbs_dereg(struct pr_mr *mr);
bool pr_verbs_reg_pays(struct pr_fabric *base, const void *addr, uint64_t len);
int pr_verbs_reg_error(int err, uint64_t len);

/* connect.c */
int pr_verbs_connect(struct pr_fabric *fabric, const char *address, const void *private_data,
                     uint32_t len, int timeout_ms, const struct pr_event *cancel,
                     struct pr_lane **out);

/* listener.c */
int pr_verbs_listen(struct pr_fabric *fabric, const char *address, struct pr_listener **out);
int pr_verbs_accept(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
                    pr_admit_fn admit, void *opaque, struct pr_lane **out);
void pr_verbs_listener_close(struct pr_listener *listener);

/* lane.c, post.c, poll.c */
int pr_verbs_post_write(struct pr_lane *lane, const struct pr_rma *write);
int pr_verbs_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm);
int pr_verbs_post_read(struct pr_lane *lane, const struct pr_rma *read);
int pr_verbs_post_send(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                       bool signaled);
int pr_verbs_flush(struct pr_lane *lane);
int pr_verbs_poll(struct pr_lane *lane, struct pr_completion *out, unsigned max);
void pr_verbs_recv_done(struct pr_lane *lane, const void *bytes);
int pr_verbs_arm(struct pr_lane *lane);
int pr_verbs_fd(struct pr_lane *lane);
void pr_verbs_lane_shut(struct pr_lane *lane);
void pr_verbs_lane_close(struct pr_lane *lane);

#endif
