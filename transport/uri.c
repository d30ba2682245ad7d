/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/uri.h"

#include "base/error.h"
#include "rdma/local/local.h"
#include "rdma/verbs/verbs.h"

#include <errno.h>
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

int pr_uri_open(const char *uri, struct pr_fabric **fabric, const char **address)
{
    const char *colon = uri ? strchr(uri, ':') : NULL;
    if (!colon || !colon[1])
        return pr_error(EINVAL,
                        "'%s' is no migration URI: write rdma:host:port or local:/path/to.sock",
                        uri ? uri : "");
    size_t len = (size_t)(colon - uri);
    int err;
    if (scheme_is(uri, len, override.scheme))
        err = override.open(override.opaque, fabric);
    else if (scheme_is(uri, len, "local"))
        err = pr_fabric_local_open(fabric);
    else if (scheme_is(uri, len, "rdma"))
        err = pr_fabric_verbs_open(fabric);
    else
        err = pr_error(EINVAL,
                       "'%.*s:' is no known fabric: this build knows rdma:host:port and "
                       "local:/path/to.sock",
                       len < 32 ? (int)len : 32, uri);
    if (!err)
        *address = colon + 1;
    return err;
}
