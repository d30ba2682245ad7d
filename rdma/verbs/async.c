/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/async.h"

#include "base/log.h"
#include "rdma/verbs/status.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pr_verbs_lane *lanes;

void pr_verbs_async_add(struct pr_verbs_lane *lane)
{
    pthread_mutex_lock(&lock);
    lane->next = lanes;
    lanes = lane;
    pthread_mutex_unlock(&lock);
}

void pr_verbs_async_remove(struct pr_verbs_lane *lane)
{
    pthread_mutex_lock(&lock);
    struct pr_verbs_lane **link = &lanes;
    while (*link && *link != lane)
        link = &(*link)->next;
    if (*link)
        *link = lane->next;
    pthread_mutex_unlock(&lock);
}

static bool is_of_queue_pair(enum ibv_event_type type)
{
    return type == IBV_EVENT_QP_FATAL || type == IBV_EVENT_QP_REQ_ERR ||
           type == IBV_EVENT_QP_ACCESS_ERR || type == IBV_EVENT_COMM_EST ||
           type == IBV_EVENT_SQ_DRAINED || type == IBV_EVENT_PATH_MIG ||
           type == IBV_EVENT_PATH_MIG_ERR || type == IBV_EVENT_QP_LAST_WQE_REACHED;
}

static bool concerns(const struct ibv_async_event *event, const struct ibv_context *context,
                     const struct pr_verbs_lane *lane)
{
    if (is_of_queue_pair(event->event_type))
        return event->element.qp == lane->id->qp;
    if (event->event_type == IBV_EVENT_CQ_ERR)
        return event->element.cq == lane->cq;
    return event->event_type == IBV_EVENT_DEVICE_FATAL && lane->id->verbs == context;
}

static void report(const struct ibv_async_event *event, const char *device)
{
    const char *what = ibv_event_type_str(event->event_type);
    switch (event->event_type) {
    case IBV_EVENT_PORT_ERR:
        pr_log_warn("port %d of %s is down", event->element.port_num, device);
        break;
    case IBV_EVENT_PORT_ACTIVE:
        pr_log_info("port %d of %s is up", event->element.port_num, device);
        break;
    case IBV_EVENT_DEVICE_FATAL:
        pr_log_error("the RDMA device %s has failed", device);
        break;
    case IBV_EVENT_COMM_EST:
        break; /* part of connecting */
    default:
        pr_log_info("%s: %s", device, what);
    }
}

/* What an event says of a port, or -1. */
static int rail_state_of(const struct ibv_async_event *event)
{
    switch (event->event_type) {
    case IBV_EVENT_PORT_ACTIVE:
        return PR_RAIL_UP;
    case IBV_EVENT_PORT_ERR:
        return PR_RAIL_DOWN;
    case IBV_EVENT_DEVICE_FATAL:
        return PR_RAIL_FAILED;
    default:
        return -1;
    }
}

/* A fabric is on the port that its lanes are on. */
static void note_rail_state(const struct ibv_async_event *event, const struct ibv_context *context)
{
    int state = rail_state_of(event);
    if (state < 0)
        return;
    for (struct pr_verbs_lane *lane = lanes; lane; lane = lane->next) {
        bool here = state == PR_RAIL_FAILED || event->element.port_num == lane->id->port_num;
        if (lane->id->verbs == context && here)
            atomic_store(&lane->base.fabric->rail_state, state);
    }
}

static void deliver(const struct ibv_async_event *event, const struct ibv_context *context)
{
    for (struct pr_verbs_lane *lane = lanes; lane; lane = lane->next) {
        if (!concerns(event, context, lane))
            continue;
        if (event->event_type == IBV_EVENT_COMM_EST)
            atomic_store(&lane->data_arrived, true);
        else
            atomic_store(&lane->device_event, (int)event->event_type + 1);
    }
}

void pr_verbs_async_read(struct ibv_context *context)
{
    struct ibv_async_event event;
    /* The lock also keeps an event's queue pair alive until the event is acknowledged. */
    pthread_mutex_lock(&lock);
    while (!ibv_get_async_event(context, &event)) {
        report(&event, ibv_get_device_name(context->device));
        note_rail_state(&event, context);
        deliver(&event, context);
        ibv_ack_async_event(&event);
    }
    pthread_mutex_unlock(&lock);
}
