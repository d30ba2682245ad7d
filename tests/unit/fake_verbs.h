/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMA devices that exist only in a test: what `pagerail devices` asks of libibverbs. */
#ifndef PR_TESTS_UNIT_FAKE_VERBS_H
#define PR_TESTS_UNIT_FAKE_VERBS_H

#include "cli/devices.h"

struct fake_gid {
    unsigned port, index;
    enum ibv_gid_type type;
    const char *address; /* IPv6, or IPv4 that becomes a mapped address */
};

struct fake_device {
    const char *name;
    int open_errno;  /* opening fails with it */
    int query_errno; /* querying the device fails with it */
    int port_errno;  /* querying a port fails with it */
    unsigned ports;
    struct ibv_port_attr port[2];
    unsigned gids;
    struct fake_gid gid[6];
};

/* The devices that fake_verbs lists from now on; they must stay. count 0: an empty list; NULL: the
 * kernel has no RDMA at all. */
void fake_verbs_set(const struct fake_device *devices, unsigned count);

/* How many devices are open, and lists are handed out: 0 after a well-behaved caller. */
int fake_verbs_held(void);

extern const struct pr_verbs_ops fake_verbs;

#endif
