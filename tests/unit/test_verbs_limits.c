/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/limits.h"
#include "rdma/verbs/mtu.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

struct device {
    int queue, completions, pieces;
    uint64_t window;
    uint32_t message;
    uint8_t layer;
};

static int limits_of(const struct device *d, struct pr_fabric_limits *out)
{
    struct ibv_device_attr device = {.max_qp_wr = d->queue,
                                     .max_cqe = d->completions,
                                     .max_sge = d->pieces,
                                     .max_mr_size = d->window};
    struct ibv_port_attr port = {.max_msg_sz = d->message, .link_layer = d->layer};
    return pr_verbs_limits_of(&device, &port, out);
}

static void limits_follow_the_device(void **state)
{
    (void)state;
    static const struct {
        struct device device;
        uint32_t send, recv;
        uint64_t write, window;
        uint32_t message, lanes;
    } table[] = {
        /* a large NIC; what counts is our own bound */
        {{32768, 1 << 22, 30, UINT64_MAX, 1u << 30, IBV_LINK_LAYER_ETHERNET},
         256,
         64,
         1u << 30,
         UINT64_C(1) << 46,
         16384,
         4},
        {{32768, 1 << 22, 30, UINT64_MAX, 1u << 31, IBV_LINK_LAYER_INFINIBAND},
         256,
         64,
         1u << 30,
         UINT64_C(1) << 46,
         16384,
         1},
        /* short queues: the power of two below */
        {{200, 1 << 20, 1, 1 << 30, 1 << 23, IBV_LINK_LAYER_ETHERNET},
         128,
         64,
         1 << 23,
         1 << 30,
         16384,
         4},
        {{50, 1 << 20, 1, 1 << 30, 1 << 23, IBV_LINK_LAYER_ETHERNET},
         32,
         50,
         1 << 23,
         1 << 30,
         16384,
         4},
        {{16, 32, 1, 1 << 30, 4096, IBV_LINK_LAYER_ETHERNET}, 16, 16, 4096, 1 << 30, 4096, 4},
        /* both kinds of posts share the completion queue */
        {{4096, 100, 1, 1 << 30, 1 << 23, IBV_LINK_LAYER_ETHERNET},
         32,
         50,
         1 << 23,
         1 << 30,
         16384,
         4},
        /* nothing told */
        {{4096, 4096, 1, 0, 0, IBV_LINK_LAYER_UNSPECIFIED},
         256,
         64,
         1u << 30,
         UINT64_C(1) << 46,
         16384,
         1},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_fabric_limits limits;
        assert_int_equal(limits_of(&table[i].device, &limits), 0);
        assert_int_equal(limits.send_depth, table[i].send);
        assert_int_equal(limits.recv_depth, table[i].recv);
        assert_int_equal(limits.max_write_bytes, table[i].write);
        assert_int_equal(limits.max_window_bytes, table[i].window);
        assert_int_equal(limits.max_message_bytes, table[i].message);
        assert_int_equal(limits.suggested_lanes, table[i].lanes);
        assert_int_equal(limits.max_private_bytes, 48);
        assert_int_equal(limits.send_depth & (limits.send_depth - 1), 0);
        assert_true(limits.send_depth + limits.recv_depth <= (uint32_t)table[i].device.completions);
    }
}

static void poor_devices_are_refused(void **state)
{
    (void)state;
    static const struct device table[] = {
        {15, 4096, 1, 0, 0, 0}, {4096, 31, 1, 0, 0, 0}, {4096, 4096, 0, 0, 0, 0},
        {-1, 4096, 1, 0, 0, 0}, {4096, -1, 1, 0, 0, 0},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_fabric_limits limits;
        assert_int_equal(limits_of(&table[i], &limits), -EOPNOTSUPP);
        assert_non_null(strstr(pr_error_message(), "use another one"));
    }
}

static void meeting_takes_the_smaller_of_each(void **state)
{
    (void)state;
    struct pr_fabric_limits a = {1, 20, 3, 40, 5, 60, 7, 8, 9, 10, 11},
                            b = {10, 2, 30, 4, 50, 6, 70, 80, 90, 10, 11};
    pr_verbs_limits_meet(&a, &b);
    assert_int_equal(a.max_write_bytes, 1);
    assert_int_equal(a.max_window_bytes, 2);
    assert_int_equal(a.max_message_bytes, 3);
    assert_int_equal(a.send_depth, 4);
    assert_int_equal(a.recv_depth, 5);
    assert_int_equal(a.max_private_bytes, 6);
    assert_int_equal(a.suggested_lanes, 7);
    assert_int_equal(a.lane_flight_bytes, 8);
    assert_int_equal(a.rate_Bps, 90); /* of two lines the faster one */
    struct pr_fabric_limits nic = {0};
    pr_verbs_limits_meet(&nic, &b);
    assert_int_equal(nic.lane_flight_bytes, 80); /* the one that has a bound */
    pr_verbs_limits_meet(&b, &(struct pr_fabric_limits){0});
    assert_int_equal(b.lane_flight_bytes, 80);
}

static void ports_have_a_rate_and_rxe_a_bound(void **state)
{
    (void)state;
    static const struct {
        uint32_t vendor;
        uint8_t speed, width;
        enum ibv_mtu mtu;
        uint64_t rate_Bps, flight_bytes;
    } table[] = {
        {0x2c9, 64, 2, IBV_MTU_4096, UINT64_C(25000000000), 0}, /* HDR, 4 wide */
        {0x2c9, 32, 16, IBV_MTU_1024, UINT64_C(6250000000), 0}, /* EDR, 2 wide */
        {0x2c9, 3, 2, IBV_MTU_1024, 0, 0},                      /* unknown speed */
        {0x2c9, 64, 3, IBV_MTU_1024, 0, 0},                     /* unknown width */
        {0xffffff, 1, 1, IBV_MTU_4096, 250000000, 512u << 10},
        {0xffffff, 1, 1, IBV_MTU_1024, 250000000, 128u << 10},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct ibv_device_attr device = {
            .vendor_id = table[i].vendor, .max_qp_wr = 4096, .max_cqe = 4096, .max_sge = 1};
        struct ibv_port_attr port = {.active_speed = table[i].speed,
                                     .active_width = table[i].width,
                                     .active_mtu = table[i].mtu};
        struct pr_fabric_limits limits;
        assert_int_equal(pr_verbs_limits_of(&device, &port, &limits), 0);
        assert_int_equal(limits.rate_Bps, table[i].rate_Bps);
        assert_int_equal(limits.lane_flight_bytes, table[i].flight_bytes);
    }
}

static void mtu_in_bytes(void **state)
{
    (void)state;
    assert_int_equal(pr_verbs_mtu_bytes(IBV_MTU_256), 256);
    assert_int_equal(pr_verbs_mtu_bytes(IBV_MTU_1024), 1024);
    assert_int_equal(pr_verbs_mtu_bytes(IBV_MTU_4096), 4096);
    assert_int_equal(pr_verbs_mtu_bytes((enum ibv_mtu)0), 0);
    assert_int_equal(pr_verbs_mtu_bytes((enum ibv_mtu)6), 0);
}

static void software_devices_have_more_time(void **state)
{
    (void)state;
    struct ibv_device_attr nic = {.vendor_id = 0x2c9}, rxe = {.vendor_id = 0xffffff};
    assert_int_equal(pr_verbs_ack_timeout(&nic), 16);
    assert_int_equal(pr_verbs_ack_timeout(&rxe), 19);
    assert_int_equal(pr_verbs_retries(&nic), 7);
    assert_int_equal(pr_verbs_retries(&rxe), 6); /* 7 is for ever there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_follow_the_device),
        cmocka_unit_test(poor_devices_are_refused),
        cmocka_unit_test(meeting_takes_the_smaller_of_each),
        cmocka_unit_test(ports_have_a_rate_and_rxe_a_bound),
        cmocka_unit_test(mtu_in_bytes),
        cmocka_unit_test(software_devices_have_more_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
