/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mock_lane.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/unit/check.h"
#include "transport/uri.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* For what the library's threads call: cmocka's checks belong to the test's thread. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

_Thread_local volatile bool mock_allocates; /* malloc is known to read no such thing */

static void *alloc(void *old, size_t size)
{
    mock_allocates = true;
    void *memory = realloc(old, size);
    mock_allocates = false;
    must(memory);
    return memory;
}

static void *alloc_zeroed(size_t size)
{
    return memset(alloc(NULL, size), 0, size);
}

static struct mock_lane *lane_of(struct pr_lane *lane)
{
    return (struct mock_lane *)lane;
}

static void raise_event(struct mock_lane *lane)
{
    uint64_t one = 1;
    must(write(lane->event, &one, sizeof(one)) == sizeof(one));
}

/* Appends room for one more element to an array of `count`. */
static void *grown(void *array, uint32_t count, size_t size)
{
    return alloc(array, (count + 1) * size);
}

static void arrive(struct mock_lane *lane, struct pr_completion completion)
{
    lane->arrivals = grown(lane->arrivals, lane->arrived, sizeof(*lane->arrivals));
    lane->arrivals[lane->arrived++] = completion;
    raise_event(lane);
}

/* ---- the fabric's operations ---- */

static int post(struct mock_lane *lane, struct mock_post post)
{
    struct mock_fabric *mock = lane->mock;
    pthread_mutex_lock(&mock->lock);
    int err = lane->post_err ? lane->post_err : lane->failed;
    if (!err && lane->posted - lane->completed == mock->base.limits.send_depth)
        err = -EAGAIN;
    if (!err) {
        lane->posts = grown(lane->posts, lane->posted, sizeof(*lane->posts));
        lane->posts[lane->posted++] = post;
        pthread_cond_broadcast(&mock->news);
    }
    pthread_mutex_unlock(&mock->lock);
    if (err)
        return pr_error(-err, "the mock refused a post");
    if (mock->on_post)
        mock->on_post(lane, &post);
    return 0;
}

static int post_write(struct pr_lane *base, const struct pr_rma *rma)
{
    return post(lane_of(base), (struct mock_post){.op = PR_OP_WRITE,
                                                  .signaled = rma->signaled,
                                                  .tag = rma->tag,
                                                  .rma = *rma,
                                                  .len = (uint32_t)rma->len});
}

static int post_send(struct pr_lane *base, const void *bytes, uint32_t len, uint64_t tag,
                     bool signaled)
{
    uint8_t *copy = alloc(NULL, len);
    memcpy(copy, bytes, len);
    int err =
        post(lane_of(base),
             (struct mock_post){
                 .op = PR_OP_SEND, .signaled = signaled, .tag = tag, .bytes = copy, .len = len});
    if (err)
        free(copy);
    return err;
}

static int flush(struct pr_lane *base)
{
    struct mock_lane *lane = lane_of(base);
    pthread_mutex_lock(&lane->mock->lock);
    for (uint32_t i = lane->posted; i && !lane->posts[i - 1].flushed; i--)
        lane->posts[i - 1].flushed = true;
    pthread_mutex_unlock(&lane->mock->lock);
    return 0;
}

static int poll_lane(struct pr_lane *base, struct pr_completion *out, unsigned max)
{
    struct mock_lane *lane = lane_of(base);
    unsigned count = 0;
    pthread_mutex_lock(&lane->mock->lock);
    while (count < max && lane->polled < lane->arrived) {
        out[count] = lane->arrivals[lane->polled++];
        lane->out += out[count++].op == PR_OP_RECV;
    }
    int err = count ? 0 : lane->failed;
    if (count)
        pthread_cond_broadcast(&lane->mock->news);
    pthread_mutex_unlock(&lane->mock->lock);
    if (err)
        return pr_error(-err, "the mock lane failed");
    return (int)count;
}

static void recv_done(struct pr_lane *base, const void *bytes)
{
    struct mock_lane *lane = lane_of(base);
    pthread_mutex_lock(&lane->mock->lock);
    must(lane->out > 0);
    lane->out--;
    for (uint32_t i = 0; i < lane->polled; i++) {
        if (lane->arrivals[i].bytes == bytes)
            lane->arrivals[i].bytes = NULL;
    }
    pthread_mutex_unlock(&lane->mock->lock);
    free((void *)bytes);
}

static int arm(struct pr_lane *base)
{
    struct mock_lane *lane = lane_of(base);
    uint64_t count;
    pthread_mutex_lock(&lane->mock->lock);
    (void)!read(lane->event, &count, sizeof(count));
    bool there = lane->polled < lane->arrived || lane->failed;
    pthread_mutex_unlock(&lane->mock->lock);
    return there;
}

static int lane_fd(struct pr_lane *base)
{
    return lane_of(base)->event;
}

static void lane_shut(struct pr_lane *base)
{
    struct mock_lane *lane = lane_of(base);
    pthread_mutex_lock(&lane->mock->lock);
    must(!lane->shut && !lane->closed);
    lane->shut = true;
    pthread_mutex_unlock(&lane->mock->lock);
}

static void lane_close(struct pr_lane *base)
{
    struct mock_lane *lane = lane_of(base);
    pthread_mutex_lock(&lane->mock->lock);
    must(!lane->closed);
    lane->closed = true;
    pthread_cond_broadcast(&lane->mock->news);
    pthread_mutex_unlock(&lane->mock->lock);
}

static int reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access,
               struct pr_mr **out)
{
    struct mock_fabric *mock = (struct mock_fabric *)base;
    (void)access;
    atomic_fetch_add(&mock->reg_calls, 1);
    if (mock->reg_ms)
        pr_sleep_ms(mock->reg_ms);
    if (mock->reg_err)
        return pr_error(-mock->reg_err, "the mock refused a registration");
    struct pr_mr *mr = alloc_zeroed(sizeof(*mr));
    *mr = (struct pr_mr){.fabric = base, .key = {(uintptr_t)addr, len, 7}, .addr = addr};
    atomic_fetch_add(&mock->registered, 1);
    *out = mr;
    return 0;
}

static void dereg(struct pr_mr *mr)
{
    atomic_fetch_sub(&((struct mock_fabric *)mr->fabric)->registered, 1);
    free(mr);
}

static bool reg_pays(struct pr_fabric *base, const void *addr, uint64_t len)
{
    (void)addr, (void)len;
    return !((struct mock_fabric *)base)->all_empty;
}

static int mock_connect(struct pr_fabric *base, const char *address, const void *knock,
                        uint32_t len, int timeout_ms, const struct pr_event *cancel,
                        struct pr_lane **out)
{
    struct mock_fabric *mock = (struct mock_fabric *)base;
    (void)address, (void)timeout_ms, (void)cancel;
    struct mock_lane *lane;
    int err = mock->connect ? mock->connect(mock, knock, len, &lane)
                            : pr_error(ECONNREFUSED, "nobody listens");
    if (!err)
        *out = &lane->base;
    return err;
}

static int mock_listen(struct pr_fabric *base, const char *address, struct pr_listener **out)
{
    (void)address;
    struct pr_listener *listener = alloc(NULL, sizeof(*listener));
    *listener = (struct pr_listener){base->ops, base};
    *out = listener;
    return 0;
}

static int mock_accept(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
                       pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    struct mock_fabric *mock = (struct mock_fabric *)listener->fabric;
    (void)timeout_ms, (void)cancel;
    struct mock_lane *lane;
    int err = mock->accept ? mock->accept(mock, admit, opaque, &lane)
                           : pr_error(ETIMEDOUT, "nobody came");
    if (!err)
        *out = &lane->base;
    return err;
}

static void listener_close(struct pr_listener *listener)
{
    free(listener);
}

static void fabric_close(struct pr_fabric *base)
{
    struct mock_fabric *mock = (struct mock_fabric *)base;
    must(!mock->closed);
    mock->closed = true;
}

static struct pr_fabric_ops ops;

/* ---- what tests call ---- */

struct mock_fabric *mock_fabric_new(void)
{
    struct mock_fabric *mock = alloc_zeroed(sizeof(*mock));
    ops = pr_fabric_ops_complete((struct pr_fabric_ops){
        .close = fabric_close,
        .listen = mock_listen,
        .accept = mock_accept,
        .listener_close = listener_close,
        .connect = mock_connect,
        .reg = reg,
        .dereg = dereg,
        .reg_pays = reg_pays,
        .post_write = post_write,
        .post_send = post_send,
        .flush = flush,
        .poll = poll_lane,
        .recv_done = recv_done,
        .arm = arm,
        .fd = lane_fd,
        .lane_shut = lane_shut,
        .lane_close = lane_close,
    });
    mock->base = (struct pr_fabric){.ops = &ops,
                                    .name = "mock",
                                    .limits = {.max_write_bytes = 1 << 20,
                                               .max_window_bytes = UINT64_C(1) << 40,
                                               .max_message_bytes = PR_WIRE_MAX_MESSAGE,
                                               .send_depth = 64,
                                               .recv_depth = 16,
                                               .max_private_bytes = 64,
                                               .suggested_lanes = 1}};
    pthread_mutex_init(&mock->lock, NULL);
    pthread_cond_init(&mock->news, NULL);
    return mock;
}

static void lane_free(struct mock_lane *lane)
{
    assert_true(lane->closed);
    for (uint32_t i = 0; i < lane->posted; i++)
        free(lane->posts[i].bytes);
    for (uint32_t i = 0; i < lane->arrived; i++)
        free((void *)lane->arrivals[i].bytes);
    free(lane->posts);
    free(lane->arrivals);
    close(lane->event);
    free(lane);
}

void mock_fabric_free(struct mock_fabric *mock)
{
    while (mock->lanes) {
        struct mock_lane *lane = mock->lanes;
        mock->lanes = lane->next;
        lane_free(lane);
    }
    assert_int_equal(mock->registered, 0);
    pthread_cond_destroy(&mock->news);
    pthread_mutex_destroy(&mock->lock);
    free(mock);
}

static int open_override(void *opaque, struct pr_fabric **out)
{
    *out = &((struct mock_fabric *)opaque)->base;
    return 0;
}

void mock_fabric_override(struct mock_fabric *mock)
{
    pr_uri_override("mock", open_override, mock);
}

struct mock_lane *mock_lane_new(struct mock_fabric *mock)
{
    struct mock_lane *lane = alloc_zeroed(sizeof(*lane));
    lane->base = (struct pr_lane){mock->base.ops, &mock->base};
    lane->mock = mock;
    mock_allocates = true;
    lane->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    mock_allocates = false;
    must(lane->event >= 0);
    pthread_mutex_lock(&mock->lock);
    lane->number = mock->lane_count++;
    lane->next = mock->lanes;
    mock->lanes = lane;
    pthread_mutex_unlock(&mock->lock);
    return lane;
}

void mock_deliver_raw(struct mock_lane *lane, struct pr_completion completion)
{
    pthread_mutex_lock(&lane->mock->lock);
    arrive(lane, completion);
    pthread_mutex_unlock(&lane->mock->lock);
}

void mock_deliver(struct mock_lane *lane, const void *message, int len)
{
    assert_true(len > 0);
    void *copy = alloc(NULL, (size_t)len);
    memcpy(copy, message, (size_t)len);
    mock_deliver_raw(lane,
                     (struct pr_completion){.op = PR_OP_RECV, .len = (uint32_t)len, .bytes = copy});
}

void mock_deliver_empty(struct mock_lane *lane, enum pr_wire_type type, uint16_t credits)
{
    uint8_t message[PR_WIRE_HEADER_BYTES];
    int len = pr_wire_empty_encode(type, message, sizeof(message));
    pr_wire_set_credits(message, credits);
    mock_deliver(lane, message, len);
}

void mock_complete(struct mock_lane *lane, uint32_t count)
{
    pthread_mutex_lock(&lane->mock->lock);
    for (; count && lane->completed < lane->posted; count--) {
        const struct mock_post *post = &lane->posts[lane->completed++];
        if (post->signaled)
            arrive(lane, (struct pr_completion){.op = post->op, .tag = post->tag});
    }
    pthread_mutex_unlock(&lane->mock->lock);
}

void mock_fail(struct mock_lane *lane, int err)
{
    pthread_mutex_lock(&lane->mock->lock);
    lane->failed = err;
    raise_event(lane);
    pthread_mutex_unlock(&lane->mock->lock);
}

void mock_post_err(struct mock_lane *lane, int err)
{
    pthread_mutex_lock(&lane->mock->lock);
    lane->post_err = err;
    raise_event(lane);
    pthread_mutex_unlock(&lane->mock->lock);
}

static bool is_message(const struct mock_post *post, enum pr_wire_type type)
{
    return post->op == PR_OP_SEND && post->bytes[0] == type;
}

static uint32_t messages_locked(const struct mock_lane *lane, enum pr_wire_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < lane->posted; i++)
        count += is_message(&lane->posts[i], type);
    return count;
}

uint32_t mock_messages(struct mock_lane *lane, enum pr_wire_type type)
{
    pthread_mutex_lock(&lane->mock->lock);
    uint32_t count = messages_locked(lane, type);
    pthread_mutex_unlock(&lane->mock->lock);
    return count;
}

uint32_t mock_writes(struct mock_lane *lane)
{
    pthread_mutex_lock(&lane->mock->lock);
    uint32_t count = 0;
    for (uint32_t i = 0; i < lane->posted; i++)
        count += lane->posts[i].op == PR_OP_WRITE;
    pthread_mutex_unlock(&lane->mock->lock);
    return count;
}

struct pr_wire_header mock_message(struct mock_lane *lane, enum pr_wire_type type, uint32_t n,
                                   const void **body)
{
    struct pr_wire_header header = {0};
    pthread_mutex_lock(&lane->mock->lock);
    uint32_t i = 0;
    for (; i < lane->posted; i++) {
        if (is_message(&lane->posts[i], type) && !n--)
            break;
    }
    if (i == lane->posted)
        fail_msg("lane %u: there is no such %s message", lane->number, pr_wire_name(type));
    assert_int_equal(pr_wire_header_decode(&header, body, lane->posts[i].bytes, lane->posts[i].len),
                     0);
    pthread_mutex_unlock(&lane->mock->lock);
    return header;
}

static struct timespec in_ten_seconds(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 10;
    return limit;
}

void mock_wait_polled(struct mock_lane *lane)
{
    struct timespec limit = in_ten_seconds();
    pthread_mutex_lock(&lane->mock->lock);
    while (lane->polled < lane->arrived) {
        if (pthread_cond_timedwait(&lane->mock->news, &lane->mock->lock, &limit))
            fail_msg("lane %u: nobody polled it within 10 s", lane->number);
    }
    pthread_mutex_unlock(&lane->mock->lock);
}

void mock_wait_messages(struct mock_lane *lane, enum pr_wire_type type, uint32_t n)
{
    struct timespec limit = in_ten_seconds();
    pthread_mutex_lock(&lane->mock->lock);
    while (messages_locked(lane, type) < n) {
        if (pthread_cond_timedwait(&lane->mock->news, &lane->mock->lock, &limit))
            fail_msg("lane %u: no %u %s messages within 10 s", lane->number, n, pr_wire_name(type));
    }
    pthread_mutex_unlock(&lane->mock->lock);
}
