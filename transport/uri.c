/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/uri.h"

#include "base/error.h"
#include "rdma/local/local.h"
#include "rdma/verbs/verbs.h"
#include "transport/choice.h"
#include "transport/same_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    const char *scheme;
    pr_uri_opener open;
    void *opaque;
} override;

void pr_uri_override(const char *scheme, pr_uri_opener open, void *opaque)
{
    override.scheme = open ? scheme : NULL;
    override.open = open;
    override.opaque = opaque;
}

static bool scheme_is(const char *uri, size_t len, const char *scheme)
{
    return scheme && strlen(scheme) == len && !memcmp(uri, scheme, len);
}

static int open_verbs(const struct pagerail_options *options, struct pr_fabric **out)
{
    struct pr_verbs_settings settings = {.traffic_class = (uint8_t)options->traffic_class,
                                         .on_demand = options->on_demand_paging,
                                         .rails = options->rails};
    return pr_fabric_verbs_open(&settings, out);
}

/* For a fabric that was not asked for by name: one without a link is none. */
static int open_usable_verbs(const struct pagerail_options *options, struct pr_fabric **out)
{
    struct pr_fabric *fabric;
    int err = open_verbs(options, &fabric);
    if (err)
        return err;
    if (pr_fabric_verbs_active_ports(fabric)) {
        *out = fabric;
        return 0;
    }
    pr_fabric_close(fabric);
    return pr_error(ENODEV, "no port of an RDMA device of this host is active");
}

/* why: the calling thread's sentence. */
static int open_same_host(struct pr_uri_target *target)
{
    char why[PAGERAIL_ERROR_MAX];
    snprintf(why, sizeof(why), "%s", pr_error_message());
    int err = pr_same_host_socket(target->address, target->text, sizeof(target->text));
    if (!err)
        err = pr_fabric_local_open(&target->fabric);
    if (err)
        return err;
    snprintf(target->route, sizeof(target->route),
             "rdma:%.100s goes between two processes of this machine, by %s: %.200s",
             target->address, target->text, why);
    target->address = target->text;
    return 0;
}

/* The devices, unless there is a reason not to take them; its sentence stands. */
static int try_devices(const struct pagerail_options *options, enum pr_host_place place,
                       struct pr_uri_target *target)
{
    if (options->fabric == PAGERAIL_FABRIC_LOCAL && place == PR_HOST_ELSEWHERE)
        return pr_error(EINVAL,
                        "%s is not reached by the fabric local, which was chosen: it does "
                        "not leave this machine",
                        target->address);
    if (options->fabric == PAGERAIL_FABRIC_LOCAL)
        return pr_error(EINVAL, "the fabric local was chosen");
    if (options->fabric == PAGERAIL_FABRIC_VERBS)
        return open_verbs(options, &target->fabric);
    if (place == PR_HOST_LOOPBACK)
        return pr_error(ENODEV, "no RDMA device has a loopback address");
    return open_usable_verbs(options, &target->fabric);
}

/* Who names devices wants these and nothing else. */
static int open_rdma(const struct pagerail_options *given, struct pr_uri_target *target)
{
    enum pr_host_place place;
    struct pagerail_options chosen = *given, *options = &chosen;
    if (*chosen.rails)
        chosen.fabric = PAGERAIL_FABRIC_VERBS;
    int err = pr_same_host_place(target->address, &place);
    if (err)
        return err;
    err = try_devices(options, place, target);
    switch (pr_carrier_choose(options->fabric, place, !err)) {
    case PR_CARRIER_LOCAL:
        return open_same_host(target);
    case PR_CARRIER_VERBS:
        snprintf(target->route, sizeof(target->route), "rdma:%.100s goes over RDMA",
                 target->address);
        return err;
    default:
        return err;
    }
}

int pr_uri_open(const char *uri, const struct pagerail_options *options,
                struct pr_uri_target *target)
{
    const char *colon = uri ? strchr(uri, ':') : NULL;
    if (!colon || !colon[1])
        return pr_error(EINVAL,
                        "'%s' is no migration URI: write rdma:host:port or local:/path/to.sock",
                        uri ? uri : "");
    size_t len = (size_t)(colon - uri);
    target->address = colon + 1;
    *target->route = '\0';
    if (scheme_is(uri, len, override.scheme))
        return override.open(override.opaque, &target->fabric);
    if (scheme_is(uri, len, "local"))
        return pr_fabric_local_open(&target->fabric);
    if (scheme_is(uri, len, "rdma"))
        return open_rdma(options, target);
    return pr_error(EINVAL,
                    "'%.*s:' is no known fabric: this build knows rdma:host:port and "
                    "local:/path/to.sock",
                    len < 32 ? (int)len : 32, uri);
}
