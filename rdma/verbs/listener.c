/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening and accepting: one request at a time; the others wait in the kernel. */
#include "base/error.h"
#include "base/log.h"
#include "base/runtime.h"
#include "rdma/verbs/address.h"
#include "rdma/verbs/async.h"
#include "rdma/verbs/cm.h"
#include "rdma/verbs/greeting.h"
#include "rdma/verbs/mtu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 128

/* From our answer to the peer's last word: one message of it may get lost on the way (the
 * connection manager repeats after about four seconds). */
#define FINISH_MS 6000

struct verbs_listener {
    struct pr_listener base; /* first: cast back */
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
};

static int explain_listen(int err, const char *address)
{
    switch (err) {
    case EADDRINUSE:
        return pr_error(err, "something listens at %s already: end it or choose another port",
                        address);
    case EADDRNOTAVAIL:
    case ENODEV:
        return pr_error(ENODEV,
                        "no RDMA device of this host has the address %s: `pagerail devices` shows "
                        "their addresses; 0.0.0.0 stands for all",
                        address);
    case EACCES:
        return pr_error(err, "may not listen at %s: choose a port above 1023", address);
    default:
        return pr_error(err, "cannot listen at %s: %s", address, strerror(err));
    }
}

static int listen_at(struct verbs_listener *l, struct sockaddr *at, const char *address)
{
    if (rdma_create_id(l->channel, &l->id, NULL, RDMA_PS_TCP))
        return explain_listen(errno, address);
    int err = pr_verbs_set_traffic_class(
        l->id, pr_verbs_fabric_of(l->base.fabric)->settings.traffic_class);
    if (!err && !rdma_bind_addr(l->id, at) && !rdma_listen(l->id, BACKLOG))
        return 0;
    if (!err)
        err = explain_listen(errno, address);
    rdma_destroy_id(l->id);
    l->id = NULL;
    return err;
}

static int open_listener(struct verbs_listener *l, const char *address)
{
    struct pr_verbs_address parsed;
    struct addrinfo *list;
    int err = pr_verbs_address_parse(address, &parsed);
    if (!err)
        err = pr_verbs_address_resolve(&parsed, true, &list);
    if (err)
        return err;
    err = pr_verbs_channel_open(&l->channel);
    if (!err) {
        err = -ENODEV; /* the list has at least one */
        for (struct addrinfo *at = list; at && err; at = at->ai_next)
            err = listen_at(l, at->ai_addr, address);
    }
    freeaddrinfo(list);
    return err;
}

int pr_verbs_listen(struct pr_fabric *fabric, const char *address, struct pr_listener **out)
{
    struct verbs_listener *l = calloc(1, sizeof(*l));
    if (!l)
        return pr_error(ENOMEM, "no memory for a listener");
    l->base = (struct pr_listener){.ops = fabric->ops, .fabric = fabric};
    int err = open_listener(l, address);
    if (err) {
        pr_verbs_listener_close(&l->base);
        return err;
    }
    *out = &l->base;
    return 0;
}

void pr_verbs_listener_close(struct pr_listener *listener)
{
    struct verbs_listener *l = (struct verbs_listener *)listener;
    if (l->id)
        rdma_destroy_id(l->id);
    if (l->channel)
        rdma_destroy_event_channel(l->channel);
    free(l);
}

/* Sends the calling thread's sentence to the peer. The sentence stays as it is. */
static void refuse(struct rdma_cm_id *id)
{
    const char *sentence = pr_error_message();
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    uint8_t len =
        pr_verbs_greeting_encode(PR_VERBS_REFUSAL, 0, sentence, strlen(sentence), greeting);
    if (rdma_reject(id, greeting, len))
        pr_log_debug("the refusal did not reach the peer: %s", strerror(errno));
}

/* Data may come in before the peer's last word of connecting, if that one got lost. */
static void take_data_for_word(struct pr_verbs_lane *lane)
{
    pr_verbs_async_read(lane->id->verbs);
    if (atomic_exchange(&lane->data_arrived, false))
        rdma_notify(lane->id, IBV_EVENT_COMM_EST);
}

static int await_peer(struct pr_verbs_lane *lane, const struct pr_event *cancel)
{
    uint64_t deadline = pr_deadline_after_ms(FINISH_MS);
    struct pr_verbs_event event;
    for (;;) {
        int err = pr_verbs_channel_wait(lane->channel, deadline, cancel, lane->id->verbs->async_fd,
                                        &event);
        if (err == 1) {
            take_data_for_word(lane);
            continue;
        }
        if (err == -ETIMEDOUT)
            return pr_error(ECONNRESET, "the peer fell silent while it was connecting");
        if (err)
            return err;
        if (event.type == RDMA_CM_EVENT_ESTABLISHED) {
            pr_verbs_lane_is_up(lane);
            return 0;
        }
        err = pr_verbs_lost_error(&event);
        if (err)
            return err;
    }
}

/* Moves the request to the lane's own channel and makes everything ready. */
static int prepare(struct pr_verbs_fabric *fabric, struct pr_verbs_lane *lane)
{
    int err = pr_verbs_channel_open(&lane->channel);
    if (err)
        return err;
    if (rdma_migrate_id(lane->id, lane->channel))
        return pr_error(errno, "cannot take a connection in: %s", strerror(errno));
    err = pr_verbs_device_choose(fabric, lane->id->verbs);
    if (!err)
        err = pr_verbs_lane_equip(lane);
    return err;
}

static int answer(struct pr_verbs_lane *lane, const struct pr_event *cancel)
{
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    uint8_t len = pr_verbs_greeting_encode(PR_VERBS_WELCOME, 0, NULL, 0, greeting);
    struct rdma_conn_param param = pr_verbs_conn_param(greeting, len);
    pr_verbs_set_timeout(lane->id, pr_verbs_fabric_of(lane->base.fabric)->ack_timeout_exponent);
    if (rdma_accept(lane->id, &param))
        return pr_error(ECONNRESET, "the peer left while it was connecting: %s", strerror(errno));
    return await_peer(lane, cancel);
}

/* The kernel tells of a peer that leaves before it is accepted by refusing every step, as invalid.
 * So does this one, which needs nothing else. */
static int left_meanwhile(struct rdma_cm_id *id, int err)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_INIT};
    int mask;
    if (!rdma_init_qp_attr(id, &attr, &mask))
        return err;
    return pr_error(ECONNRESET, "the peer left before it was accepted");
}

/* Makes a lane of an admitted request; the id becomes the lane's or is destroyed. */
static int take_in(struct pr_verbs_fabric *fabric, struct rdma_cm_id *id,
                   const struct pr_event *cancel, struct pr_lane **out)
{
    struct pr_verbs_lane *lane;
    int err = pr_verbs_lane_new(fabric, &lane);
    if (err) {
        refuse(id);
        rdma_destroy_id(id);
        return err;
    }
    lane->id = id;
    err = prepare(fabric, lane);
    if (err) {
        err = left_meanwhile(id, err);
        refuse(id);
    } else {
        err = answer(lane, cancel);
    }
    if (err) {
        pr_verbs_lane_close(&lane->base);
        return err;
    }
    *out = &lane->base;
    return 0;
}

static int judge(const struct pr_verbs_event *request, pr_admit_fn admit, void *opaque)
{
    const uint8_t *bytes;
    uint32_t len;
    int err = pr_verbs_greeting_decode(request->data, request->len, PR_VERBS_REQUEST, &bytes, &len);
    if (!err)
        err = pr_verbs_mtu_check(pr_verbs_greeting_mtu(request->data),
                                 pr_verbs_port_mtu(request->id));
    if (err || !admit)
        return err;
    return admit(opaque, bytes, len) ? -ECONNREFUSED : 0;
}

int pr_verbs_accept(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
                    pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    struct verbs_listener *l = (struct verbs_listener *)listener;
    uint64_t deadline = pr_deadline_after_ms(timeout_ms);
    for (;;) {
        struct pr_verbs_event event;
        int err = pr_verbs_channel_wait(l->channel, deadline, cancel, -1, &event);
        if (err == -ETIMEDOUT)
            return pr_error(ETIMEDOUT, "nobody connected in %d ms", timeout_ms);
        if (err)
            return err;
        if (event.type == RDMA_CM_EVENT_DEVICE_REMOVAL)
            return pr_error(ENODEV, "the RDMA device was removed while listening on it");
        if (event.type != RDMA_CM_EVENT_CONNECT_REQUEST)
            continue;
        err = judge(&event, admit, opaque);
        if (!err)
            return take_in(pr_verbs_fabric_of(l->base.fabric), event.id, cancel, out);
        refuse(event.id);
        rdma_destroy_id(event.id);
        return err;
    }
}
