/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From QEMU's rdma:host:port to the URI of a session. */
#ifndef PAGERAIL_GLUE_ADDRESS_H
#define PAGERAIL_GLUE_ADDRESS_H

#include "qapi/qapi-types-sockets.h"

/* The caller's; g_free. */
char *rdma_uri(const InetSocketAddress *address);

#endif
