/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/limits.h"

#include "base/error.h"
#include "rdma/verbs/greeting.h"
#include "rdma/verbs/mtu.h"

#include <errno.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t power_of_two_below(uint32_t n)
{
    uint32_t power = 1;
    while (power <= n / 2)
        power *= 2;
    return power;
}

struct pr_fabric_limits pr_verbs_limits_widest(void)
{
    return (struct pr_fabric_limits){
        .max_write_bytes = PR_VERBS_MAX_WRITE,
        .max_window_bytes = PR_VERBS_MAX_WINDOW,
        .max_message_bytes = PR_VERBS_MAX_MESSAGE,
        .send_depth = PR_VERBS_SEND_DEPTH,
        .recv_depth = PR_VERBS_RECV_DEPTH,
        .max_private_bytes = PR_VERBS_MAX_PRIVATE,
        .suggested_lanes = PR_VERBS_ROCE_LANES,
        .connect_ms = PR_VERBS_CONNECT_MS,
        .silence_ms = PR_VERBS_SILENCE_MS,
    };
}

void pr_verbs_limits_meet(struct pr_fabric_limits *limits, const struct pr_fabric_limits *other)
{
    limits->max_write_bytes = smaller(limits->max_write_bytes, other->max_write_bytes);
    limits->max_window_bytes = smaller(limits->max_window_bytes, other->max_window_bytes);
    limits->max_message_bytes =
        (uint32_t)smaller(limits->max_message_bytes, other->max_message_bytes);
    limits->send_depth = (uint32_t)smaller(limits->send_depth, other->send_depth);
    limits->recv_depth = (uint32_t)smaller(limits->recv_depth, other->recv_depth);
    limits->max_private_bytes =
        (uint32_t)smaller(limits->max_private_bytes, other->max_private_bytes);
    limits->suggested_lanes = (uint32_t)smaller(limits->suggested_lanes, other->suggested_lanes);
    /* Both say how much there can be; zero stands for "not told". */
    uint64_t flight = limits->lane_flight_bytes, others = other->lane_flight_bytes;
    limits->lane_flight_bytes = flight && others ? smaller(flight, others) : flight | others;
    if (other->rate_Bps > limits->rate_Bps)
        limits->rate_Bps = other->rate_Bps;
}

/* Bytes a second of a port, by what it says of speed and width; 0 when it names unknown values. */
static uint64_t rate_of(const struct ibv_port_attr *port)
{
    static const struct {
        uint8_t code;
        uint32_t megabit; /* of data, each way of the width */
    } speeds[] = {{1, 2000},   {2, 4000},   {4, 8000},   {8, 10000},
                  {16, 13600}, {32, 25000}, {64, 50000}, {128, 100000}};
    static const uint8_t widths[][2] = {{1, 1}, {16, 2}, {2, 4}, {4, 8}, {8, 12}};
    uint64_t megabit = 0, width = 0;
    for (unsigned i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++)
        megabit = speeds[i].code == port->active_speed ? speeds[i].megabit : megabit;
    for (unsigned i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        width = widths[i][0] == port->active_width ? widths[i][1] : width;
    return megabit * width * 1000000 / 8;
}

int pr_verbs_limits_of(const struct ibv_device_attr *device, const struct ibv_port_attr *port,
                       struct pr_fabric_limits *out)
{
    uint32_t queue = device->max_qp_wr > 0 ? (uint32_t)device->max_qp_wr : 0;
    uint32_t completions = device->max_cqe > 0 ? (uint32_t)device->max_cqe : 0;
    if (queue < PR_VERBS_MIN_DEPTH || completions < 2 * PR_VERBS_MIN_DEPTH || device->max_sge < 1)
        return pr_error(EOPNOTSUPP,
                        "the device takes %u work requests, %u completions and %d buffers a "
                        "request, which is too little: use another one",
                        queue, completions, device->max_sge);
    struct pr_fabric_limits limits = pr_verbs_limits_widest();
    uint32_t depth = (uint32_t)smaller(queue, completions / 2);
    limits.send_depth = power_of_two_below((uint32_t)smaller(depth, limits.send_depth));
    limits.recv_depth = (uint32_t)smaller(depth, limits.recv_depth);
    /* Zero stands for "not told" in both. */
    if (port->max_msg_sz) {
        limits.max_write_bytes = smaller(port->max_msg_sz, limits.max_write_bytes);
        limits.max_message_bytes = (uint32_t)smaller(port->max_msg_sz, limits.max_message_bytes);
    }
    if (device->max_mr_size)
        limits.max_window_bytes = smaller(device->max_mr_size, limits.max_window_bytes);
    /* A switched Ethernet spreads load by connection, and software RoCE bounds what one connection
     * has under way; InfiniBand fills a link with one. */
    bool roce = port->link_layer == IBV_LINK_LAYER_ETHERNET;
    limits.suggested_lanes = roce ? PR_VERBS_ROCE_LANES : PR_VERBS_IB_LANES;
    limits.rate_Bps = rate_of(port);
    if (device->vendor_id == PR_VERBS_RXE_VENDOR)
        limits.lane_flight_bytes =
            (uint64_t)PR_VERBS_RXE_PACKETS * pr_verbs_mtu_bytes(port->active_mtu);
    *out = limits;
    return 0;
}

uint8_t pr_verbs_retries(const struct ibv_device_attr *device)
{
    return device->vendor_id == PR_VERBS_RXE_VENDOR ? 6 : 7;
}

uint8_t pr_verbs_ack_timeout(const struct ibv_device_attr *device)
{
    return device->vendor_id == PR_VERBS_RXE_VENDOR ? 19 : 16;
}
