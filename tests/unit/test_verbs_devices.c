/* SPDX-License-Identifier: BSD-2-Clause */
/* Which devices a fabric uses, and what they count, against mocked libraries. */
#include "tests/unit/verbs_case.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void no_device(void **state)
{
    (void)state;
    struct pr_fabric *fabric;
    mock.devices = 0;
    assert_int_equal(pr_fabric_verbs_open(NULL, &fabric), -ENODEV);
    says("pagerail devices");
}

static void a_poor_device_is_named(void **state)
{
    (void)state;
    struct pr_fabric *fabric;
    mock.device_attr.max_qp_wr = 3;
    assert_int_equal(pr_fabric_verbs_open(NULL, &fabric), -EOPNOTSUPP);
    says("mock0");
}

static void one_device_is_chosen_at_once(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_mr *mr;
    char bytes[8];
    assert_int_equal(fabric->limits.recv_depth, 64);
    assert_int_equal(fabric->limits.suggested_lanes, 4);
    assert_int_equal(pr_fabric_reg(fabric, bytes, sizeof(bytes), 0, &mr), 0);
    pr_fabric_dereg(mr);
    pr_fabric_close(fabric);
}

static void the_first_connection_chooses_among_devices(void **state)
{
    (void)state;
    mock.devices = 2;
    struct pr_fabric *fabric = open_fabric();
    struct pr_mr *mr;
    struct pr_lane *lane, *other = NULL;
    char bytes[8];
    assert_int_equal(pr_fabric_reg(fabric, bytes, sizeof(bytes), 0, &mr), -ENODEV);
    says("2 RDMA devices");
    mock.route_device = 1;
    assert_int_equal(connect_to(fabric, &lane), 0);
    assert_int_equal(pr_fabric_reg(fabric, bytes, sizeof(bytes), 0, &mr), 0);
    mock.route_device = 0;
    assert_int_equal(connect_to(fabric, &other), -EXDEV);
    says("mock0");
    says("mock1");
    assert_null(other);
    mock.route_device = 1;
    assert_int_equal(connect_to(fabric, &other), 0);
    pr_lane_close(other);
    pr_lane_close(lane);
    pr_fabric_dereg(mr);
    pr_fabric_close(fabric);
}

static void a_device_that_came_later_is_not_used(void **state)
{
    (void)state;
    mock.devices = 2;
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    mock.route_device = 2; /* plugged in since */
    assert_int_equal(connect_to(fabric, &lane), -ENODEV);
    says("mock2");
    pr_fabric_close(fabric);
}

static int open_with(const char *rails, struct pr_fabric **out)
{
    const struct pr_verbs_settings settings = {.rails = rails};
    return pr_fabric_verbs_open(&settings, out);
}

static void rails_are_chosen_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *rails;
        int at_once; /* the device that is known from the start, or -1 */
        bool may[MOCK_DEVICES];
    } rows[] = {
        {"", -1, {true, true, true}},
        {NULL, -1, {true, true, true}},
        {"mock1", 1, {false, true, false}},
        {"mock2,mock0", -1, {true, false, true}},
        {"mock0,mock1,mock2", -1, {true, true, true}},
        {"mock1,mock1", 1, {false, true, false}},
    };
    mock.devices = MOCK_DEVICES;
    mock.port_attr.state = IBV_PORT_ACTIVE;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int device = 0; device < MOCK_DEVICES; device++) {
            struct pr_fabric *fabric;
            struct pr_lane *lane = NULL;
            struct pr_rail rail;
            char name[] = "mock0";
            assert_int_equal(open_with(rows[i].rails, &fabric), 0);
            assert_int_equal(pr_fabric_verbs_active_ports(fabric),
                             rows[i].may[0] + rows[i].may[1] + rows[i].may[2]);
            pr_fabric_rail(fabric, &rail);
            name[4] = (char)('0' + rows[i].at_once);
            assert_string_equal(rail.name, rows[i].at_once < 0 ? "" : name);
            mock.route_device = device;
            assert_int_equal(connect_to(fabric, &lane), rows[i].may[device] ? 0 : -EXDEV);
            name[4] = (char)('0' + device);
            if (!lane)
                says(name);
            pr_fabric_rail(fabric, &rail);
            if (lane)
                assert_string_equal(rail.name, name);
            pr_lane_close(lane);
            pr_fabric_close(fabric);
        }
    }
}

static void a_rail_that_is_none_is_named(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"mlx5_0", "'mlx5_0'"},
                                          {"mock0,mock", "'mock'"},
                                          {"mock00", "'mock00'"},
                                          {"mock0,mock1,mock2", "'mock2'"}};
    struct pr_fabric *fabric;
    mock.devices = 2;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(open_with(rows[i][0], &fabric), -ENODEV);
        says(rows[i][1]);
        says("mock0, mock1");
    }
}

/* ---- what the device counts ---- */

static void write_counter(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/ports/1/hw_counters/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_counters(const char *folder)
{
    static const char *const levels[] = {"/ports", "/ports/1", "/ports/1/hw_counters"};
    char path[256];
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        snprintf(path, sizeof(path), "%s%s", folder, levels[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void remove_counters(const char *folder, const char *const *names, size_t count)
{
    static const char *const levels[] = {"/ports/1/hw_counters", "/ports/1", "/ports", ""};
    char path[256];
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/ports/1/hw_counters/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        snprintf(path, sizeof(path), "%s%s", folder, levels[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static uint64_t retries_of(struct pr_fabric *fabric)
{
    struct pr_rail rail;
    pr_fabric_rail(fabric, &rail);
    return rail.retries;
}

static void retries_are_those_since_the_fabric_opened(void **state)
{
    (void)state;
    static const char *const names[] = {"completer_retry_err", "packet_seq_err", "sent_pkts"};
    char folder[] = "/tmp/pagerail-unit-XXXXXX";
    assert_non_null(mkdtemp(folder));
    mock.sysfs = folder;
    struct pr_fabric *fabric = open_fabric();
    assert_int_equal(retries_of(fabric), 0); /* nobody counts */
    pr_fabric_close(fabric);
    make_counters(folder);
    write_counter(folder, "completer_retry_err", "1000\n");
    write_counter(folder, "packet_seq_err", "7\n");
    write_counter(folder, "sent_pkts", "123\n");
    fabric = open_fabric();
    assert_int_equal(retries_of(fabric), 0);
    write_counter(folder, "completer_retry_err", "1005\n");
    write_counter(folder, "packet_seq_err", "8\n");
    write_counter(folder, "sent_pkts", "456\n");
    assert_int_equal(retries_of(fabric), 6);
    pr_fabric_close(fabric);
    remove_counters(folder, names, COUNT_OF(names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_device, start, finish),
        cmocka_unit_test_setup_teardown(a_poor_device_is_named, start, finish),
        cmocka_unit_test_setup_teardown(one_device_is_chosen_at_once, start, finish),
        cmocka_unit_test_setup_teardown(the_first_connection_chooses_among_devices, start, finish),
        cmocka_unit_test_setup_teardown(a_device_that_came_later_is_not_used, start, finish),
        cmocka_unit_test_setup_teardown(rails_are_chosen_by_name, start, finish),
        cmocka_unit_test_setup_teardown(a_rail_that_is_none_is_named, start, finish),
        cmocka_unit_test_setup_teardown(retries_are_those_since_the_fabric_opened, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
