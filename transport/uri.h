/* SPDX-License-Identifier: BSD-2-Clause */
/* "scheme:address" -> a fabric and the address on it. */
#ifndef PR_TRANSPORT_URI_H
#define PR_TRANSPORT_URI_H

#include "rdma/fabric.h"

/*
 * Opens the fabric that the URI's scheme names. *address points into uri.
 * ERRORS: -EINVAL with a sentence that lists the schemes there are; what the fabric's open returns.
 */
int pr_uri_open(const char *uri, struct pr_fabric **fabric, const char **address);

/*
 * Adds a scheme, or replaces one, for tests: their simulated and fault-injecting fabrics come in
 * here. NULL open removes it. Not beside sessions.
 */
typedef int (*pr_uri_opener)(void *opaque, struct pr_fabric **out);
void pr_uri_override(const char *scheme, pr_uri_opener open, void *opaque);

#endif
