/* SPDX-License-Identifier: BSD-2-Clause */
/* "scheme:address" -> a fabric and the address on it. */
#ifndef PR_TRANSPORT_URI_H
#define PR_TRANSPORT_URI_H

#include "rdma/fabric.h"

#include <pagerail/error.h>
#include <pagerail/options.h>

struct pr_uri_target {
    struct pr_fabric *fabric; /* the caller's, to be closed */
    const char *address;      /* on that fabric: a part of the URI, or `text` */
    char text[128];
    char route[PAGERAIL_ERROR_MAX]; /* for people: what carries it and why; "" where the scheme says
                                       it */
};

/*
 * Opens the fabric that the URI's scheme names, or for rdma: the one that the options and this host
 * decide for (transport/choice.h).
 * options: of them `fabric`, `rails`, `traffic_class` and `on_demand_paging`. The target must stay
 * where it is, and the URI, as long as the address is used. ERRORS: -EINVAL with a sentence that
 * lists the schemes there are; what the fabric's open returns.
 */
int pr_uri_open(const char *uri, const struct pagerail_options *options,
                struct pr_uri_target *target);

/*
 * Adds a scheme, or replaces one, for tests: their simulated and fault-injecting fabrics come in
 * here. NULL open removes it. Not beside sessions.
 */
typedef int (*pr_uri_opener)(void *opaque, struct pr_fabric **out);
void pr_uri_override(const char *scheme, pr_uri_opener open, void *opaque);

#endif
