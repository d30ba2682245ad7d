/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hwloc says which nodes and processors there are (it knows about cgroups and odd firmware). What
 * changes while the machine runs, free memory and huge pages, and where a device sits come from
 * sysfs, whose files are read here.
 */
#include "numa/topology.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pr_topology {
    char sysfs[PATH_MAX]; /* without links, so that the walk up from a device ends there */
    unsigned nodes;
    struct pr_numa_node node[];
};

/* Opens <sysfs>/<formatted path>; NULL when there is no such file. */
static FILE *sysfs_open(const struct pr_topology *topology, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static FILE *sysfs_open(const struct pr_topology *topology, const char *format, ...)
{
    char path[PATH_MAX];
    size_t root_len = strlen(topology->sysfs);
    memcpy(path, topology->sysfs, root_len);
    path[root_len] = '/';
    va_list ap;
    va_start(ap, format);
    int len = vsnprintf(path + root_len + 1, sizeof(path) - root_len - 1, format, ap);
    va_end(ap);
    return len > 0 && (size_t)len < sizeof(path) - root_len - 1 ? fopen(path, "re") : NULL;
}

/* A file that holds one number; `missing` when it does not. */
static int64_t sysfs_number(FILE *file, int64_t missing)
{
    long long value;
    if (!file)
        return missing;
    if (fscanf(file, "%lld", &value) != 1)
        value = missing;
    fclose(file);
    return value;
}

/* Lines are "Node 0 MemFree:        4668196 kB". */
static void read_memory(const struct pr_topology *topology, struct pr_numa_node *node)
{
    char line[256];
    unsigned long long kib;
    FILE *file = sysfs_open(topology, "devices/system/node/node%u/meminfo", node->id);
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Node %*u MemTotal: %llu", &kib) == 1)
            node->memory_bytes = kib * 1024;
        else if (sscanf(line, "Node %*u MemFree: %llu", &kib) == 1)
            node->free_bytes = kib * 1024;
    }
    fclose(file);
}

static int by_page_size(const void *a, const void *b)
{
    uint64_t left = ((const struct pr_numa_hugepages *)a)->page_bytes;
    uint64_t right = ((const struct pr_numa_hugepages *)b)->page_bytes;
    return (left > right) - (left < right);
}

static void read_hugepages_of(const struct pr_topology *topology, struct pr_numa_node *node,
                              uint64_t page_kib)
{
    static const char format[] = "devices/system/node/node%u/hugepages/hugepages-%llukB/%s";
    unsigned long long kib = page_kib;
    if (node->hugepage_sizes == PR_NUMA_HUGEPAGES_MAX)
        return;
    node->hugepages[node->hugepage_sizes++] = (struct pr_numa_hugepages){
        .page_bytes = page_kib * 1024,
        .total =
            (uint64_t)sysfs_number(sysfs_open(topology, format, node->id, kib, "nr_hugepages"), 0),
        .free = (uint64_t)sysfs_number(
            sysfs_open(topology, format, node->id, kib, "free_hugepages"), 0),
    };
}

static void read_hugepages(const struct pr_topology *topology, struct pr_numa_node *node)
{
    char path[PATH_MAX + 64];
    unsigned long long kib;
    snprintf(path, sizeof(path), "%s/devices/system/node/node%u/hugepages", topology->sysfs,
             node->id);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (sscanf(entry->d_name, "hugepages-%llukB", &kib) == 1)
            read_hugepages_of(topology, node, kib);
    }
    closedir(folder);
    qsort(node->hugepages, node->hugepage_sizes, sizeof(node->hugepages[0]), by_page_size);
}

static int read_node(const struct pr_topology *topology, hwloc_obj_t object,
                     struct pr_numa_node *out)
{
    char *list;
    if (hwloc_bitmap_list_asprintf(&list, object->cpuset) < 0)
        return pr_error(ENOMEM, "no memory for the NUMA topology");
    *out = (struct pr_numa_node){
        .id = object->os_index,
        .cpus = (unsigned)hwloc_bitmap_weight(object->cpuset),
        .list = list,
        .memory_bytes = object->attr->numanode.local_memory,
    };
    read_memory(topology, out);
    read_hugepages(topology, out);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    unsigned left = ((const struct pr_numa_node *)a)->id;
    unsigned right = ((const struct pr_numa_node *)b)->id;
    return (left > right) - (left < right);
}

static int read_nodes(hwloc_topology_t hwloc, const char *sysfs, struct pr_topology **out)
{
    unsigned nodes = (unsigned)hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_NUMANODE);
    struct pr_topology *topology = calloc(1, sizeof(*topology) + nodes * sizeof(topology->node[0]));
    if (!topology)
        return pr_error(ENOMEM, "no memory for the NUMA topology");
    /* No such folder: then no file below it either, which the readers take for "not told". */
    if (!realpath(sysfs, topology->sysfs))
        snprintf(topology->sysfs, sizeof(topology->sysfs), "%s", sysfs);
    int err = 0;
    hwloc_obj_t object = NULL;
    while (!err && (object = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, object))) {
        err = read_node(topology, object, &topology->node[topology->nodes]);
        topology->nodes += !err;
    }
    if (err) {
        pr_topology_close(topology);
        return err;
    }
    qsort(topology->node, topology->nodes, sizeof(topology->node[0]), by_id);
    *out = topology;
    return 0;
}

static int load(hwloc_topology_t hwloc, const char *synthetic)
{
    if (synthetic && hwloc_topology_set_synthetic(hwloc, synthetic))
        return pr_error(EINVAL, "'%s' describes no topology to hwloc", synthetic);
    /* Caches are not needed. What nodes hang on is: without packages and groups hwloc gives every
     * node all processors. */
    hwloc_topology_set_cache_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(hwloc))
        return pr_error(EIO, "hwloc cannot read this machine's topology: is /sys mounted?");
    return 0;
}

int pr_topology_open(const struct pr_topology_source *source, struct pr_topology **out)
{
    hwloc_topology_t hwloc;
    if (hwloc_topology_init(&hwloc))
        return pr_error(ENOMEM, "no memory for the NUMA topology");
    int err = load(hwloc, source ? source->synthetic : NULL);
    if (!err)
        err = read_nodes(hwloc, source && source->sysfs ? source->sysfs : "/sys", out);
    hwloc_topology_destroy(hwloc);
    return err;
}

void pr_topology_close(struct pr_topology *topology)
{
    if (!topology)
        return;
    for (unsigned i = 0; i < topology->nodes; i++)
        free((char *)topology->node[i].list);
    free(topology);
}

unsigned pr_topology_nodes(const struct pr_topology *topology)
{
    return topology->nodes;
}

const struct pr_numa_node *pr_topology_node(const struct pr_topology *topology, unsigned index)
{
    return &topology->node[index];
}

/*
 * A network interface's device may be a virtio function, which has no node of its own: its PCI
 * parent has. A bridge above it answers for functions whose firmware says nothing.
 */
int pr_topology_node_of(const struct pr_topology *topology, const char *device)
{
    char path[2 * PATH_MAX], real[PATH_MAX];
    size_t root_len = strlen(topology->sysfs);
    snprintf(path, sizeof(path), "%s/%s", topology->sysfs, device);
    if (!realpath(path, real) || strncmp(real, topology->sysfs, root_len) != 0 ||
        real[root_len] != '/')
        return -1;
    while (strlen(real) > root_len) {
        int64_t id = sysfs_number(sysfs_open(topology, "%s/numa_node", real + root_len + 1), -1);
        if (id >= 0)
            return (int)id;
        *strrchr(real, '/') = '\0';
    }
    return topology->nodes == 1 ? (int)topology->node[0].id : -1;
}
