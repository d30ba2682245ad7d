/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMA devices and their ports. Verbs tells what the device can do; sysfs tells what it belongs to:
 * its network interface and, by that interface or by itself, its NUMA node.
 */
#include "cli/devices.h"
#include "cli/sysfile.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ibv_query_port and ibv_query_gid_table are macros or inline functions. */
static int real_query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *out)
{
    return ibv_query_port(context, port, out);
}

static ssize_t real_query_gid_table(struct ibv_context *context, struct ibv_gid_entry *out,
                                    size_t max)
{
    return ibv_query_gid_table(context, out, max, 0);
}

const struct pr_verbs_ops pr_verbs_real = {
    .get_device_list = ibv_get_device_list,
    .free_device_list = ibv_free_device_list,
    .get_device_name = ibv_get_device_name,
    .open_device = ibv_open_device,
    .close_device = ibv_close_device,
    .query_device = ibv_query_device,
    .query_port = real_query_port,
    .query_gid_table = real_query_gid_table,
};

uint64_t pr_devices_rate_Mbps(unsigned width, unsigned speed)
{
    static const struct {
        unsigned code;
        unsigned value;
    } widths[] = {{1, 1}, {2, 4}, {4, 8}, {8, 12}, {16, 2}}, lane_kbps[] = {
                                                                 {1, 2500000},     /* SDR */
                                                                 {2, 5000000},     /* DDR */
                                                                 {4, 10000000},    /* QDR */
                                                                 {8, 10312500},    /* FDR10 */
                                                                 {16, 14062500},   /* FDR */
                                                                 {32, 25000000},   /* EDR */
                                                                 {64, 50000000},   /* HDR */
                                                                 {128, 100000000}, /* NDR */
                                                                 {256, 200000000}, /* XDR */
                                                             };
    uint64_t lanes = 0, kbps = 0;
    for (unsigned i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        lanes = widths[i].code == width ? widths[i].value : lanes;
    for (unsigned i = 0; i < sizeof(lane_kbps) / sizeof(lane_kbps[0]); i++)
        kbps = lane_kbps[i].code == speed ? lane_kbps[i].value : kbps;
    return lanes * kbps / 1000;
}

static const char *state_name(enum ibv_port_state state)
{
    static const char *const names[] = {"unknown", "down",   "initializing",
                                        "armed",   "active", "active, deferred"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static const char *gid_type_name(uint32_t type)
{
    static const char *const names[] = {"IB", "RoCE v1", "RoCE v2"};
    return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

/* An IPv4 address in a GID is shown as such: it is what people pass to other tools. */
static void gid_text(const union ibv_gid *gid, char to[INET6_ADDRSTRLEN])
{
    struct in6_addr address;
    memcpy(&address, gid->raw, sizeof(address));
    if (IN6_IS_ADDR_V4MAPPED(&address))
        inet_ntop(AF_INET, &gid->raw[12], to, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, &address, to, INET6_ADDRSTRLEN);
}

/* The interface in the folder device/net whose dev_port is this port's. */
static void netdev_of_function(const char *sysfs, const char *device, unsigned port, char *to)
{
    char path[PATH_MAX], text[16];
    snprintf(path, sizeof(path), "%s/class/infiniband/%s/device/net", sysfs, device);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; !*to && (entry = readdir(folder));) {
        if (strlen(entry->d_name) < IF_NAMESIZE &&
            pr_sysfile_line(text, sizeof(text), path, "%s/dev_port", entry->d_name) &&
            (unsigned)atoi(text) == port - 1)
            snprintf(to, IF_NAMESIZE, "%s", entry->d_name);
    }
    closedir(folder);
}

/* The port's network interface; "" when it has none. A RoCE port names it beside each GID, a
 * software device as its parent, and an InfiniBand port shares its PCI function with it. */
static void find_netdev(const char *sysfs, const char *device, struct pr_devices_port *port)
{
    static const char root[] = "class/infiniband";
    for (unsigned i = 0; i < port->gids && !port->netdev[0]; i++)
        pr_sysfile_line(port->netdev, sizeof(port->netdev), sysfs,
                        "%s/%s/ports/%u/gid_attrs/ndevs/%u", root, device, port->number,
                        port->gid[i].index);
    if (!port->netdev[0])
        pr_sysfile_line(port->netdev, sizeof(port->netdev), sysfs, "%s/%s/parent", root, device);
    if (!port->netdev[0])
        netdev_of_function(sysfs, device, port->number, port->netdev);
}

static int node_of(const struct pr_topology *topology, const char *format, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), format, name);
    return pr_topology_node_of(topology, path);
}

/* libibverbs before XDR has no room for its speed; the kernel's text has: "800 Gb/sec (4X XDR)". */
static uint64_t rate_of(const char *sysfs, const char *device, unsigned port,
                        const struct ibv_port_attr *attr)
{
    char text[64];
    unsigned speed = attr->active_speed;
#ifdef PR_HAVE_ACTIVE_SPEED_EX
    speed = attr->active_speed_ex ? attr->active_speed_ex : speed;
#endif
    uint64_t rate = pr_devices_rate_Mbps(attr->active_width, speed);
    if (!rate && pr_sysfile_line(text, sizeof(text), sysfs, "class/infiniband/%s/ports/%u/rate",
                                 device, port)) {
        double Gbps = strtod(text, NULL);
        rate = Gbps > 0 && Gbps < 1e6 ? (uint64_t)(Gbps * 1000) : 0;
    }
    return rate;
}

static int copy_gids(struct pr_devices_port *port, const struct ibv_gid_entry *entries,
                     size_t count)
{
    port->gid = calloc(count + 1, sizeof(*port->gid));
    if (!port->gid)
        return pr_error(ENOMEM, "no memory for the list of GIDs");
    for (size_t i = 0; i < count; i++) {
        if (entries[i].port_num != port->number)
            continue;
        struct pr_devices_gid *gid = &port->gid[port->gids++];
        gid->index = entries[i].gid_index;
        gid->type = gid_type_name(entries[i].gid_type);
        gid_text(&entries[i].gid, gid->address);
    }
    return 0;
}

static int read_port(const struct pr_devices_source *source, struct ibv_context *context,
                     const struct pr_topology *topology, const struct pr_devices_rdma *device,
                     const struct ibv_gid_entry *entries, size_t count,
                     struct pr_devices_port *port)
{
    struct ibv_port_attr attr = {0};
    int err = source->verbs->query_port(context, (uint8_t)port->number, &attr);
    if (err)
        return pr_error(err, "port %u cannot be queried: %s", port->number, strerror(err));
    port->state = state_name(attr.state);
    port->link_layer = attr.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand";
    port->rate_Mbps = rate_of(source->sysfs, device->name, port->number, &attr);
    port->mtu_bytes = attr.active_mtu >= IBV_MTU_256 ? 128u << attr.active_mtu : 0;
    err = copy_gids(port, entries, count);
    if (err)
        return err;
    find_netdev(source->sysfs, device->name, port);
    port->node = device->node;
    if (port->node < 0 && port->netdev[0])
        port->node = node_of(topology, "class/net/%s/device", port->netdev);
    return 0;
}

/* The ports of an open device. */
static int read_ports(const struct pr_devices_source *source, struct ibv_context *context,
                      const struct pr_topology *topology, struct pr_devices_rdma *device)
{
    enum { GIDS_MAX = 1024 };
    struct ibv_device_attr attr = {0};
    int err = source->verbs->query_device(context, &attr);
    if (err)
        return pr_error(err, "it cannot be queried: %s", strerror(err));
    struct ibv_gid_entry *entries = calloc(GIDS_MAX, sizeof(*entries));
    device->port = calloc((size_t)attr.phys_port_cnt + 1, sizeof(*device->port));
    if (!entries || !device->port) {
        free(entries);
        return pr_error(ENOMEM, "no memory for the list of ports");
    }
    ssize_t count = source->verbs->query_gid_table(context, entries, GIDS_MAX);
    while (!err && device->ports < attr.phys_port_cnt) {
        struct pr_devices_port *port = &device->port[device->ports];
        port->number = ++device->ports;
        port->node = -1;
        err = read_port(source, context, topology, device, entries, count < 0 ? 0 : (size_t)count,
                        port);
    }
    free(entries);
    return err;
}

static int read_device(const struct pr_devices_source *source, struct ibv_device *verbs_device,
                       const struct pr_topology *topology, struct pr_devices_rdma *device)
{
    char path[PATH_MAX];
    snprintf(device->name, sizeof(device->name), "%s",
             source->verbs->get_device_name(verbs_device));
    snprintf(path, sizeof(path), "%s/class/infiniband/%s/device", source->sysfs, device->name);
    device->software = access(path, F_OK) != 0;
    device->node = node_of(topology, "class/infiniband/%s/device", device->name);
    errno = 0;
    struct ibv_context *context = source->verbs->open_device(verbs_device);
    if (!context)
        return pr_error(errno, "it cannot be opened: %s (may this user open /dev/infiniband?)",
                        strerror(errno));
    int err = read_ports(source, context, topology, device);
    source->verbs->close_device(context);
    return err;
}

/* Why verbs lists nothing: the kernel has no device, or user space cannot drive those it has. */
static const char *why_none(const char *sysfs)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/class/infiniband", sysfs);
    DIR *folder = opendir(path);
    if (!folder)
        return "the kernel has no RDMA support loaded";
    bool some = false;
    for (struct dirent *entry; !some && (entry = readdir(folder));)
        some = entry->d_name[0] != '.';
    closedir(folder);
    return some ? "the kernel has one, but libibverbs cannot use it: load ib_uverbs and install "
                  "ibverbs-providers"
                : "the kernel knows none: load the NIC's driver, or rdma_rxe and `rdma link add`";
}

static int read_devices(const struct pr_devices_source *source, struct ibv_device **list,
                        unsigned count, struct pr_devices *out)
{
    out->rdma = calloc(count, sizeof(*out->rdma));
    if (!out->rdma)
        return pr_error(ENOMEM, "no memory for the list of devices");
    for (unsigned i = 0; i < count; i++) {
        struct pr_devices_rdma *device = &out->rdma[out->rdmas++];
        if (read_device(source, list[i], out->topology, device))
            snprintf(device->problem, sizeof(device->problem), "%s", pr_error_message());
    }
    return 0;
}

int pr_devices_collect_rdma(const struct pr_devices_source *source, struct pr_devices *out)
{
    int count = 0, err = 0;
    struct ibv_device **list = source->verbs->get_device_list(&count);
    if (list && count > 0)
        err = read_devices(source, list, (unsigned)count, out);
    else
        out->no_rdma = why_none(source->sysfs);
    if (list)
        source->verbs->free_device_list(list);
    return err;
}
