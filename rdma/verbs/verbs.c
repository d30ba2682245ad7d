/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/verbs.h"

#include "base/error.h"
#include "rdma/verbs/fabric.h"

#include <errno.h>
#include <stdlib.h>

static void verbs_close(struct pr_fabric *base)
{
    struct pr_verbs_fabric *fabric = pr_verbs_fabric_of(base);
    pr_verbs_devices_close(fabric);
    pthread_mutex_destroy(&fabric->lock);
    free(fabric);
}

static const struct pr_fabric_ops verbs_ops = {
    .close = verbs_close,
    .listen = pr_verbs_listen,
    .accept = pr_verbs_accept,
    .listener_close = pr_verbs_listener_close,
    .connect = pr_verbs_connect,
    .reg = pr_verbs_reg,
    .dereg = pr_verbs_dereg,
    .reg_pays = pr_verbs_reg_pays,
    .post_write = pr_verbs_post_write,
    .post_write_imm = pr_verbs_post_write_imm,
    .post_read = pr_verbs_post_read,
    .post_send = pr_verbs_post_send,
    .flush = pr_verbs_flush,
    .poll = pr_verbs_poll,
    .recv_done = pr_verbs_recv_done,
    .arm = pr_verbs_arm,
    .fd = pr_verbs_fd,
    .lane_shut = pr_verbs_lane_shut,
    .lane_close = pr_verbs_lane_close,
    .rail = pr_verbs_rail,
};

unsigned pr_fabric_verbs_active_ports(const struct pr_fabric *fabric)
{
    return ((const struct pr_verbs_fabric *)fabric)->active_ports;
}

int pr_fabric_verbs_open(const struct pr_verbs_settings *settings, struct pr_fabric **out)
{
    struct pr_verbs_fabric *fabric = calloc(1, sizeof(*fabric));
    if (!fabric)
        return pr_error(ENOMEM, "no memory for the RDMA fabric");
    fabric->base = (struct pr_fabric){.ops = &verbs_ops, .name = "verbs"};
    if (settings)
        fabric->settings = *settings;
    pthread_mutex_init(&fabric->lock, NULL);
    int err = pr_verbs_devices_open(fabric);
    if (err) {
        pthread_mutex_destroy(&fabric->lock);
        free(fabric);
        return err;
    }
    *out = &fabric->base;
    return 0;
}
