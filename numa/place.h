/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work beside the memory that it is for: registering a window touches every page of it, and pages
 * that are not there yet come from the node of whoever touches them first.
 */
#ifndef PR_NUMA_PLACE_H
#define PR_NUMA_PLACE_H

struct bitmask; /* libnuma's */

/*
 * The node that holds the page at addr or, before it is there, the one that its policy binds it to;
 * -1 when neither says. Does not touch the page.
 */
int pr_numa_node_of_memory(const void *addr);

/* Where the calling thread was before. */
struct pr_numa_visit {
    struct bitmask *processors; /* NULL: it was not moved */
};

/*
 * Moves the calling thread to the processors of a node, of those that it may run on. It stays where
 * it is on a machine with one node, for node -1, and when it may run on none of that node's.
 * pr_numa_return undoes it.
 */
struct pr_numa_visit pr_numa_visit(int node);
void pr_numa_return(struct pr_numa_visit *visit);

#endif
