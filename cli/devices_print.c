/* SPDX-License-Identifier: BSD-2-Clause */
/* What `pagerail devices` found, for people. */
#include "cli/devices.h"
#include "cli/text.h"

#include <inttypes.h>
#include <string.h>

#define INDENT 2

static const char *number_text(int64_t number, char to[24])
{
    snprintf(to, 24, "%" PRId64, number);
    return to;
}

/* A node's id, or nothing when the machine does not say. */
static const char *node_text(int node, char to[24])
{
    return node < 0 ? NULL : number_text(node, to);
}

static const char *rate_text(uint64_t rate_Mbps, char to[24])
{
    if (!rate_Mbps)
        return NULL;
    unsigned tenths = (unsigned)(rate_Mbps % 1000 / 100);
    snprintf(to, 24, tenths ? "%" PRIu64 ".%u Gb/s" : "%" PRIu64 " Gb/s", rate_Mbps / 1000, tenths);
    return to;
}

static void add_port(struct pr_table *table, const struct pr_devices_rdma *device,
                     const struct pr_devices_port *port)
{
    char number[24], rate[24], mtu[24], node[24];
    const char *cells[] = {
        device->name,
        number_text(port->number, number),
        port->state,
        port->link_layer,
        rate_text(port->rate_Mbps, rate),
        port->mtu_bytes ? number_text(port->mtu_bytes, mtu) : NULL,
        node_text(port->node, node),
        port->netdev,
        device->software ? "software" : "",
    };
    pr_table_row(table, cells);
}

static int print_ports(const struct pr_devices *devices, FILE *to)
{
    static const char *const headers[] = {"device", "port", "state",  "link", "speed",
                                          "MTU",    "node", "netdev", "kind"};
    struct pr_table *table = pr_table_open(9, headers);
    for (unsigned i = 0; i < devices->rdmas; i++) {
        for (unsigned p = 0; p < devices->rdma[i].ports; p++)
            if (devices->rdma[i].port[p].state)
                add_port(table, &devices->rdma[i], &devices->rdma[i].port[p]);
    }
    int err = pr_table_print(table, INDENT, to);
    pr_table_close(table);
    return err;
}

static int print_gids(const struct pr_devices *devices, FILE *to)
{
    static const char *const headers[] = {"device", "port", "index", "type", "address"};
    struct pr_table *table = pr_table_open(5, headers);
    for (unsigned i = 0; i < devices->rdmas; i++) {
        const struct pr_devices_rdma *device = &devices->rdma[i];
        for (unsigned p = 0; p < device->ports; p++) {
            const struct pr_devices_port *port = &device->port[p];
            for (unsigned g = 0; g < port->gids; g++) {
                char number[24], index[24];
                const char *cells[] = {device->name, number_text(port->number, number),
                                       number_text(port->gid[g].index, index), port->gid[g].type,
                                       port->gid[g].address};
                pr_table_row(table, cells);
            }
        }
    }
    fputs("\nGIDs\n", to);
    int err = pr_table_print(table, INDENT, to);
    pr_table_close(table);
    return err;
}

static int print_rdma(const struct pr_devices *devices, FILE *to)
{
    if (!devices->rdmas) {
        fprintf(to,
                "There is no RDMA device (%s); the same-host fabric `local:` works without one.\n",
                devices->no_rdma);
        return 0;
    }
    fputs("RDMA devices\n", to);
    int err = print_ports(devices, to);
    for (unsigned i = 0; i < devices->rdmas; i++) {
        if (devices->rdma[i].problem[0])
            fprintf(to, "  %s is not usable: %s\n", devices->rdma[i].name,
                    devices->rdma[i].problem);
    }
    return err ? err : print_gids(devices, to);
}

static int print_nodes(const struct pr_topology *topology, FILE *to)
{
    static const char *const headers[] = {"node", "CPUs", "memory", "free"};
    struct pr_table *table = pr_table_open(4, headers);
    for (unsigned i = 0; i < pr_topology_nodes(topology); i++) {
        const struct pr_numa_node *node = pr_topology_node(topology, i);
        char id[24], memory[PR_SIZE_TEXT_MAX], left[PR_SIZE_TEXT_MAX];
        const char *cells[] = {number_text(node->id, id), node->list,
                               pr_size_text(node->memory_bytes, memory),
                               pr_size_text(node->free_bytes, left)};
        pr_table_row(table, cells);
    }
    fputs("\nNUMA nodes\n", to);
    int err = pr_table_print(table, INDENT, to);
    pr_table_close(table);
    return err;
}

/* Sizes without a page of them on any node are left out. */
static int print_hugepages(const struct pr_topology *topology, FILE *to)
{
    static const char *const headers[] = {"node", "page", "total", "free"};
    struct pr_table *table = pr_table_open(4, headers);
    unsigned rows = 0;
    for (unsigned i = 0; i < pr_topology_nodes(topology); i++) {
        const struct pr_numa_node *node = pr_topology_node(topology, i);
        for (unsigned h = 0; h < node->hugepage_sizes; h++) {
            const struct pr_numa_hugepages *pages = &node->hugepages[h];
            char id[24], page[PR_SIZE_TEXT_MAX], total[24], left[24];
            const char *cells[] = {
                number_text(node->id, id),
                pr_size_text(pages->page_bytes, page),
                number_text((int64_t)pages->total, total),
                number_text((int64_t)pages->free, left),
            };
            if (pages->total)
                pr_table_row(table, cells);
            rows += pages->total != 0;
        }
    }
    fputs(rows ? "\nHuge pages\n" : "\nHuge pages: none are set aside\n", to);
    int err = rows ? pr_table_print(table, INDENT, to) : 0;
    pr_table_close(table);
    return err;
}

static const char *limit_text(uint64_t bytes, char to[PR_SIZE_TEXT_MAX])
{
    return bytes == UINT64_MAX ? "unlimited" : pr_size_text(bytes, to);
}

static const char *memlock_advice(const struct pr_devices *devices)
{
    if (devices->memlock_lifted)
        return "CAP_IPC_LOCK lifts it";
    if (devices->memlock_soft_bytes == UINT64_MAX)
        return "nothing to raise";
    return "RDMA pins guest memory: raise it with `ulimit -l` or the service's LimitMEMLOCK=";
}

int pr_devices_print(const struct pr_devices *devices, FILE *to)
{
    char soft[PR_SIZE_TEXT_MAX], hard[PR_SIZE_TEXT_MAX];
    int err = print_rdma(devices, to);
    if (!err)
        err = print_nodes(devices->topology, to);
    if (!err)
        err = print_hugepages(devices->topology, to);
    if (err)
        return err;
    fprintf(to, "\nLimits of this process\n");
    fprintf(to, "  pinned memory        %s soft, %s hard; %s\n",
            limit_text(devices->memlock_soft_bytes, soft),
            limit_text(devices->memlock_hard_bytes, hard), memlock_advice(devices));
    fprintf(to, "  same-host `local:`   %s: %s\n",
            devices->vm_write.allowed ? "allowed" : "refused", devices->vm_write.reason);
    fprintf(to, "  IOMMU                %s\n", devices->iommus[0] ? devices->iommus : "none is on");
    fprintf(to, "  cgroup's rdma.max    %s\n",
            devices->rdma_cgroup[0] ? devices->rdma_cgroup : "no limit");
    return 0;
}
