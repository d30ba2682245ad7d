/* SPDX-License-Identifier: BSD-2-Clause */
/* host:port and [IPv6]:port. */
#ifndef PR_RDMA_VERBS_ADDRESS_H
#define PR_RDMA_VERBS_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>

#define PR_VERBS_HOST_MAX 255

struct pr_verbs_address {
    char host[PR_VERBS_HOST_MAX + 1]; /* without brackets */
    char port[6];                     /* 1 to 65535 */
};

/* ERRORS: -EINVAL with what is wrong and how it is written. */
int pr_verbs_address_parse(const char *text, struct pr_verbs_address *out);

/*
 * Looks the host up. passive: to listen there.
 * OWNERSHIP: the caller's; freeaddrinfo.
 * ERRORS: -ENOENT no such host; -ETIMEDOUT the name server does not answer; -ENOMEM.
 */
int pr_verbs_address_resolve(const struct pr_verbs_address *address, bool passive,
                             struct addrinfo **out);

#endif
