/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/registration.h"

#include "base/runtime.h"
#include "numa/place.h"

int pr_registration_make(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
                         struct pr_registration_cost *cost, struct pr_mr **out)
{
    uint64_t start = pr_now_ns(), cpu = pr_thread_cpu_ns();
    struct pr_numa_visit visit = pr_numa_visit(pr_numa_node_of_memory(addr));
    int err = pr_fabric_reg(fabric, addr, len, access, out);
    pr_numa_return(&visit);
    atomic_fetch_add(&cost->ns, pr_now_ns() - start);
    atomic_fetch_add(&cost->cpu_ns, pr_thread_cpu_ns() - cpu);
    return err;
}
