/* SPDX-License-Identifier: BSD-2-Clause */
#include "numa/place.h"

#include <numa.h>
#include <numaif.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* The only node of a set, or -1. */
static int single_node(const struct bitmask *nodes)
{
    int found = -1;
    for (unsigned node = 0; node < nodes->size; node++) {
        if (!numa_bitmask_isbitset(nodes, node))
            continue;
        if (found >= 0)
            return -1;
        found = (int)node;
    }
    return found;
}

static int node_by_policy(void *page)
{
    struct bitmask *nodes = numa_allocate_nodemask();
    int mode, node = -1;
    if (!get_mempolicy(&mode, nodes->maskp, nodes->size + 1, page, MPOL_F_ADDR) &&
        (mode == MPOL_BIND || mode == MPOL_PREFERRED))
        node = single_node(nodes);
    numa_free_nodemask(nodes);
    return node;
}

int pr_numa_node_of_memory(const void *addr)
{
    void *page = (void *)((uintptr_t)addr & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1));
    int status;
    if (numa_available() < 0)
        return -1;
    if (!numa_move_pages(0, 1, &page, NULL, &status, 0) && status >= 0)
        return status;
    return node_by_policy(page);
}

/* Takes out of `processors` what the other set has not. Returns how many are left. */
static unsigned keep_common(struct bitmask *processors, const struct bitmask *other)
{
    for (unsigned i = 0; i < processors->size; i++)
        if (!numa_bitmask_isbitset(other, i))
            numa_bitmask_clearbit(processors, i);
    return numa_bitmask_weight(processors);
}

struct pr_numa_visit pr_numa_visit(int node)
{
    struct pr_numa_visit visit = {NULL};
    if (node < 0 || numa_available() < 0 || numa_num_configured_nodes() < 2)
        return visit;
    struct bitmask *before = numa_allocate_cpumask(), *there = numa_allocate_cpumask();
    if (numa_sched_getaffinity(0, before) > 0 && !numa_node_to_cpus(node, there) &&
        keep_common(there, before) && !numa_sched_setaffinity(0, there))
        visit.processors = before;
    else
        numa_free_cpumask(before);
    numa_free_cpumask(there);
    return visit;
}

void pr_numa_return(struct pr_numa_visit *visit)
{
    if (!visit->processors)
        return;
    numa_sched_setaffinity(0, visit->processors);
    numa_free_cpumask(visit->processors);
    visit->processors = NULL;
}
