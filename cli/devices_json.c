/* SPDX-License-Identifier: BSD-2-Clause */
/* What `pagerail devices` found, for programs. pagerail-devices(1) documents every key. */
#include "cli/devices.h"
#include "cli/json.h"

static struct json_object *gid_json(const struct pr_devices_gid *gid)
{
    struct json_object *object = json_object_new_object();
    pr_json_add_u64(object, "index", gid->index);
    pr_json_add_text(object, "type", gid->type);
    pr_json_add_text(object, "address", gid->address);
    return object;
}

static struct json_object *port_json(const struct pr_devices_port *port)
{
    struct json_object *object = json_object_new_object();
    struct json_object *gids = json_object_new_array();
    pr_json_add_u64(object, "port", port->number);
    pr_json_add_text(object, "state", port->state);
    pr_json_add_text(object, "link_layer", port->link_layer);
    pr_json_add_u64(object, "rate_mbps", port->rate_Mbps);
    pr_json_add_u64(object, "mtu_bytes", port->mtu_bytes);
    pr_json_add_text(object, "netdev", port->netdev[0] ? port->netdev : NULL);
    pr_json_add_node(object, "numa_node", port->node);
    for (unsigned i = 0; i < port->gids; i++)
        json_object_array_add(gids, gid_json(&port->gid[i]));
    json_object_object_add(object, "gids", gids);
    return object;
}

static struct json_object *rdma_json(const struct pr_devices_rdma *device)
{
    struct json_object *object = json_object_new_object();
    struct json_object *ports = json_object_new_array();
    pr_json_add_text(object, "name", device->name);
    json_object_object_add(object, "software", json_object_new_boolean(device->software));
    pr_json_add_node(object, "numa_node", device->node);
    pr_json_add_text(object, "problem", device->problem[0] ? device->problem : NULL);
    for (unsigned i = 0; i < device->ports; i++) {
        if (device->port[i].state)
            json_object_array_add(ports, port_json(&device->port[i]));
    }
    json_object_object_add(object, "ports", ports);
    return object;
}

static struct json_object *node_json(const struct pr_numa_node *node)
{
    struct json_object *object = json_object_new_object();
    struct json_object *sizes = json_object_new_array();
    pr_json_add_u64(object, "node", node->id);
    pr_json_add_u64(object, "cpu_count", node->cpus);
    pr_json_add_text(object, "cpus", node->list);
    pr_json_add_u64(object, "memory_bytes", node->memory_bytes);
    pr_json_add_u64(object, "free_bytes", node->free_bytes);
    for (unsigned i = 0; i < node->hugepage_sizes; i++) {
        struct json_object *size = json_object_new_object();
        pr_json_add_u64(size, "page_bytes", node->hugepages[i].page_bytes);
        pr_json_add_u64(size, "total", node->hugepages[i].total);
        pr_json_add_u64(size, "free", node->hugepages[i].free);
        json_object_array_add(sizes, size);
    }
    json_object_object_add(object, "hugepages", sizes);
    return object;
}

static struct json_object *memlock_json(const struct pr_devices *devices)
{
    struct json_object *object = json_object_new_object();
    pr_json_add_limit(object, "soft_bytes", devices->memlock_soft_bytes);
    pr_json_add_limit(object, "hard_bytes", devices->memlock_hard_bytes);
    json_object_object_add(object, "lifted", json_object_new_boolean(devices->memlock_lifted));
    return object;
}

static struct json_object *local_json(const struct pr_devices_vm_write *vm_write)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "allowed", json_object_new_boolean(vm_write->allowed));
    pr_json_add_text(object, "reason", vm_write->reason);
    return object;
}

int pr_devices_print_json(const struct pr_devices *devices, FILE *to)
{
    struct json_object *object = json_object_new_object();
    struct json_object *rdma = json_object_new_array();
    struct json_object *nodes = json_object_new_array();
    pr_json_add_text(object, "schema", "pagerail-devices-1");
    for (unsigned i = 0; i < devices->rdmas; i++)
        json_object_array_add(rdma, rdma_json(&devices->rdma[i]));
    json_object_object_add(object, "rdma_devices", rdma);
    pr_json_add_text(object, "no_rdma_reason", devices->no_rdma);
    for (unsigned i = 0; i < pr_topology_nodes(devices->topology); i++)
        json_object_array_add(nodes, node_json(pr_topology_node(devices->topology, i)));
    json_object_object_add(object, "numa_nodes", nodes);
    json_object_object_add(object, "pinned_memory", memlock_json(devices));
    json_object_object_add(object, "local_fabric", local_json(&devices->vm_write));
    pr_json_add_text(object, "iommus", devices->iommus);
    pr_json_add_text(object, "rdma_cgroup", devices->rdma_cgroup);
    return pr_json_print(object, to);
}
