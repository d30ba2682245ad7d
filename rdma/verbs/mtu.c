/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/mtu.h"

#include "base/error.h"

#include <errno.h>

uint8_t pr_verbs_port_mtu(const struct rdma_cm_id *id)
{
    struct ibv_port_attr port;
    if (id->verbs->device->transport_type == IBV_TRANSPORT_IWARP ||
        ibv_query_port(id->verbs, id->port_num, &port) ||
        port.link_layer != IBV_LINK_LAYER_ETHERNET)
        return 0;
    return (uint8_t)port.active_mtu;
}

int pr_verbs_mtu_check(uint8_t theirs, uint8_t ours)
{
    unsigned their_bytes = pr_verbs_mtu_bytes(theirs), our_bytes = pr_verbs_mtu_bytes(ours);
    if (!their_bytes || !our_bytes || their_bytes <= our_bytes)
        return 0;
    return pr_error(EMSGSIZE,
                    "MTU mismatch: the source sends packets of %u bytes, this port takes %u: give "
                    "both network interfaces the same MTU",
                    their_bytes, our_bytes);
}

unsigned pr_verbs_mtu_bytes(enum ibv_mtu mtu)
{
    return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128u << mtu : 0;
}
