/* SPDX-License-Identifier: BSD-2-Clause */
/* Which device a fabric uses, and what that device allows. */
#include "base/error.h"
#include "base/log.h"
#include "rdma/verbs/counters.h"
#include "rdma/verbs/fabric.h"
#include "rdma/verbs/limits.h"
#include "rdma/verbs/mtu.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the device is, and what all its ports allow. *active: grows by those with a link. */
static int query(struct ibv_context *context, struct ibv_device_attr *device,
                 struct pr_fabric_limits *out, unsigned *active)
{
    const char *name = ibv_get_device_name(context->device);
    struct pr_fabric_limits all = pr_verbs_limits_widest();
    int err = ibv_query_device(context, device);
    if (err)
        return pr_error(err, "cannot query the RDMA device %s: %s", name, strerror(err));
    for (uint8_t port = 1; port <= device->phys_port_cnt; port++) {
        struct ibv_port_attr attr;
        struct pr_fabric_limits limits;
        err = ibv_query_port(context, port, &attr);
        if (err)
            return pr_error(err, "cannot query port %u of %s: %s", port, name, strerror(err));
        pr_log_debug("%s port %u: MTU %u, state %d", name, port,
                     pr_verbs_mtu_bytes(attr.active_mtu), attr.state);
        *active += attr.state == IBV_PORT_ACTIVE;
        err = pr_verbs_limits_of(device, &attr, &limits);
        if (err)
            return pr_error_prefix(err, "%s", name);
        pr_verbs_limits_meet(&all, &limits);
    }
    *out = all;
    return 0;
}

/* The device's own events are read beside everything else, so reading must not block. */
static int unblock(struct ibv_context *context)
{
    int flags = fcntl(context->async_fd, F_GETFL);
    if (flags < 0 || fcntl(context->async_fd, F_SETFL, flags | O_NONBLOCK))
        return pr_error(errno, "cannot set up the events of %s: %s",
                        ibv_get_device_name(context->device), strerror(errno));
    return 0;
}

#define ODP_WRITES (IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_SEND)

/* Whether memory that is written from and to needs no pinning. */
static bool pages_on_demand(struct ibv_context *context)
{
    struct ibv_device_attr_ex device;
    if (ibv_query_device_ex(context, NULL, &device))
        return false;
    return device.odp_caps.general_caps & IBV_ODP_SUPPORT &&
           (device.odp_caps.per_transport_caps.rc_odp_caps & ODP_WRITES) == ODP_WRITES;
}

static int choose(struct pr_verbs_fabric *fabric, struct ibv_context *context, unsigned *active)
{
    const char *name = ibv_get_device_name(context->device);
    struct ibv_device_attr device;
    struct pr_fabric_limits limits;
    int err = query(context, &device, &limits, active);
    if (!err)
        err = unblock(context);
    if (err)
        return err;
    fabric->pd = ibv_alloc_pd(context);
    if (!fabric->pd)
        return pr_error(errno, "cannot get a protection domain of %s: %s", name, strerror(errno));
    fabric->on_demand = fabric->settings.on_demand && pages_on_demand(context);
    if (fabric->settings.on_demand && !fabric->on_demand)
        pr_log_warn("%s cannot page on demand: guest memory will be pinned", name);
    fabric->context = context;
    fabric->ports = device.phys_port_cnt;
    fabric->retries_before =
        pr_verbs_counted_retries(context->device->ibdev_path, device.phys_port_cnt);
    fabric->ack_timeout_exponent = pr_verbs_ack_timeout(&device);
    fabric->retries = pr_verbs_retries(&device);
    fabric->base.limits = limits;
    return 0;
}

static int common_limits(struct pr_verbs_fabric *fabric)
{
    struct pr_fabric_limits all = pr_verbs_limits_widest();
    for (int i = 0; i < fabric->rail_count; i++) {
        struct ibv_device_attr device;
        struct pr_fabric_limits limits;
        int err = query(fabric->rails[i], &device, &limits, &fabric->active_ports);
        if (err)
            return err;
        pr_verbs_limits_meet(&all, &limits);
    }
    fabric->base.limits = all;
    return 0;
}

static void forget(struct pr_verbs_fabric *fabric)
{
    free(fabric->rails);
    rdma_free_devices(fabric->devices);
}

int pr_verbs_devices_open(struct pr_verbs_fabric *fabric)
{
    fabric->devices = rdma_get_devices(&fabric->device_count);
    if (!fabric->devices)
        return pr_error(errno == ENOMEM ? ENOMEM : ENODEV,
                        "no RDMA device can be used: %s (load rdma_ucm, install "
                        "ibverbs-providers; `pagerail devices` shows what there is)",
                        strerror(errno));
    int err = pr_verbs_rails_choose(fabric);
    if (!err && !fabric->rail_count)
        err = pr_error(ENODEV, "this host has no RDMA device: `pagerail devices` shows what there "
                               "is");
    if (!err)
        err = fabric->rail_count == 1 ? choose(fabric, fabric->rails[0], &fabric->active_ports)
                                      : common_limits(fabric);
    fabric->settings.rails = NULL; /* the caller's */
    if (err)
        forget(fabric);
    return err;
}

void pr_verbs_devices_close(struct pr_verbs_fabric *fabric)
{
    int err = fabric->pd ? ibv_dealloc_pd(fabric->pd) : 0;
    if (err)
        pr_log_error("cannot give a protection domain of %s back: %s (a registration was left)",
                     ibv_get_device_name(fabric->context->device), strerror(err));
    forget(fabric);
}

static bool among(struct ibv_context *const *list, int count, const struct ibv_context *context)
{
    for (int i = 0; i < count; i++)
        if (list[i] == context)
            return true;
    return false;
}

static int choose_locked(struct pr_verbs_fabric *fabric, struct ibv_context *context)
{
    if (fabric->context == context)
        return 0;
    const char *name = ibv_get_device_name(context->device);
    if (!among(fabric->devices, fabric->device_count, context))
        return pr_error(ENODEV, "the RDMA device %s appeared a moment ago: try again", name);
    if (!among(fabric->rails, fabric->rail_count, context))
        return pr_error(EXDEV,
                        "this connection goes over %s, which is none of the rails that were "
                        "chosen: choose it, or an address that one of them reaches",
                        name);
    if (fabric->context)
        return pr_error(EXDEV,
                        "this connection goes over %s and the ones before it over %s: choose "
                        "an address that all of them reach by one device",
                        name, ibv_get_device_name(fabric->context->device));
    unsigned active = 0;
    return choose(fabric, context, &active);
}

int pr_verbs_device_choose(struct pr_verbs_fabric *fabric, struct ibv_context *context)
{
    pthread_mutex_lock(&fabric->lock);
    int err = choose_locked(fabric, context);
    pthread_mutex_unlock(&fabric->lock);
    return err;
}

void pr_verbs_rail(struct pr_fabric *base, struct pr_rail *out)
{
    struct pr_verbs_fabric *fabric = pr_verbs_fabric_of(base);
    *out = (struct pr_rail){0};
    pthread_mutex_lock(&fabric->lock);
    struct ibv_device *device = fabric->context ? fabric->context->device : NULL;
    pthread_mutex_unlock(&fabric->lock);
    if (!device)
        return;
    snprintf(out->name, sizeof(out->name), "%s", ibv_get_device_name(device));
    out->retries =
        pr_verbs_counted_retries(device->ibdev_path, fabric->ports) - fabric->retries_before;
}
