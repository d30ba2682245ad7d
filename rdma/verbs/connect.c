/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting: address, route, queues, request; each step an event to wait for. */
#include "base/runtime.h"
#include "rdma/verbs/address.h"
#include "rdma/verbs/cm.h"
#include "rdma/verbs/greeting.h"
#include "rdma/verbs/lane.h"
#include "rdma/verbs/mtu.h"

#include <errno.h>
#include <string.h>

/* For one step of looking for the way, of a connect that has all the time in the world. */
#define RESOLVE_MS 10000
#define TRY_MS 1000

struct attempt {
    struct pr_verbs_lane *lane;
    const char *address; /* as the user wrote it */
    uint64_t deadline_ns;
    const struct pr_event *cancel;
};

/* Milliseconds for the kernel to try; our own deadline comes first. */
static int patience_ms(const struct attempt *attempt)
{
    int left = pr_deadline_left_ms(attempt->deadline_ns);
    return left < 0 || left > RESOLVE_MS ? RESOLVE_MS : left + 1;
}

/* As if the connection manager had given the step up, which it does much later. */
static int out_of_time(const struct attempt *attempt, enum rdma_cm_event_type wanted)
{
    struct pr_verbs_event event = {.type = RDMA_CM_EVENT_UNREACHABLE, .status = -ETIMEDOUT};
    if (wanted == RDMA_CM_EVENT_ADDR_RESOLVED)
        event.type = RDMA_CM_EVENT_ADDR_ERROR;
    else if (wanted == RDMA_CM_EVENT_ROUTE_RESOLVED)
        event.type = RDMA_CM_EVENT_ROUTE_ERROR;
    return pr_verbs_connect_error(&event, attempt->address);
}

static int await(const struct attempt *attempt, enum rdma_cm_event_type wanted,
                 struct pr_verbs_event *event)
{
    int err = pr_verbs_channel_wait(attempt->lane->channel, attempt->deadline_ns, attempt->cancel,
                                    -1, event);
    if (err == -ETIMEDOUT)
        return out_of_time(attempt, wanted);
    if (err)
        return pr_error_prefix(err, "%s", attempt->address);
    return event->type == wanted ? 0 : pr_verbs_connect_error(event, attempt->address);
}

static int refused_call(const struct attempt *attempt, const char *step)
{
    int err = errno;
    if (err == ENODEV || err == EADDRNOTAVAIL)
        return pr_error(ENODEV,
                        "no RDMA device of this host leads to %s (%s): `pagerail devices` "
                        "shows their addresses",
                        attempt->address, step);
    return pr_error(err, "cannot connect to %s: %s: %s", attempt->address, step, strerror(err));
}

/*
 * In short tries: the kernel looks at the neighbour table when it is asked, when the table changes,
 * and when its time is up. On a busy host nothing came for ten seconds, as if it had missed the
 * change; then all that is left is the end, which is our own deadline as well.
 */
static int resolve_address(const struct attempt *attempt, struct sockaddr *to)
{
    struct pr_verbs_event event;
    int err, tries = patience_ms(attempt) / TRY_MS;
    do {
        int left_ms = patience_ms(attempt);
        if (rdma_resolve_addr(attempt->lane->id, NULL, to, left_ms < TRY_MS ? left_ms : TRY_MS))
            return refused_call(attempt, "resolving the address");
        err = await(attempt, RDMA_CM_EVENT_ADDR_RESOLVED, &event);
    } while (err == -ETIMEDOUT && tries-- > 0 && pr_deadline_left_ms(attempt->deadline_ns));
    return err;
}

static int find_way(const struct attempt *attempt, struct sockaddr *to)
{
    struct pr_verbs_lane *lane = attempt->lane;
    struct pr_verbs_event event;
    int err = pr_verbs_channel_open(&lane->channel);
    if (err)
        return err;
    if (rdma_create_id(lane->channel, &lane->id, NULL, RDMA_PS_TCP))
        return refused_call(attempt, "making a connection id");
    err = pr_verbs_set_traffic_class(lane->id,
                                     pr_verbs_fabric_of(lane->base.fabric)->settings.traffic_class);
    if (err)
        return err;
    err = resolve_address(attempt, to);
    if (err)
        return err;
    if (rdma_resolve_route(lane->id, patience_ms(attempt)))
        return refused_call(attempt, "resolving the route");
    return await(attempt, RDMA_CM_EVENT_ROUTE_RESOLVED, &event);
}

static int request(const struct attempt *attempt, const void *private_data, uint32_t len)
{
    struct pr_verbs_lane *lane = attempt->lane;
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    uint8_t size = pr_verbs_greeting_encode(PR_VERBS_REQUEST, pr_verbs_port_mtu(lane->id),
                                            private_data, len, greeting);
    struct rdma_conn_param param = pr_verbs_conn_param(greeting, size);
    struct pr_verbs_event event;
    param.retry_count = pr_verbs_fabric_of(lane->base.fabric)->retries;
    pr_verbs_set_timeout(lane->id, pr_verbs_fabric_of(lane->base.fabric)->ack_timeout_exponent);
    if (rdma_connect(lane->id, &param))
        return refused_call(attempt, "sending the request");
    int err = await(attempt, RDMA_CM_EVENT_ESTABLISHED, &event);
    if (err)
        return err;
    pr_verbs_lane_is_up(lane);
    const uint8_t *bytes;
    uint32_t welcome_len;
    err = pr_verbs_greeting_decode(event.data, event.len, PR_VERBS_WELCOME, &bytes, &welcome_len);
    return err ? pr_error_prefix(err, "%s", attempt->address) : 0;
}

static int connect_one(struct pr_verbs_fabric *fabric, struct attempt *attempt, struct sockaddr *to,
                       const void *private_data, uint32_t len)
{
    int err = pr_verbs_lane_new(fabric, &attempt->lane);
    if (err)
        return err;
    err = find_way(attempt, to);
    if (!err)
        err = pr_verbs_device_choose(fabric, attempt->lane->id->verbs);
    if (!err)
        err = pr_verbs_lane_equip(attempt->lane);
    if (!err)
        err = request(attempt, private_data, len);
    if (err)
        pr_verbs_lane_close(&attempt->lane->base);
    return err;
}

int pr_verbs_connect(struct pr_fabric *base, const char *address, const void *private_data,
                     uint32_t len, int timeout_ms, const struct pr_event *cancel,
                     struct pr_lane **out)
{
    struct attempt attempt = {
        .address = address, .deadline_ns = pr_deadline_after_ms(timeout_ms), .cancel = cancel};
    struct pr_verbs_address parsed;
    struct addrinfo *list;
    if (len > PR_VERBS_MAX_PRIVATE)
        return pr_error(EINVAL, "a connection request carries at most %d bytes, not %u",
                        PR_VERBS_MAX_PRIVATE, len);
    int err = pr_verbs_address_parse(address, &parsed);
    if (!err)
        err = pr_verbs_address_resolve(&parsed, false, &list);
    if (err)
        return err;
    for (struct addrinfo *at = list; at; at = at->ai_next) {
        err = connect_one(pr_verbs_fabric_of(base), &attempt, at->ai_addr, private_data, len);
        if (!err || err == -ECANCELED || pr_deadline_left_ms(attempt.deadline_ns) == 0)
            break;
    }
    freeaddrinfo(list);
    if (!err)
        *out = &attempt.lane->base;
    return err;
}
