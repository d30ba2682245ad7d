/* SPDX-License-Identifier: BSD-2-Clause */
/* What carries rdma:host:port: RDMA devices, or the same-host fabric. Pure. */
#ifndef PR_TRANSPORT_CHOICE_H
#define PR_TRANSPORT_CHOICE_H

#include <pagerail/options.h>
#include <stdbool.h>

/* Where the host of an address is. */
enum pr_host_place {
    PR_HOST_LOOPBACK,  /* 127.0.0.1, ::1: no RDMA device ever has these */
    PR_HOST_ANY,       /* 0.0.0.0, ::: all addresses of this machine */
    PR_HOST_OWN,       /* an address of this machine */
    PR_HOST_ELSEWHERE, /* another machine */
};

enum pr_carrier { PR_CARRIER_VERBS, PR_CARRIER_LOCAL, PR_CARRIER_NONE };

/* asked: enum pagerail_fabric. device: an RDMA device of this machine can be used; looked at for
 * PAGERAIL_FABRIC_AUTO only. */
enum pr_carrier pr_carrier_choose(uint32_t asked, enum pr_host_place place, bool device);

#endif
