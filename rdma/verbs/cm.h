/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of the RDMA connection manager, without blocking calls and without acknowledgements that
 * could be forgotten. */
#ifndef PR_RDMA_VERBS_CM_H
#define PR_RDMA_VERBS_CM_H

#include "base/event.h"

#include <rdma/rdma_cma.h>

struct pr_verbs_event {
    enum rdma_cm_event_type type;
    int status;
    struct rdma_cm_id *id;
    uint8_t data[256]; /* private data of the peer */
    unsigned len;
};

/* A channel whose descriptor does not block. */
int pr_verbs_channel_open(struct rdma_event_channel **out);

/* Takes the next event; it is acknowledged already. 1 there was one, 0 none now, negative errno. */
int pr_verbs_channel_next(struct rdma_event_channel *channel, struct pr_verbs_event *out);

/*
 * Waits for the next event. also: one more descriptor to wait for, or -1.
 * RETURN VALUE: 0 an event; 1 `also` is readable; -ETIMEDOUT, -ECANCELED, ...
 */
int pr_verbs_channel_wait(struct rdma_event_channel *channel, uint64_t deadline_ns,
                          const struct pr_event *cancel, int also, struct pr_verbs_event *out);

/* An event that came in place of the one that connecting needs: as an error of pr_fabric_connect.
 * address: as the user wrote it. */
int pr_verbs_connect_error(const struct pr_verbs_event *event, const char *address);

/* An event on a lane that is up: why it is over, or 0 when it is not. */
int pr_verbs_lost_error(const struct pr_verbs_event *event);

/* The same settings for both sides of a connection: how often and how long to try. */
struct rdma_conn_param pr_verbs_conn_param(const void *private_data, uint8_t len);
void pr_verbs_set_timeout(struct rdma_cm_id *id, uint8_t exponent);

/* Before the address is resolved or bound. traffic_class: 0 leaves the host's default. */
int pr_verbs_set_traffic_class(struct rdma_cm_id *id, uint8_t traffic_class);

#endif
