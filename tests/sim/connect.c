/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening and connecting. A request travels to the listener's queue, an accept takes it and asks
 * admit, the answer travels back; either side may have given up or died meanwhile.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sim_fabric *fabric_of(struct pr_fabric *fabric)
{
    return (struct sim_fabric *)fabric;
}

static int check_address(const char *address)
{
    size_t len = strlen(address);
    if (!len || len >= ADDRESS_MAX)
        return pr_error(EINVAL, "a simulated address is a name of 1 to %d bytes", ADDRESS_MAX - 1);
    return 0;
}

/* ---- requests ---- */

static void release(struct request *request)
{
    if (--request->holders)
        return;
    LIST_REMOVE(request, link);
    world_event_cancel(request->network->world, &request->event);
    pr_event_close(&request->answered);
    free(request->private_data);
    free(request);
}

static void answer_arrives(struct world_event *event)
{
    struct request *request = container_of(event, struct request, event);
    if (!request->abandoned) {
        request->answered_now = true;
        world_raise(&request->answered);
    }
    release(request);
}

/* err: negative, or 0 with the connector's end set. */
static void answer(struct request *request, uint64_t delay_ns, int err, const char *sentence)
{
    request->state = REQUEST_ANSWERS;
    request->listener = NULL;
    request->err = err;
    snprintf(request->sentence, sizeof(request->sentence), "%s", sentence);
    request->event.fn = answer_arrives;
    world_event_set(request->network->world, &request->event,
                    world_now_ns(request->network->world) + delay_ns);
}

static uint64_t one_way(struct request *request)
{
    return request->net.latency_ns + sim_draw_upto(request->network, request->net.jitter_ns);
}

static struct sim_listener *find_listener(struct network *network, const char *address)
{
    struct sim_listener *listener;
    LIST_FOREACH(listener, &network->listeners, link)
    if (strcmp(listener->address, address) == 0)
        return listener;
    return NULL;
}

static void request_arrives(struct world_event *event)
{
    struct request *request = container_of(event, struct request, event);
    struct sim_listener *listener = find_listener(request->network, request->address);
    if (world_is_cut(request->network->world)) {
        answer(request, request->net.retry_ns, -ETIMEDOUT, "the peer does not answer");
    } else if (!listener) {
        answer(request, one_way(request), -ECONNREFUSED, "nobody listens there");
    } else {
        request->state = REQUEST_QUEUED;
        request->listener = listener;
        STAILQ_INSERT_TAIL(&listener->queue, request, queue_link);
        world_raise(&listener->ready);
    }
}

static struct request *dequeue(struct sim_listener *listener)
{
    struct request *request = STAILQ_FIRST(&listener->queue);
    if (!request)
        return NULL;
    STAILQ_REMOVE_HEAD(&listener->queue, queue_link);
    if (STAILQ_EMPTY(&listener->queue))
        world_clear(&listener->ready);
    request->listener = NULL;
    request->state = REQUEST_TAKEN;
    request->taken_by = fabric_of(listener->listener.fabric)->side;
    return request;
}

static void remove_listener(struct sim_listener *listener)
{
    struct request *request;
    while ((request = dequeue(listener)))
        answer(request, one_way(request), -ECONNREFUSED, "the peer stopped listening");
    LIST_REMOVE(listener, link);
}

void sim_connect_killed(struct network *network, unsigned side)
{
    struct sim_listener *listener, *next;
    for (listener = LIST_FIRST(&network->listeners); listener; listener = next) {
        next = LIST_NEXT(listener, link);
        if (fabric_of(listener->listener.fabric)->side == (int)side)
            remove_listener(listener);
    }
    struct request *request;
    LIST_FOREACH(request, &network->requests, link)
    {
        if (request->side == (int)side)
            request->abandoned = true;
        if (request->state == REQUEST_TAKEN && request->taken_by == (int)side)
            answer(request, one_way(request), -ECONNRESET, "the peer died");
    }
}

void sim_connect_ended(struct network *network)
{
    struct request *request = LIST_FIRST(&network->requests), *next;
    for (; request; request = next) {
        next = LIST_NEXT(request, link);
        request->holders = 1;
        release(request);
    }
}

/* ---- listening ---- */

int sim_listen(struct pr_fabric *base, const char *address, struct pr_listener **out)
{
    struct sim_fabric *fabric = fabric_of(base);
    world_point("listen", false);
    int err = check_address(address);
    if (err)
        return err;
    if (find_listener(fabric->network, address))
        return pr_error(EADDRINUSE, "something listens at %s already", address);
    struct sim_listener *listener = calloc(1, sizeof(*listener));
    if (!listener || pr_event_open(&listener->ready) < 0)
        abort();
    listener->listener.ops = &sim_ops;
    listener->listener.fabric = base;
    strcpy(listener->address, address);
    STAILQ_INIT(&listener->queue);
    LIST_INSERT_HEAD(&fabric->network->listeners, listener, link);
    fabric->listener_count++;
    *out = &listener->listener;
    return 0;
}

void sim_listener_close(struct pr_listener *base)
{
    struct sim_listener *listener = (struct sim_listener *)base;
    world_point("close listener", false);
    remove_listener(listener);
    fabric_of(base->fabric)->listener_count--;
    pr_event_close(&listener->ready);
    free(listener);
}

/* 0 when fd is readable, else the error of what came first. */
static int wait_for(int fd, uint64_t deadline_ns, const struct pr_event *cancel)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
    int ready = pr_poll(fds, 2, pr_deadline_left_ms(deadline_ns));
    if (ready < 0)
        return ready;
    if (fds[1].revents)
        return pr_error(ECANCELED, "cancelled");
    if (!ready)
        return pr_error(ETIMEDOUT, "nobody came before the time was over");
    return 0;
}

static int admit_request(struct request *request, struct sim_fabric *fabric, pr_admit_fn admit,
                         void *opaque, struct pr_lane **out)
{
    int err = admit ? admit(opaque, request->private_data, request->private_len) : 0;
    if (err) {
        answer(request, one_way(request), -ECONNREFUSED, pr_error_message());
        return -ECONNREFUSED;
    }
    if (request->abandoned) {
        answer(request, 0, -ECONNRESET, "");
        return pr_error(ECONNRESET, "the peer left before it was accepted");
    }
    struct end *server;
    sim_cable_make(request->fabric, fabric, &request->client, &server);
    answer(request, one_way(request), 0, "");
    *out = &server->lane;
    return 0;
}

int sim_accept(struct pr_listener *base, int timeout_ms, const struct pr_event *cancel,
               pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    struct sim_listener *listener = (struct sim_listener *)base;
    struct sim_fabric *fabric = fabric_of(base->fabric);
    uint64_t deadline_ns = pr_deadline_after_ms(timeout_ms);
    for (;;) {
        int err = wait_for(listener->ready.fd, deadline_ns, cancel);
        if (err)
            return err;
        struct request *request = dequeue(listener);
        if (!request)
            continue;
        if (!request->abandoned)
            return admit_request(request, fabric, admit, opaque, out);
        answer(request, 0, -ECONNRESET, "");
        /* A device may tell of a peer that left, or never mention it. */
        if (world_random_below(fabric->network->world, 2))
            return pr_error(ECONNRESET, "the peer left before it was accepted");
    }
}

/* ---- connecting ---- */

static struct request *send_request(struct sim_fabric *fabric, const char *address,
                                    const void *private_data, uint32_t len)
{
    struct network *network = fabric->network;
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        abort();
    request->network = network;
    request->fabric = fabric;
    request->side = fabric->side;
    request->net = fabric->net;
    strcpy(request->address, address);
    request->private_data = malloc(len + 1);
    if (!request->private_data || pr_event_open(&request->answered) < 0)
        abort();
    if (len)
        memcpy(request->private_data, private_data, len);
    request->private_len = len;
    request->holders = 2;
    request->event.fn = request_arrives;
    LIST_INSERT_HEAD(&network->requests, request, link);
    world_event_set(network->world, &request->event,
                    world_now_ns(network->world) + one_way(request));
    return request;
}

int sim_connect(struct pr_fabric *base, const char *address, const void *private_data, uint32_t len,
                int timeout_ms, const struct pr_event *cancel, struct pr_lane **out)
{
    struct sim_fabric *fabric = fabric_of(base);
    world_point("connect", false);
    int err = check_address(address);
    if (err)
        return err;
    if (len > fabric->net.limits.max_private_bytes)
        return pr_error(EINVAL, "private data has at most %u bytes, not %u",
                        fabric->net.limits.max_private_bytes, len);
    struct request *request = send_request(fabric, address, private_data, len);
    err = wait_for(request->answered.fd, pr_deadline_after_ms(timeout_ms), cancel);
    if (request->answered_now) {
        err = request->err;
        if (err)
            pr_error(-err, "%s: %s", address, request->sentence);
        else
            *out = &request->client->lane;
    } else {
        request->abandoned = true;
        if (request->client) {
            sim_end_unplug(request->client);
            sim_end_free(request->client);
        }
    }
    release(request);
    return err;
}
