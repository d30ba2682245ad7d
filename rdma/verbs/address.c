/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/address.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, const char *port, char *out, size_t size)
{
    size_t len = strlen(port);
    if (!len)
        return pr_error(EINVAL, "'%s' has no port: write host:port, e.g. 192.0.2.1:4444", text);
    if (strspn(port, "0123456789") != len || len >= size || atoi(port) < 1 || atoi(port) > 65535)
        return pr_error(EINVAL, "'%s' is no port: give a number from 1 to 65535", port);
    memcpy(out, port, len + 1);
    return 0;
}

static int set_host(struct pr_verbs_address *out, const char *text, const char *host, size_t len)
{
    if (!len)
        return pr_error(EINVAL,
                        "'%s' has no host: write host:port; 0.0.0.0:port listens at all "
                        "IPv4 addresses",
                        text);
    if (len > PR_VERBS_HOST_MAX)
        return pr_error(EINVAL, "a host name has at most %d bytes, not %zu", PR_VERBS_HOST_MAX,
                        len);
    memcpy(out->host, host, len);
    out->host[len] = 0;
    return 0;
}

static int parse_bracketed(const char *text, struct pr_verbs_address *out)
{
    const char *end = strchr(text, ']');
    if (!end)
        return pr_error(EINVAL, "'%s' has no closing bracket: write [IPv6 address]:port", text);
    if (end[1] != ':')
        return pr_error(EINVAL, "'%s' has no port: write [IPv6 address]:port", text);
    int err = set_host(out, text, text + 1, (size_t)(end - text) - 1);
    return err ? err : parse_port(text, end + 2, out->port, sizeof(out->port));
}

int pr_verbs_address_parse(const char *text, struct pr_verbs_address *out)
{
    if (!*text)
        return pr_error(EINVAL, "the address is empty: write host:port, e.g. 192.0.2.1:4444");
    if (*text == '[')
        return parse_bracketed(text, out);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return pr_error(EINVAL, "'%s' has no port: write host:port, e.g. 192.0.2.1:4444", text);
    if (strchr(text, ':') != colon)
        return pr_error(EINVAL,
                        "'%s' has more than one colon: an IPv6 address needs brackets, "
                        "[address]:port",
                        text);
    int err = set_host(out, text, text, (size_t)(colon - text));
    return err ? err : parse_port(text, colon + 1, out->port, sizeof(out->port));
}

int pr_verbs_address_resolve(const struct pr_verbs_address *address, bool passive,
                             struct addrinfo **out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0),
                             .ai_socktype = SOCK_STREAM};
    switch (getaddrinfo(address->host, address->port, &hints, out)) {
    case 0:
        return 0;
    case EAI_MEMORY:
        return pr_error(ENOMEM, "no memory to look up %s", address->host);
    case EAI_AGAIN:
        return pr_error(ETIMEDOUT,
                        "the name server does not answer about %s: try again, or write "
                        "the address as a number",
                        address->host);
    default:
        return pr_error(ENOENT,
                        "there is no host %s: check the name, or write the address as a "
                        "number",
                        address->host);
    }
}
