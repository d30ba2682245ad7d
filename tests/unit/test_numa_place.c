/* SPDX-License-Identifier: BSD-2-Clause */
/* numa/place.h on the nodes that this machine has; in the rig (tests/rig/numa.sh) it has two. */
#include "numa/place.h"

#include "tests/unit/check.h"

#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define LEN (1u << 20)

static void *map_on(int node)
{
    unsigned long mask = 1ul << node;
    void *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mbind(memory, LEN, MPOL_BIND, &mask, sizeof(mask) * 8, 0), 0);
    return memory;
}

static void memory_tells_its_node(void **state)
{
    (void)state;
    for (int node = 0; node < numa_num_configured_nodes(); node++) {
        char *memory = map_on(node);
        assert_int_equal(pr_numa_node_of_memory(memory + 5000), node); /* by its policy */
        memory[5000] = 1;
        assert_int_equal(pr_numa_node_of_memory(memory + 5000), node); /* by where it is */
        munmap(memory, LEN);
    }
}

static void memory_without_a_place_tells_nothing(void **state)
{
    (void)state;
    void *memory = mmap(NULL, LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(pr_numa_node_of_memory(memory), -1);
    munmap(memory, LEN);
    assert_int_equal(pr_numa_node_of_memory(memory), -1);
}

static void a_visit_ends_where_it_began(void **state)
{
    (void)state;
    cpu_set_t before, after;
    int nodes = numa_num_configured_nodes();
    print_message("nodes: %d\n", nodes);
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    for (int node = -1; node <= nodes; node++) { /* the last one does not exist */
        struct pr_numa_visit visit = pr_numa_visit(node);
        if (node >= 0 && node < nodes)
            assert_int_equal(numa_node_of_cpu(sched_getcpu()), node);
        pr_numa_return(&visit);
        pr_numa_return(&visit); /* once is enough */
        assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
    }
}

/* Whoever pinned the thread elsewhere is obeyed. */
static void a_pinned_thread_stays(void **state)
{
    (void)state;
    cpu_set_t all, one, seen;
    int here = sched_getcpu(), home = numa_node_of_cpu(here);
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)here, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    for (int node = 0; node < numa_num_configured_nodes(); node++) {
        struct pr_numa_visit visit = pr_numa_visit(node);
        assert_int_equal(sched_getaffinity(0, sizeof(seen), &seen), 0);
        assert_true(CPU_EQUAL(&seen, &one));
        assert_true(node == home || !visit.processors);
        pr_numa_return(&visit);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_tells_its_node),
        cmocka_unit_test(memory_without_a_place_tells_nothing),
        cmocka_unit_test(a_visit_ends_where_it_began),
        cmocka_unit_test(a_pinned_thread_stays),
    };
    if (numa_available() < 0) {
        print_message("skip: the kernel has no NUMA\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
