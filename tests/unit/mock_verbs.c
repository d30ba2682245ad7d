/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mock_verbs.h"

#include "tests/unit/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The headers redirect these names to inline functions, which end up here. */
#undef ibv_query_port
#undef ibv_reg_mr

struct mock_verbs mock;

static struct ibv_device devices[MOCK_DEVICES];
static struct verbs_context extended[MOCK_DEVICES];

static bool fails(void)
{
    if (++mock.calls != mock.fail_at)
        return false;
    errno = mock.fail_errno;
    return true;
}

static void *make(size_t size)
{
    void *object = calloc(1, size);
    assert_non_null(object);
    mock.live++;
    return object;
}

static void unmake(void *object)
{
    mock.live--;
    free(object);
}

static int make_fd(void)
{
    int fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void ring_fd(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* False (errno set) when it is not rung. The library must have made it non-blocking. */
static bool unring_fd(int fd)
{
    uint64_t one;
    return read(fd, &one, sizeof(one)) == sizeof(one);
}

/* ---- connection events ---- */

struct mock_id {
    struct rdma_cm_id id; /* first: cast back */
    int unacked;
};

struct mock_event {
    struct rdma_cm_event event; /* first: cast back */
    struct mock_event *next;
    struct rdma_event_channel *channel;
    uint8_t data[256];
};

struct mock_channel {
    struct rdma_event_channel channel; /* first: cast back */
    int ids;
};

static struct mock_event *events; /* not fetched yet */
static struct mock_id *listening, *newest;

static void push_event(struct mock_id *id, struct mock_id *subject, enum rdma_cm_event_type type,
                       int status, const void *data, uint8_t len)
{
    struct mock_event *event = calloc(1, sizeof(*event));
    assert_non_null(event);
    event->event.id = &subject->id;
    event->event.event = type;
    event->event.status = status;
    event->channel = id->id.channel;
    if (len)
        memcpy(event->data, data, len);
    event->event.param.conn.private_data = len ? event->data : NULL;
    event->event.param.conn.private_data_len = len;
    struct mock_event **link = &events;
    while (*link)
        link = &(*link)->next;
    *link = event;
    ring_fd(event->channel->fd);
}

static void push_answer(struct rdma_cm_id *id, const struct mock_answer *answer)
{
    if (!answer->silent)
        push_event((struct mock_id *)id, (struct mock_id *)id, answer->type, answer->status,
                   answer->data, answer->len);
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    if (fails())
        return NULL;
    struct mock_channel *channel = make(sizeof(*channel));
    channel->channel.fd = make_fd();
    return &channel->channel;
}

static void drop_id(struct mock_id *id)
{
    ((struct mock_channel *)id->id.channel)->ids--;
    if (id == newest)
        newest = NULL;
    if (id == listening)
        listening = NULL;
    unmake(id);
}

/* As the kernel does: events of something destroyed vanish, and requests nobody took. */
static void drop_events(struct rdma_event_channel *channel, struct rdma_cm_id *id)
{
    struct mock_event **link = &events;
    while (*link) {
        struct mock_event *event = *link;
        if (event->channel != channel || (id && event->event.id != id && &listening->id != id)) {
            link = &event->next;
            continue;
        }
        *link = event->next;
        assert_true(unring_fd(channel->fd));
        if (event->event.event == RDMA_CM_EVENT_CONNECT_REQUEST)
            drop_id((struct mock_id *)event->event.id);
        free(event);
    }
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    drop_events(channel, NULL);
    assert_int_equal(((struct mock_channel *)channel)->ids, 0);
    close(channel->fd);
    unmake(channel);
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **out)
{
    if (!unring_fd(channel->fd))
        return -1;
    struct mock_event **link = &events;
    while ((*link)->channel != channel)
        link = &(*link)->next;
    struct mock_event *event = *link;
    *link = event->next;
    ((struct mock_id *)event->event.id)->unacked++;
    mock.live++;
    *out = &event->event;
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    ((struct mock_id *)event->id)->unacked--;
    unmake(event);
    return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
    (void)event;
    return "an event";
}

void mock_verbs_event(enum rdma_cm_event_type type, int status)
{
    assert_non_null(newest);
    push_event(newest, newest, type, status, NULL, 0);
}

/* ---- connections ---- */

static struct mock_id *make_id(struct rdma_event_channel *channel)
{
    struct mock_id *id = make(sizeof(*id));
    id->id.channel = channel;
    ((struct mock_channel *)channel)->ids++;
    return id;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    (void)context;
    assert_int_equal(ps, RDMA_PS_TCP);
    if (fails())
        return -1;
    newest = make_id(channel);
    *id = &newest->id;
    return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    assert_null(id->qp);
    assert_int_equal(((struct mock_id *)id)->unacked, 0); /* the real one would hang */
    drop_events(id->channel, id);
    drop_id((struct mock_id *)id);
    return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
    (void)id, (void)addr;
    return fails() ? -1 : 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    assert_true(backlog > 0);
    if (fails())
        return -1;
    listening = (struct mock_id *)id;
    return 0;
}

void mock_verbs_request(const void *data, uint8_t len)
{
    uint8_t padded[56] = {0};
    assert_non_null(listening);
    assert_true(len <= sizeof(padded));
    if (len)
        memcpy(padded, data, len);
    newest = make_id(listening->id.channel);
    newest->id.verbs = &extended[mock.route_device].context;
    newest->id.port_num = 1;
    push_event(listening, newest, RDMA_CM_EVENT_CONNECT_REQUEST, 0, padded, sizeof(padded));
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
    assert_int_equal(((struct mock_id *)id)->unacked, 0); /* the real one would hang */
    if (fails())
        return -1;
    ((struct mock_channel *)id->channel)->ids--;
    ((struct mock_channel *)channel)->ids++;
    id->channel = channel;
    return 0;
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *from, struct sockaddr *to,
                      int timeout_ms)
{
    (void)from, (void)to;
    assert_true(timeout_ms > 0);
    if (fails())
        return -1;
    id->verbs = &extended[mock.route_device].context;
    id->port_num = 1;
    const struct mock_answer missed = {.type = RDMA_CM_EVENT_ADDR_ERROR, .status = -ETIMEDOUT};
    push_answer(id, mock.address_misses > 0 ? &missed : &mock.address);
    mock.address_misses--;
    return 0;
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
    assert_true(timeout_ms > 0);
    if (fails())
        return -1;
    push_answer(id, &mock.route);
    return 0;
}

int rdma_set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t len)
{
    assert_int_equal(len, 1);
    assert_int_equal(level, RDMA_OPTION_ID);
    if (name == RDMA_OPTION_ID_TOS) {
        assert_int_equal(((struct mock_id *)id)->unacked, 0); /* nothing is resolved yet */
        mock.traffic_class = *(uint8_t *)value;
        return fails() ? -1 : 0;
    }
    assert_int_equal(name, RDMA_OPTION_ID_ACK_TIMEOUT);
    assert_int_equal(*(uint8_t *)value, mock.device_attr.vendor_id == 0xffffff ? 19 : 16);
    return fails() ? -1 : 0;
}

static void keep_param(const struct rdma_cm_id *id, const struct rdma_conn_param *param,
                       bool connects)
{
    assert_non_null(id->qp);
    assert_true(mock.receives > 0); /* ready before the peer can send */
    /* The accepting side's is not looked at. Seven has no end on software RoCE. */
    bool software = mock.device_attr.vendor_id == 0xffffff;
    assert_int_equal(param->retry_count, connects && software ? 6 : 7);
    assert_int_equal(param->rnr_retry_count, 7);
    mock.private_len = param->private_data_len;
    memcpy(mock.private_data, param->private_data, param->private_data_len);
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    keep_param(id, param, true);
    if (fails())
        return -1;
    push_answer(id, &mock.connect);
    return 0;
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    keep_param(id, param, false);
    if (fails())
        return -1;
    push_answer(id, &mock.accept);
    return 0;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
    (void)id, (void)mask;
    assert_int_equal(attr->qp_state, IBV_QPS_INIT);
    errno = EINVAL;
    return mock.peer_left ? -1 : 0;
}

int rdma_notify(struct rdma_cm_id *id, enum ibv_event_type event)
{
    assert_int_equal(event, IBV_EVENT_COMM_EST);
    mock.notifies++;
    push_event((struct mock_id *)id, (struct mock_id *)id, RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0);
    return 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t len)
{
    (void)id;
    assert_true(len <= 148);
    mock.rejects++;
    mock.reject_len = len;
    memcpy(mock.reject_data, data, len);
    return fails() ? -1 : 0;
}

/* ---- completions ---- */

struct mock_cq {
    struct ibv_cq cq; /* first: cast back */
    unsigned fetched, acked;
    int users;
    bool armed;
};

struct mock_wakeups {
    struct ibv_comp_channel channel; /* first: cast back */
    int users;
    struct mock_cq *cq;
};

#define WC_MAX 1024
static struct ibv_wc completions[WC_MAX];
static unsigned wc_first, wc_count;

static void push_completion(const struct ibv_wc *wc)
{
    assert_true(wc_count < WC_MAX);
    completions[(wc_first + wc_count++) % WC_MAX] = *wc;
}

void mock_verbs_complete(const struct ibv_wc *wc)
{
    assert_non_null(newest);
    push_completion(wc);
    if (wc->wr_id >> 63)
        mock.receives--;
    struct mock_cq *cq = (struct mock_cq *)newest->id.qp->send_cq;
    if (cq->armed)
        ring_fd(cq->cq.channel->fd);
    cq->armed = false;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    if (fails())
        return NULL;
    struct mock_wakeups *wakeups = make(sizeof(*wakeups));
    wakeups->channel.context = context;
    wakeups->channel.fd = make_fd();
    return &wakeups->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    assert_int_equal(((struct mock_wakeups *)channel)->users, 0);
    close(channel->fd);
    unmake(channel);
    return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries, void *cq_context,
                             struct ibv_comp_channel *channel, int vector)
{
    (void)cq_context, (void)vector;
    assert_true(entries <= mock.device_attr.max_cqe);
    if (fails())
        return NULL;
    struct mock_cq *cq = make(sizeof(*cq));
    cq->cq = (struct ibv_cq){.context = context, .channel = channel, .cqe = entries};
    ((struct mock_wakeups *)channel)->users++;
    ((struct mock_wakeups *)channel)->cq = cq;
    return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    struct mock_cq *own = (struct mock_cq *)cq;
    assert_int_equal(own->users, 0);
    assert_int_equal(own->fetched, own->acked); /* the real one would hang */
    ((struct mock_wakeups *)cq->channel)->users--;
    unmake(own);
    return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **context)
{
    if (!unring_fd(channel->fd))
        return -1;
    *cq = &((struct mock_wakeups *)channel)->cq->cq;
    *context = NULL;
    ((struct mock_cq *)*cq)->fetched++;
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned count)
{
    ((struct mock_cq *)cq)->acked += count;
}

static int poll_cq(struct ibv_cq *cq, int max, struct ibv_wc *out)
{
    (void)cq;
    int count = 0;
    for (; count < max && wc_count; count++, wc_count--)
        out[count] = completions[wc_first++ % WC_MAX];
    return count;
}

static int req_notify_cq(struct ibv_cq *cq, int solicited)
{
    assert_int_equal(solicited, 0);
    if (fails())
        return mock.fail_errno;
    ((struct mock_cq *)cq)->armed = true;
    return 0;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
    return status <= IBV_WC_TM_RNDV_INCOMPLETE ? "status text" : "unknown";
}

/* ---- queue pairs ---- */

static uint64_t receive_ids[1024];

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    assert_ptr_equal(pd->context, id->verbs);
    assert_int_equal(attr->qp_type, IBV_QPT_RC);
    assert_true(attr->send_cq->cqe >= (int)(attr->cap.max_send_wr + attr->cap.max_recv_wr));
    assert_true(attr->cap.max_send_wr <= (uint32_t)mock.device_attr.max_qp_wr);
    if (mock.inline_refused && attr->cap.max_inline_data) {
        errno = EINVAL;
        return -1;
    }
    if (fails())
        return -1;
    id->qp = make(sizeof(*id->qp));
    id->qp->context = id->verbs;
    id->qp->send_cq = id->qp->recv_cq = attr->send_cq;
    ((struct mock_cq *)attr->send_cq)->users++;
    id->pd = pd;
    mock.receives = 0;
    wc_count = 0;
    return 0;
}

void rdma_destroy_qp(struct rdma_cm_id *id)
{
    ((struct mock_cq *)id->qp->send_cq)->users--;
    unmake(id->qp);
    id->qp = NULL;
    mock.receives = 0;
}

/* What the device has comes back. */
static void flush_receives(void)
{
    for (; mock.receives; mock.receives--) {
        struct ibv_wc wc = {.wr_id = receive_ids[mock.receives - 1], .status = IBV_WC_WR_FLUSH_ERR};
        push_completion(&wc);
    }
}

int rdma_disconnect(struct rdma_cm_id *id)
{
    (void)id; /* its queue pair may be gone already */
    mock.disconnects++;
    if (fails())
        return -1;
    flush_receives();
    return 0;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
    assert_non_null(qp);
    assert_int_equal(mask, IBV_QP_STATE);
    assert_int_equal(attr->qp_state, IBV_QPS_ERR);
    flush_receives();
    return 0;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    (void)qp;
    if (fails()) {
        *bad = wr;
        return mock.fail_errno;
    }
    assert_true(mock.receives < COUNT_OF(receive_ids));
    receive_ids[mock.receives++] = wr->wr_id;
    return 0;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    (void)qp;
    mock.bursts++;
    for (; wr; wr = wr->next) {
        if (mock.post_errno) {
            *bad = wr;
            return mock.post_errno;
        }
        assert_true(mock.sent_count < MOCK_SENT_MAX);
        struct mock_sent *sent = &mock.sent[mock.sent_count++];
        *sent = (struct mock_sent){.wr = *wr, .burst = mock.bursts};
        if (wr->num_sge)
            sent->sge = *wr->sg_list;
    }
    return 0;
}

/* ---- memory ---- */

struct mock_pd {
    struct ibv_pd pd; /* first: cast back */
    int users;
};

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    if (fails())
        return NULL;
    struct mock_pd *pd = make(sizeof(*pd));
    pd->pd.context = context;
    return &pd->pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    assert_int_equal(((struct mock_pd *)pd)->users, 0);
    unmake(pd);
    return 0;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t len, uint64_t iova,
                                unsigned access)
{
    static uint32_t keys = 100;
    assert_int_equal(iova, (uintptr_t)addr);
    if (fails())
        return NULL;
    keys += 2;
    struct ibv_mr *mr = make(sizeof(*mr));
    *mr = (struct ibv_mr){.context = pd->context,
                          .pd = pd,
                          .addr = addr,
                          .length = len,
                          .lkey = keys,
                          .rkey = keys + 1};
    ((struct mock_pd *)pd)->users++;
    mock.reg_access = (int)access;
    return mr;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t len, int access)
{
    return ibv_reg_mr_iova2(pd, addr, len, (uintptr_t)addr, (unsigned)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    ((struct mock_pd *)mr->pd)->users--;
    unmake(mr);
    return 0;
}

/* ---- devices ---- */

struct ibv_context **rdma_get_devices(int *count)
{
    if (fails())
        return NULL;
    struct ibv_context **list = make((MOCK_DEVICES + 1) * sizeof(struct ibv_context *));
    for (int i = 0; i < mock.devices; i++) {
        list[i] = &extended[i].context;
        snprintf(devices[i].ibdev_path, sizeof(devices[i].ibdev_path), "%s",
                 mock.sysfs ? mock.sysfs : "/nowhere");
    }
    *count = mock.devices;
    return list;
}

void rdma_free_devices(struct ibv_context **list)
{
    unmake(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    static const char *const names[MOCK_DEVICES] = {"mock0", "mock1", "mock2"};
    return names[device - devices];
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *out)
{
    (void)context;
    *out = mock.device_attr;
    return fails() ? mock.fail_errno : 0;
}

static int query_device_ex(struct ibv_context *context,
                           const struct ibv_query_device_ex_input *input,
                           struct ibv_device_attr_ex *out, size_t size)
{
    (void)context;
    assert_null(input);
    assert_int_equal(size, sizeof(*out));
    *out = (struct ibv_device_attr_ex){.orig_attr = mock.device_attr, .odp_caps = mock.odp_caps};
    return fails() ? mock.fail_errno : 0;
}

int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *out)
{
    (void)context;
    assert_true(port >= 1 && port <= mock.device_attr.phys_port_cnt);
    memcpy(out, &mock.port_attr, sizeof(mock.port_attr));
    return fails() ? mock.fail_errno : 0;
}

static enum ibv_event_type device_events[16];
static unsigned device_event_count;

void mock_verbs_device_event(enum ibv_event_type type)
{
    assert_true(device_event_count < COUNT_OF(device_events));
    device_events[device_event_count++] = type;
    ring_fd(extended[mock.route_device].context.async_fd);
}

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *out)
{
    if (!unring_fd(context->async_fd))
        return -1;
    *out = (struct ibv_async_event){.event_type = device_events[0]};
    memmove(device_events, device_events + 1, --device_event_count * sizeof(device_events[0]));
    switch (out->event_type) {
    case IBV_EVENT_CQ_ERR:
        out->element.cq = newest->id.qp->send_cq;
        break;
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_PORT_ACTIVE:
        out->element.port_num = 1;
        break;
    default:
        out->element.qp = newest ? newest->id.qp : NULL;
    }
    mock.live++;
    return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
    (void)event;
    mock.live--;
}

const char *ibv_event_type_str(enum ibv_event_type type)
{
    (void)type;
    return "event text";
}

void mock_verbs_start(void)
{
    static const uint8_t welcome[] = {'P', 'g', 'R', 'l', 1, 2, 0, 0};
    mock = (struct mock_verbs){
        .devices = 1,
        .fail_errno = EIO,
        .device_attr = {.max_qp_wr = 16384,
                        .max_cqe = 1 << 20,
                        .max_sge = 30,
                        .max_mr_size = UINT64_MAX,
                        .phys_port_cnt = 1},
        .port_attr = {.max_msg_sz = 1u << 30,
                      .active_mtu = IBV_MTU_4096,
                      .link_layer = IBV_LINK_LAYER_ETHERNET},
        .address = {.type = RDMA_CM_EVENT_ADDR_RESOLVED},
        .route = {.type = RDMA_CM_EVENT_ROUTE_RESOLVED},
        .connect = {.type = RDMA_CM_EVENT_ESTABLISHED},
        .accept = {.type = RDMA_CM_EVENT_ESTABLISHED},
    };
    memcpy(mock.connect.data, welcome, sizeof(welcome));
    mock.connect.len = 196; /* padded, as InfiniBand's connection manager does */
    wc_count = device_event_count = 0;
    for (int i = 0; i < MOCK_DEVICES; i++) {
        extended[i] =
            (struct verbs_context){.query_device_ex = query_device_ex, .sz = sizeof(extended[i])};
        struct ibv_context *context = &extended[i].context;
        *context = (struct ibv_context){
            .device = &devices[i], .async_fd = make_fd(), .abi_compat = __VERBS_ABI_IS_EXTENDED};
        context->ops.poll_cq = poll_cq;
        context->ops.req_notify_cq = req_notify_cq;
        context->ops.post_send = post_send;
        context->ops.post_recv = post_recv;
    }
}

void mock_verbs_finish(void)
{
    assert_int_equal(mock.live, 0);
    assert_null(events);
    for (int i = 0; i < MOCK_DEVICES; i++)
        close(extended[i].context.async_fd);
}
