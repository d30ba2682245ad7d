/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mock_destination.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "transport/mark.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* With as many credits as the source has spent on the lane. */
static void deliver(struct mock_lane *lane, uint8_t *message, int len)
{
    pr_wire_set_credits(message, (uint16_t)atomic_exchange(&lane->owed, 0));
    mock_deliver(lane, message, len);
}

static void deliver_empty(struct mock_lane *lane, enum pr_wire_type type)
{
    uint8_t message[PR_WIRE_HEADER_BYTES];
    deliver(lane, message, pr_wire_empty_encode(type, message, sizeof(message)));
}

void mock_destination_say(struct mock_destination *d, enum pr_wire_type empty)
{
    deliver_empty(d->control, empty);
}

void mock_destination_ack(struct mock_destination *d, uint64_t epoch)
{
    uint8_t message[64];
    struct pr_wire_epoch_ack ack = {epoch};
    deliver(d->control, message, pr_wire_epoch_ack_encode(&ack, message, sizeof(message)));
}

void mock_destination_abort(struct mock_destination *d, const char *reason)
{
    uint8_t message[PR_WIRE_MIN_MESSAGE];
    struct pr_wire_abort abort_message = {.code = EIO};
    snprintf(abort_message.reason, sizeof(abort_message.reason), "%s", reason);
    deliver(d->control, message, pr_wire_abort_encode(&abort_message, message, sizeof(message)));
}

void mock_destination_welcome(struct mock_destination *d)
{
    uint8_t message[PR_WIRE_MIN_MESSAGE];
    deliver(d->control, message, pr_wire_welcome_encode(&d->welcome, message, sizeof(message)));
}

static void on_hello(struct mock_destination *d, const void *body, uint32_t len)
{
    struct pr_wire_hello hello;
    if (pr_wire_hello_decode(&hello, body, len))
        abort();
    d->regions = hello.regions;
    if (!d->welcome.window_bytes)
        d->welcome.window_bytes = hello.window_bytes;
    if (!d->welcome.rail[0].lanes)
        d->welcome.rail[0].lanes = hello.rail[0].lanes;
}

static void on_region(struct mock_destination *d, const void *body, uint32_t len)
{
    struct pr_wire_region region;
    if (pr_wire_region_decode(&region, body, len))
        abort();
    if (region.index + 1 < d->regions)
        return;
    mock_destination_welcome(d);
    for (uint32_t i = 0; i < d->regions; i++) {
        uint8_t message[64];
        struct pr_wire_accept accept = {i, d->accept_flags};
        deliver(d->control, message, pr_wire_accept_encode(&accept, message, sizeof(message)));
    }
}

static void on_want(struct mock_destination *d, const void *body, uint32_t len)
{
    struct pr_wire_want want;
    if (pr_wire_want_decode(&want, body, len))
        abort();
    for (uint32_t i = 0; i < want.count && !d->hold_grants; i++) {
        uint8_t message[64];
        struct pr_wire_grant grant = {
            .window = want.window[i], .addr = 1 << 20, .len = d->welcome.window_bytes, .rkey = 1};
        deliver(d->control, message, pr_wire_grant_encode(&grant, message, sizeof(message)));
    }
}

static void ready_when_whole_locked(struct mock_destination *d)
{
    if (!d->stream_ended || !d->marked || d->acked < d->marked || d->said_ready || d->hold_ready ||
        d->hold_acks)
        return;
    d->said_ready = true;
    mock_destination_say(d, PR_WIRE_READY);
}

static void on_epoch_end(struct mock_destination *d)
{
    pthread_mutex_lock(&d->lock);
    bool complete = ++d->ended == d->welcome.rail[0].lanes;
    if (complete) {
        d->ended = 0;
        d->acked++;
    }
    if (complete && !d->hold_acks)
        mock_destination_ack(d, d->acked);
    ready_when_whole_locked(d);
    pthread_mutex_unlock(&d->lock);
}

/* The mark comes whole in the first message of the stream. */
static void on_stream(struct mock_destination *d, enum pr_wire_type type, const void *body,
                      uint32_t len)
{
    struct pr_wire_stream stream;
    pthread_mutex_lock(&d->lock);
    d->stream_ended |= type == PR_WIRE_STREAM_END;
    if (type == PR_WIRE_STREAM && !d->marked &&
        (pr_wire_stream_decode(&stream, body, len) || pr_mark_decode(stream.bytes, &d->marked)))
        abort();
    ready_when_whole_locked(d);
    pthread_mutex_unlock(&d->lock);
}

static void on_release(struct mock_destination *d)
{
    uint8_t message[64];
    struct pr_wire_running running = {5, 7};
    if (!d->hold_running)
        deliver(d->control, message, pr_wire_running_encode(&running, message, sizeof(message)));
}

static void on_ping(struct mock_destination *d, const void *body, uint32_t len)
{
    uint8_t message[64];
    struct pr_wire_ping ping;
    if (pr_wire_ping_decode(&ping, body, len))
        abort();
    deliver(d->control, message, pr_wire_pong_encode(&ping, message, sizeof(message)));
}

static void offer_room(struct mock_destination *d)
{
    uint8_t message[64];
    struct pr_wire_stream_limit limit = {d->hold_room ? PR_MARK_BYTES : 4 << 20};
    deliver(d->control, message, pr_wire_stream_limit_encode(&limit, message, sizeof(message)));
}

static void on_message(struct mock_destination *d, struct mock_lane *lane,
                       const struct mock_post *post)
{
    struct pr_wire_header header;
    const void *body;
    if (pr_wire_header_decode(&header, &body, post->bytes, post->len))
        abort();
    if (d->hook && d->hook(d, lane, header.type))
        return;
    switch (header.type) {
    case PR_WIRE_PING:
        if (d->answer_pings)
            on_ping(d, body, header.body_len);
        break;
    case PR_WIRE_HELLO:
        on_hello(d, body, header.body_len);
        break;
    case PR_WIRE_REGION:
        on_region(d, body, header.body_len);
        break;
    case PR_WIRE_WANT:
        on_want(d, body, header.body_len);
        break;
    case PR_WIRE_STREAM_LIMIT:
        offer_room(d);
        break;
    case PR_WIRE_STREAM:
    case PR_WIRE_STREAM_END:
        on_stream(d, header.type, body, header.body_len);
        break;
    case PR_WIRE_RELEASE:
        on_release(d);
        break;
    case PR_WIRE_EPOCH_END:
        on_epoch_end(d);
        break;
    default:
        break;
    }
}

static void on_post(struct mock_lane *lane, const struct mock_post *post)
{
    struct mock_destination *d = lane->peer;
    if (post->op == PR_OP_SEND) {
        atomic_fetch_add(&lane->owed, 1);
        on_message(d, lane, post);
        if (atomic_load(&lane->owed) >= 2)
            deliver_empty(lane, PR_WIRE_CREDIT);
    }
    if (!d->hold_completions)
        mock_complete(lane, 1);
}

static int on_connect(struct mock_fabric *fabric, const void *bytes, uint32_t len,
                      struct mock_lane **out)
{
    struct mock_destination *d = fabric->peer;
    struct pr_wire_knock knock;
    if (pr_wire_knock_decode(&knock, bytes, len))
        abort();
    if (knock.lane && knock.lane == d->refuse_lane && d->abort_when_refusing)
        mock_destination_abort(d, d->abort_when_refusing);
    if (knock.lane && knock.lane == d->refuse_lane)
        return pr_error(ECONNREFUSED, "this lane is refused");
    struct mock_lane *lane = mock_lane_new(fabric);
    lane->peer = d;
    *(knock.lane ? &d->data[knock.lane - 1] : &d->control) = lane;
    *out = lane;
    return 0;
}

void mock_destination_open(struct mock_destination *d)
{
    *d = (struct mock_destination){
        .welcome = {.version = PR_WIRE_VERSION,
                    .message_bytes = PR_WIRE_MAX_MESSAGE,
                    .recv_depth = 16,
                    .silence_ms = 60000,
                    .token = {1},
                    .rails = 1,
                    .rail = {{.name = "mock"}}},
        .accept_flags = PR_WIRE_ACCEPT_FRESH,
        .fabric = mock_fabric_new(),
    };
    pthread_mutex_init(&d->lock, NULL);
    d->fabric->base.limits.recv_depth = 256; /* it answers at once and counts no credits */
    d->fabric->peer = d;
    d->fabric->connect = on_connect;
    d->fabric->on_post = on_post;
    mock_fabric_override(d->fabric);
    d->memory =
        mmap(NULL, MOCK_REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(d->memory != MAP_FAILED);
    memset(d->memory, 1, MOCK_REGION_BYTES);
}

int mock_destination_connect(struct mock_destination *d, const struct pagerail_options *options)
{
    const struct pagerail_options usual = {.size = sizeof(usual),
                                           .lanes = MOCK_LANES,
                                           .window_bytes = 64 << 10,
                                           .connect_timeout_ms = 2000,
                                           .silence_timeout_ms = 60000};
    const struct pagerail_region region = {
        .name = "ram", .addr = d->memory, .len_bytes = MOCK_REGION_BYTES, .page_bytes = 4096};
    assert_int_equal(pagerail_source_new(options ? options : &usual, &d->source), 0);
    return pagerail_source_connect(d->source, "mock:here", &region, 1);
}

void mock_destination_close(struct mock_destination *d)
{
    pagerail_source_free(d->source);
    mock_fabric_free(d->fabric);
    munmap(d->memory, MOCK_REGION_BYTES);
    pthread_mutex_destroy(&d->lock);
}
