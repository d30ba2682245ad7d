/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "address.h"
#include "compat.h"

char *rdma_uri(const InetSocketAddress *address)
{
    bool ipv6 = strchr(address->host, ':');

    return g_strdup_printf(ipv6 ? "rdma:[%s]:%s" : "rdma:%s:%s",
                           *address->host ? address->host : "0.0.0.0", address->port);
}
