/* SPDX-License-Identifier: BSD-2-Clause */
#include "numa/topology.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "tests/unit/tree.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static void this_machine_has_nodes_and_processors(void **state)
{
    struct pr_topology *topology;
    cpu_set_t set;
    unsigned cpus = 0;
    (void)state;
    assert_int_equal(pr_topology_open(NULL, &topology), 0);
    assert_true(pr_topology_nodes(topology) >= 1);
    for (unsigned i = 0; i < pr_topology_nodes(topology); i++) {
        const struct pr_numa_node *node = pr_topology_node(topology, i);
        assert_true(node->free_bytes <= node->memory_bytes);
        cpus += node->cpus;
    }
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_true(cpus >= (unsigned)CPU_COUNT(&set));
    pr_topology_close(topology);
}

/* 24 TiB and 896 processors on 2 or 8 nodes. */
static void large_machines_are_described(void **state)
{
    static const struct {
        const char *description;
        unsigned nodes, cpus;
        uint64_t memory_bytes;
        const char *last;
    } machines[] = {
        {"pack:2 [numa(memory=12TiB)] core:224 pu:2", 2, 448, 12ull << 40, "448-895"},
        {"pack:8 [numa(memory=3TiB)] core:56 pu:2", 8, 112, 3ull << 40, "784-895"},
    };
    (void)state;
    for (unsigned m = 0; m < COUNT_OF(machines); m++) {
        struct pr_topology_source source = {"/nonexistent", machines[m].description};
        struct pr_topology *topology;
        assert_int_equal(pr_topology_open(&source, &topology), 0);
        assert_int_equal(pr_topology_nodes(topology), machines[m].nodes);
        for (unsigned i = 0; i < machines[m].nodes; i++) {
            const struct pr_numa_node *node = pr_topology_node(topology, i);
            assert_int_equal(node->id, i);
            assert_int_equal(node->cpus, machines[m].cpus);
            assert_true(node->memory_bytes == machines[m].memory_bytes);
            assert_int_equal(node->hugepage_sizes, 0);
        }
        const struct pr_numa_node *last = pr_topology_node(topology, machines[m].nodes - 1);
        assert_string_equal(last->list, machines[m].last);
        assert_int_equal(pr_topology_node_of(topology, "class/net/eth0/device"), -1);
        pr_topology_close(topology);
    }
}

static void nonsense_is_refused(void **state)
{
    struct pr_topology_source source = {NULL, "four nodes please"};
    struct pr_topology *topology;
    (void)state;
    assert_int_equal(pr_topology_open(&source, &topology), -EINVAL);
    assert_non_null(strstr(pr_error_message(), "four nodes please"));
}

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

static struct pr_topology *open_tree(const char *tree, const char *synthetic)
{
    struct pr_topology_source source = {tree, synthetic};
    struct pr_topology *topology;
    assert_int_equal(pr_topology_open(&source, &topology), 0);
    return topology;
}

#define NODE1 "devices/system/node/node1/"

static void memory_and_huge_pages_come_from_sysfs(void **state)
{
    const char *tree = *state;
    tree_put(tree, NODE1 "meminfo",
             "Node 1 MemTotal:       16777216 kB\n"
             "Node 1 MemFree:         4194304 kB\n"
             "Node 1 MemUsed:        12582912 kB\n");
    tree_put(tree, NODE1 "hugepages/hugepages-1048576kB/nr_hugepages", "8\n");
    tree_put(tree, NODE1 "hugepages/hugepages-1048576kB/free_hugepages", "3\n");
    tree_put(tree, NODE1 "hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    tree_put(tree, NODE1 "hugepages/hugepages-2048kB/free_hugepages", "512\n");
    struct pr_topology *topology = open_tree(tree, "pack:2 [numa(memory=1GiB)] pu:2");

    const struct pr_numa_node *node = pr_topology_node(topology, 1);
    assert_true(node->memory_bytes == 16ull << 30);
    assert_true(node->free_bytes == 4ull << 30);
    assert_int_equal(node->hugepage_sizes, 2);
    assert_true(node->hugepages[0].page_bytes == 2ull << 20);
    assert_true(node->hugepages[0].total == 512 && node->hugepages[0].free == 512);
    assert_true(node->hugepages[1].page_bytes == 1ull << 30);
    assert_true(node->hugepages[1].total == 8 && node->hugepages[1].free == 3);

    node = pr_topology_node(topology, 0);
    assert_true(node->memory_bytes == 1ull << 30 && node->free_bytes == 0);
    assert_int_equal(node->hugepage_sizes, 0);
    pr_topology_close(topology);
}

/* A NIC on node 1, a virtio NIC whose PCI parent knows its node, and one that nobody knows. */
static void devices_sit_at_nodes(void **state)
{
    const char *tree = *state;
    tree_put(tree, "devices/pci0000:80/0000:80:01.0/numa_node", "1\n");
    tree_link(tree, "bus/pci/devices/0000:80:01.0", "../../../devices/pci0000:80/0000:80:01.0");
    tree_link(tree, "class/net/eth0/device", "../../../devices/pci0000:80/0000:80:01.0");
    tree_put(tree, "devices/pci0000:80/0000:80:02.0/numa_node", "1\n");
    tree_put(tree, "devices/pci0000:80/0000:80:02.0/virtio3/device", "1\n");
    tree_link(tree, "class/net/eth1/device", "../../../devices/pci0000:80/0000:80:02.0/virtio3");
    tree_put(tree, "devices/pci0000:00/0000:00:03.0/numa_node", "-1\n");
    tree_link(tree, "class/net/eth2/device", "../../../devices/pci0000:00/0000:00:03.0");

    struct pr_topology *topology = open_tree(tree, "pack:2 [numa] pu:2");
    assert_int_equal(pr_topology_node_of(topology, "bus/pci/devices/0000:80:01.0"), 1);
    assert_int_equal(pr_topology_node_of(topology, "class/net/eth0/device"), 1);
    assert_int_equal(pr_topology_node_of(topology, "class/net/eth1/device"), 1);
    assert_int_equal(pr_topology_node_of(topology, "class/net/eth2/device"), -1);
    assert_int_equal(pr_topology_node_of(topology, "class/net/none/device"), -1);
    assert_int_equal(pr_topology_node_of(topology, "../../.."), -1);
    pr_topology_close(topology);

    /* With one node there is no doubt. */
    topology = open_tree(tree, "pack:1 [numa] pu:2");
    assert_int_equal(pr_topology_node_of(topology, "class/net/eth2/device"), 0);
    assert_int_equal(pr_topology_node_of(topology, "class/net/none/device"), -1);
    pr_topology_close(topology);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_has_nodes_and_processors),
        cmocka_unit_test(large_machines_are_described),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test_setup_teardown(memory_and_huge_pages_come_from_sysfs, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(devices_sit_at_nodes, make_tree, remove_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
