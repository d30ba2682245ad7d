/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NUMA nodes of this machine: their processors, memory and huge pages, and which of them a
 * device sits at. A snapshot: nothing changes until it is closed, so any thread may read it.
 */
#ifndef PR_NUMA_TOPOLOGY_H
#define PR_NUMA_TOPOLOGY_H

#include <stdint.h>

struct pr_topology; /* opaque */

/* Where to look. Zero means this machine; tests give a made-up one. */
struct pr_topology_source {
    const char *sysfs;     /* instead of "/sys" */
    const char *synthetic; /* hwloc's description of nodes and processors, "pack:2 [numa] pu:4" */
};

struct pr_numa_hugepages {
    uint64_t page_bytes;
    uint64_t total; /* pages */
    uint64_t free;  /* pages */
};

#define PR_NUMA_HUGEPAGES_MAX 8

struct pr_numa_node {
    unsigned id;      /* the kernel's number */
    unsigned cpus;    /* how many processors, 0 for a node of memory only */
    const char *list; /* which, as "0-3,8-11"; the topology's */
    uint64_t memory_bytes;
    uint64_t free_bytes;
    unsigned hugepage_sizes; /* entries used below, smallest page first */
    struct pr_numa_hugepages hugepages[PR_NUMA_HUGEPAGES_MAX];
};

/*
 * Takes the snapshot. source: NULL for this machine.
 * ERRORS: -ENOMEM; -EINVAL the synthetic description makes no sense; -EIO hwloc cannot read the
 * machine.
 */
int pr_topology_open(const struct pr_topology_source *source, struct pr_topology **out);

/* NULL is allowed. */
void pr_topology_close(struct pr_topology *topology);

/* Nodes are in the order of their ids, and there is at least one. */
unsigned pr_topology_nodes(const struct pr_topology *topology);
const struct pr_numa_node *pr_topology_node(const struct pr_topology *topology, unsigned index);

/*
 * The id of the node that a device sits at, or -1 when the machine does not say (or there is no
 * such device). device: its folder below sysfs, "bus/pci/devices/0000:3b:00.0",
 * "class/net/eth0/device". On a machine with one node, that node.
 */
int pr_topology_node_of(const struct pr_topology *topology, const char *device);

#endif
