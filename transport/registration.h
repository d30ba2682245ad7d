/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering one window, beside its memory. Both sides do it, each for a table of its own. */
#ifndef PR_TRANSPORT_REGISTRATION_H
#define PR_TRANSPORT_REGISTRATION_H

#include "rdma/fabric.h"

/* What registrations took; any number of threads add to it. */
struct pr_registration_cost {
    _Atomic uint64_t ns;
    _Atomic uint64_t cpu_ns; /* processor time */
};

/* As pr_fabric_reg, on a processor of the node that the memory is on, if that is known. */
int pr_registration_make(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
                         struct pr_registration_cost *cost, struct pr_mr **out);

#endif
