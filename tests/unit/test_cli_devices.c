/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/devices.h"

#include "tests/unit/check.h"
#include "tests/unit/fake_verbs.h"
#include "tests/unit/tree.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/resource.h>

#define TWO_NODES "pack:2 [numa(memory=16GiB)] core:4 pu:1"

static int make_tree(void **state)
{
    *state = tree_open();
    return 0;
}

static int remove_tree(void **state)
{
    tree_close(*state);
    return 0;
}

/* Collects from the tree, which serves as both sysfs and proc. */
static struct pr_devices collect(const char *tree)
{
    struct pr_devices_source source = {tree, tree, TWO_NODES, &fake_verbs};
    struct pr_devices devices;
    assert_int_equal(pr_devices_collect(&source, &devices), 0);
    assert_int_equal(fake_verbs_held(), 0);
    return devices;
}

#define PORT(link, state_, width, speed)                                                           \
    {                                                                                              \
        .state = (state_), .active_mtu = IBV_MTU_4096, .active_width = (width),                    \
        .active_speed = (speed), .link_layer = (link)                                              \
    }
#define ROCE IBV_LINK_LAYER_ETHERNET

static const struct fake_device rxe = {
    .name = "rxe0",
    .ports = 1,
    .port = {PORT(ROCE, IBV_PORT_ACTIVE, 1, 1)},
    .gids = 2,
    .gid = {{1, 0, IBV_GID_TYPE_ROCE_V2, "fe80::5054:ff:fe12:3456"},
            {1, 1, IBV_GID_TYPE_ROCE_V2, "192.0.2.7"}},
};

/* As on the rig: no `device` link; the interface is a virtio one on node 1. */
static void put_rxe(const char *tree)
{
    tree_put(tree, "class/infiniband/rxe0/parent", "eth0\n");
    tree_put(tree, "devices/pci0000:80/0000:80:02.0/numa_node", "1\n");
    tree_put(tree, "devices/pci0000:80/0000:80:02.0/virtio3/device", "1\n");
    tree_link(tree, "class/net/eth0/device", "../../../devices/pci0000:80/0000:80:02.0/virtio3");
}

static const struct fake_device mlx5 = {
    .name = "mlx5_0",
    .ports = 2,
    .port = {PORT(ROCE, IBV_PORT_ACTIVE, 2, 128), PORT(ROCE, IBV_PORT_DOWN, 2, 128)},
    .gids = 3,
    .gid = {{1, 0, IBV_GID_TYPE_ROCE_V1, "fe80::1"},
            {1, 3, IBV_GID_TYPE_ROCE_V2, "198.51.100.1"},
            {2, 0, IBV_GID_TYPE_ROCE_V2, "fe80::2"}},
};

static void put_mlx5(const char *tree)
{
    tree_put(tree, "devices/pci0000:80/0000:81:00.0/numa_node", "1\n");
    tree_link(tree, "class/infiniband/mlx5_0/device", "../../../devices/pci0000:80/0000:81:00.0");
    tree_put(tree, "class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0", "enp129s0f0np0\n");
    tree_put(tree, "class/infiniband/mlx5_0/ports/2/gid_attrs/ndevs/0", "enp129s0f1np1\n");
}

static void soft_roce_sits_where_its_interface_sits(void **state)
{
    const char *tree = *state;
    put_rxe(tree);
    fake_verbs_set(&rxe, 1);
    struct pr_devices devices = collect(tree);
    assert_int_equal(devices.rdmas, 1);
    assert_null(devices.no_rdma);
    const struct pr_devices_rdma *device = &devices.rdma[0];
    assert_string_equal(device->name, "rxe0");
    assert_string_equal(device->problem, "");
    assert_true(device->software);
    assert_int_equal(device->node, -1);
    assert_int_equal(device->ports, 1);
    const struct pr_devices_port *port = &device->port[0];
    assert_int_equal(port->number, 1);
    assert_string_equal(port->state, "active");
    assert_string_equal(port->link_layer, "Ethernet");
    assert_true(port->rate_Mbps == 2500);
    assert_int_equal(port->mtu_bytes, 4096);
    assert_string_equal(port->netdev, "eth0");
    assert_int_equal(port->node, 1);
    assert_int_equal(port->gids, 2);
    assert_string_equal(port->gid[0].address, "fe80::5054:ff:fe12:3456");
    assert_string_equal(port->gid[1].address, "192.0.2.7");
    assert_string_equal(port->gid[1].type, "RoCE v2");
    pr_devices_release(&devices);
}

static void each_port_has_its_state_and_interface(void **state)
{
    const char *tree = *state;
    put_mlx5(tree);
    fake_verbs_set(&mlx5, 1);
    struct pr_devices devices = collect(tree);
    const struct pr_devices_rdma *device = &devices.rdma[0];
    assert_false(device->software);
    assert_int_equal(device->node, 1);
    assert_int_equal(device->ports, 2);
    assert_string_equal(device->port[0].state, "active");
    assert_string_equal(device->port[0].netdev, "enp129s0f0np0");
    assert_true(device->port[0].rate_Mbps == 400000);
    assert_int_equal(device->port[0].node, 1);
    assert_int_equal(device->port[0].gids, 2);
    assert_int_equal(device->port[0].gid[1].index, 3);
    assert_string_equal(device->port[0].gid[0].type, "RoCE v1");
    assert_string_equal(device->port[1].state, "down");
    assert_string_equal(device->port[1].netdev, "enp129s0f1np1");
    assert_int_equal(device->port[1].gids, 1);
    assert_string_equal(device->port[1].gid[0].address, "fe80::2");
    pr_devices_release(&devices);
}

static void infiniband_ports_find_their_interface_by_number(void **state)
{
    static const struct fake_device device = {
        .name = "mlx5_ib",
        .ports = 2,
        .port = {PORT(IBV_LINK_LAYER_INFINIBAND, IBV_PORT_ACTIVE, 2, 64),
                 PORT(IBV_LINK_LAYER_INFINIBAND, IBV_PORT_INIT, 2, 64)},
        .gids = 1,
        .gid = {{1, 0, IBV_GID_TYPE_IB, "fe80::3"}},
    };
    const char *tree = *state;
    tree_put(tree, "class/infiniband/mlx5_ib/device/net/ib0/dev_port", "0\n");
    tree_put(tree, "class/infiniband/mlx5_ib/device/net/ib1/dev_port", "1\n");
    fake_verbs_set(&device, 1);
    struct pr_devices devices = collect(tree);
    const struct pr_devices_port *port = devices.rdma[0].port;
    assert_string_equal(port[0].netdev, "ib0");
    assert_string_equal(port[0].link_layer, "InfiniBand");
    assert_string_equal(port[0].gid[0].type, "IB");
    assert_true(port[0].rate_Mbps == 200000);
    assert_string_equal(port[1].netdev, "ib1");
    assert_string_equal(port[1].state, "initializing");
    assert_int_equal(port[1].node, -1);
    pr_devices_release(&devices);
}

/* A device that this user may not open, and one that fails later, do not hide a third. */
static void a_broken_device_is_listed_with_its_problem(void **state)
{
    struct fake_device fakes[] = {mlx5, mlx5, mlx5, rxe};
    const char *tree = *state;
    fakes[0].open_errno = EACCES;
    fakes[1].query_errno = EIO;
    fakes[2].port_errno = ENODEV;
    put_mlx5(tree);
    put_rxe(tree);
    fake_verbs_set(fakes, 4);
    struct pr_devices devices = collect(tree);
    assert_int_equal(devices.rdmas, 4);
    assert_non_null(strstr(devices.rdma[0].problem, "Permission denied"));
    assert_int_equal(devices.rdma[0].ports, 0);
    assert_non_null(strstr(devices.rdma[1].problem, "Input/output error"));
    assert_non_null(strstr(devices.rdma[2].problem, "port 1"));
    assert_string_equal(devices.rdma[3].problem, "");
    assert_string_equal(devices.rdma[3].port[0].netdev, "eth0");
    pr_devices_release(&devices);
}

static void no_device_says_why(void **state)
{
    const char *tree = *state;
    fake_verbs_set(NULL, 0);
    struct pr_devices devices = collect(tree);
    assert_int_equal(devices.rdmas, 0);
    assert_non_null(strstr(devices.no_rdma, "no RDMA support"));
    pr_devices_release(&devices);

    fake_verbs_set(&rxe, 0);
    tree_put(tree, "class/infiniband/.keep", "");
    devices = collect(tree);
    assert_non_null(strstr(devices.no_rdma, "knows none"));
    pr_devices_release(&devices);

    put_mlx5(tree);
    devices = collect(tree);
    assert_non_null(strstr(devices.no_rdma, "ibverbs-providers"));
    pr_devices_release(&devices);
}

static void rates_follow_the_encodings(void **state)
{
    static const struct {
        unsigned width, speed;
        uint64_t rate_Mbps;
    } rates[] = {
        {1, 1, 2500},     {2, 1, 10000},    {2, 2, 20000},   {2, 4, 40000},    {2, 8, 41250},
        {2, 16, 56250},   {2, 32, 100000},  {2, 64, 200000}, {2, 128, 400000}, {4, 128, 800000},
        {2, 256, 800000}, {16, 64, 100000}, {8, 1, 30000},   {0, 128, 0},      {2, 0, 0},
        {2, 3, 0},        {3, 1, 0},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rates); i++)
        assert_true(pr_devices_rate_Mbps(rates[i].width, rates[i].speed) == rates[i].rate_Mbps);
}

/* An encoding that verbs cannot express is read from the kernel's text. */
static void an_unknown_speed_comes_from_sysfs(void **state)
{
    struct fake_device device = mlx5;
    const char *tree = *state;
    device.port[0].active_speed = 0;
    device.port[1].active_speed = 0;
    put_mlx5(tree);
    tree_put(tree, "class/infiniband/mlx5_0/ports/1/rate", "800 Gb/sec (4X XDR)\n");
    tree_put(tree, "class/infiniband/mlx5_0/ports/2/rate", "nonsense\n");
    fake_verbs_set(&device, 1);
    struct pr_devices devices = collect(tree);
    assert_true(devices.rdma[0].port[0].rate_Mbps == 800000);
    assert_true(devices.rdma[0].port[1].rate_Mbps == 0);
    pr_devices_release(&devices);
}

#define CAP_IPC_LOCK_LINE "Name:\tx\nCapEff:\t0000000000004000\nSeccomp:\t0\n"
#define ALL_IDS "         0          0 4294967295\n"
#define CONTAINER_IDS "         0     100000      65536\n"

static bool lifted(const char *tree, const char *status, const char *uid_map)
{
    tree_put(tree, "self/status", status);
    tree_put(tree, "self/uid_map", uid_map);
    fake_verbs_set(NULL, 0);
    struct pr_devices devices = collect(tree);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (limit.rlim_cur != RLIM_INFINITY)
        assert_true(devices.memlock_soft_bytes == limit.rlim_cur);
    assert_true(devices.memlock_soft_bytes <= devices.memlock_hard_bytes);
    bool answer = devices.memlock_lifted;
    pr_devices_release(&devices);
    return answer;
}

static void memlock_is_lifted_by_a_capability_of_the_first_namespace(void **state)
{
    const char *tree = *state;
    assert_true(lifted(tree, CAP_IPC_LOCK_LINE, ALL_IDS));
    assert_false(lifted(tree, CAP_IPC_LOCK_LINE, CONTAINER_IDS));
    assert_false(lifted(tree, "CapEff:\t00000000a80425fb\n", ALL_IDS)); /* an ordinary container */
    assert_false(lifted(tree, "CapEff:\t0000000000000000\n", ALL_IDS));
    assert_false(lifted(tree, "", ALL_IDS));
}

static void writing_another_process_follows_the_rules(void **state)
{
    static const struct {
        int probe_errno, scope;
        bool cap, allowed;
        const char *reason;
    } cases[] = {
        {0, -1, false, true, "one user"},         {0, 0, false, true, "one user"},
        {0, 1, false, true, "one user"}, /* `local:` names its peer with PR_SET_PTRACER */
        {0, 2, false, false, "CAP_SYS_PTRACE"},   {0, 2, true, true, "CAP_SYS_PTRACE"},
        {0, 3, true, false, "ptrace_scope is 3"}, {ENOSYS, -1, true, false, "process_vm_writev"},
        {EPERM, 0, true, false, "seccomp"},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct pr_devices_vm_write verdict =
            pr_devices_vm_write_verdict(cases[i].probe_errno, cases[i].scope, cases[i].cap);
        assert_int_equal(verdict.allowed, cases[i].allowed);
        assert_non_null(strstr(verdict.reason, cases[i].reason));
    }
}

/* What `print` writes; the caller frees it. */
static char *printed(const struct pr_devices *devices,
                     int (*print)(const struct pr_devices *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    assert_int_equal(print(devices, to), 0);
    assert_int_equal(fclose(to), 0);
    return text;
}

/* Two devices, and the machine's own answers replaced, so that the text is always the same. */
static struct pr_devices sample_machine(const char *tree)
{
    static struct fake_device fakes[2];
    fakes[0] = mlx5;
    fakes[1] = rxe;
    put_mlx5(tree);
    put_rxe(tree);
    tree_put(tree, "devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages", "8\n");
    tree_put(tree, "devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages", "3\n");
    tree_put(tree, "class/iommu/dmar1/name", "x\n");
    tree_put(tree, "class/iommu/dmar0/name", "x\n");
    tree_put(tree, "self/cgroup", "0::/a/b.scope\n");
    tree_put(tree, "fs/cgroup/a/b.scope/rdma.max",
             "mlx5_0 hca_handle=max hca_object=2000\nmlx5_1 hca_handle=max hca_object=max\n"
             "rxe0 hca_handle=3 hca_object=max\n");
    fake_verbs_set(fakes, 2);
    struct pr_devices devices = collect(tree);
    devices.memlock_soft_bytes = 8 << 20;
    devices.memlock_hard_bytes = UINT64_MAX;
    devices.memlock_lifted = false;
    devices.vm_write = pr_devices_vm_write_verdict(0, 1, false);
    return devices;
}

static void people_read_aligned_tables(void **state)
{
    struct pr_devices devices = sample_machine(*state);
    char *text = printed(&devices, pr_devices_print);
    assert_string_equal(
        text,
        "RDMA devices\n"
        "  device  port  state   link      speed     MTU   node  netdev         kind\n"
        "  mlx5_0  1     active  Ethernet  400 Gb/s  4096  1     enp129s0f0np0  -\n"
        "  mlx5_0  2     down    Ethernet  400 Gb/s  4096  1     enp129s0f1np1  -\n"
        "  rxe0    1     active  Ethernet  2.5 Gb/s  4096  1     eth0           software\n"
        "\n"
        "GIDs\n"
        "  device  port  index  type     address\n"
        "  mlx5_0  1     0      RoCE v1  fe80::1\n"
        "  mlx5_0  1     3      RoCE v2  198.51.100.1\n"
        "  mlx5_0  2     0      RoCE v2  fe80::2\n"
        "  rxe0    1     0      RoCE v2  fe80::5054:ff:fe12:3456\n"
        "  rxe0    1     1      RoCE v2  192.0.2.7\n"
        "\n"
        "NUMA nodes\n"
        "  node  CPUs  memory  free\n"
        "  0     0-3   16 GiB  0 B\n"
        "  1     4-7   16 GiB  0 B\n"
        "\n"
        "Huge pages\n"
        "  node  page   total  free\n"
        "  1     1 GiB  8      3\n"
        "\n"
        "Limits of this process\n"
        "  pinned memory        8 MiB soft, unlimited hard; RDMA pins guest memory: raise it with "
        "`ulimit -l` or the service's LimitMEMLOCK=\n"
        "  same-host `local:`   allowed: between processes of one user\n"
        "  IOMMU                dmar0, dmar1\n"
        "  cgroup's rdma.max    mlx5_0 hca_handle=max hca_object=2000, rxe0 hca_handle=3 "
        "hca_object=max\n");
    free(text);
    pr_devices_release(&devices);
}

static void no_device_is_one_sentence(void **state)
{
    fake_verbs_set(NULL, 0);
    struct pr_devices devices = collect(*state);
    char *text = printed(&devices, pr_devices_print);
    *strchr(text, '\n') = '\0';
    assert_string_equal(text,
                        "There is no RDMA device (the kernel has no RDMA support loaded); the "
                        "same-host fabric `local:` works without one.");
    free(text);
    pr_devices_release(&devices);
}

static struct json_object *get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    assert_true(json_object_object_get_ex(object, key, &value));
    return value;
}

static struct json_object *at(struct json_object *array, size_t index)
{
    assert_true(index < json_object_array_length(array));
    return json_object_array_get_idx(array, index);
}

static void programs_read_json(void **state)
{
    struct pr_devices devices = sample_machine(*state);
    snprintf(devices.rdma[1].problem, sizeof(devices.rdma[1].problem), "it \"sulks\"");
    char *text = printed(&devices, pr_devices_print_json);
    struct json_object *root = json_tokener_parse(text);
    assert_non_null(root);
    assert_string_equal(json_object_get_string(get(root, "schema")), "pagerail-devices-1");
    assert_null(get(root, "no_rdma_reason"));

    struct json_object *rdma = get(root, "rdma_devices");
    struct json_object *nic = at(rdma, 0);
    assert_string_equal(json_object_get_string(get(nic, "name")), "mlx5_0");
    assert_int_equal(json_object_get_int(get(nic, "numa_node")), 1);
    assert_null(get(nic, "problem"));
    struct json_object *port = at(get(nic, "ports"), 0);
    assert_int_equal(json_object_get_int64(get(port, "rate_mbps")), 400000);
    assert_int_equal(json_object_get_int(get(port, "mtu_bytes")), 4096);
    assert_string_equal(json_object_get_string(get(port, "netdev")), "enp129s0f0np0");
    assert_string_equal(json_object_get_string(get(at(get(port, "gids"), 1), "address")),
                        "198.51.100.1");
    struct json_object *soft = at(rdma, 1);
    assert_true(json_object_get_boolean(get(soft, "software")));
    assert_null(get(soft, "numa_node"));
    assert_string_equal(json_object_get_string(get(soft, "problem")), "it \"sulks\"");

    struct json_object *node = at(get(root, "numa_nodes"), 1);
    assert_string_equal(json_object_get_string(get(node, "cpus")), "4-7");
    assert_true(json_object_get_int64(get(node, "memory_bytes")) == 16ll << 30);
    assert_int_equal(json_object_get_int(get(at(get(node, "hugepages"), 0), "free")), 3);
    assert_int_equal(json_object_get_int64(get(get(root, "pinned_memory"), "soft_bytes")), 8 << 20);
    assert_null(get(get(root, "pinned_memory"), "hard_bytes"));
    assert_true(json_object_get_boolean(get(get(root, "local_fabric"), "allowed")));
    assert_string_equal(json_object_get_string(get(root, "iommus")), "dmar0, dmar1");
    assert_non_null(strstr(json_object_get_string(get(root, "rdma_cgroup")), "hca_object=2000"));
    json_object_put(root);
    free(text);
    pr_devices_release(&devices);
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TREE(soft_roce_sits_where_its_interface_sits),
        WITH_TREE(each_port_has_its_state_and_interface),
        WITH_TREE(infiniband_ports_find_their_interface_by_number),
        WITH_TREE(a_broken_device_is_listed_with_its_problem),
        WITH_TREE(no_device_says_why),
        cmocka_unit_test(rates_follow_the_encodings),
        WITH_TREE(an_unknown_speed_comes_from_sysfs),
        WITH_TREE(memlock_is_lifted_by_a_capability_of_the_first_namespace),
        cmocka_unit_test(writing_another_process_follows_the_rules),
        WITH_TREE(people_read_aligned_tables),
        WITH_TREE(no_device_is_one_sentence),
        WITH_TREE(programs_read_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
