/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mock_source.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ENCODE(lane, name, message)                                                                \
    do {                                                                                           \
        uint8_t bytes_[PR_WIRE_MAX_MESSAGE];                                                       \
        mock_deliver(lane, bytes_, pr_wire_##name##_encode(message, bytes_, sizeof(bytes_)));      \
    } while (0)

void mock_source_say_hello(struct mock_source *s)
{
    ENCODE(s->control, hello, &s->hello);
}

void mock_source_say_region(struct mock_source *s)
{
    ENCODE(s->control, region, &s->region);
}

void mock_source_introduce(struct mock_source *s)
{
    mock_source_say_hello(s);
    mock_source_say_region(s);
}

void mock_source_want(struct mock_source *s, uint32_t window, uint32_t count)
{
    struct pr_wire_want want = {.count = count};
    for (uint32_t i = 0; i < count; i++)
        want.window[i] = (struct pr_wire_window){0, window + i};
    ENCODE(s->control, want, &want);
}

void mock_source_drop(struct mock_source *s, uint32_t window)
{
    struct pr_wire_drop drop = {{0, window}};
    ENCODE(s->control, drop, &drop);
}

void mock_source_stream(struct mock_source *s, uint64_t offset, const void *bytes, uint32_t len)
{
    struct pr_wire_stream stream = {offset, len, bytes};
    ENCODE(s->control, stream, &stream);
}

void mock_source_end_stream(struct mock_source *s, uint64_t len)
{
    struct pr_wire_stream_end end = {len};
    ENCODE(s->control, stream_end, &end);
}

void mock_source_end_epoch(struct mock_source *s, unsigned lane, uint64_t epoch)
{
    struct pr_wire_epoch_end end = {epoch, 0, 0};
    ENCODE(s->data[lane], epoch_end, &end);
}

void mock_source_zero(struct mock_source *s, unsigned lane, uint64_t epoch,
                      struct pr_wire_range range)
{
    struct pr_wire_zero zero = {.epoch = epoch, .count = 1, .range = {range}};
    ENCODE(s->data[lane], zero, &zero);
}

/* Messages of the destination go at once, and their buffers come back at once. */
static void on_post(struct mock_lane *lane, const struct mock_post *post)
{
    if (post->op == PR_OP_SEND && post->bytes[0] != PR_WIRE_CREDIT)
        mock_deliver_empty(lane, PR_WIRE_CREDIT, 1);
    struct mock_source *s = lane->peer;
    if (s->protest && post->op == PR_OP_SEND && post->bytes[0] == PR_WIRE_ABORT)
        s->protest(s);
    else
        mock_complete(lane, 1);
}

static int knock_bytes(struct mock_source *s, enum mock_knock kind, uint8_t *to, size_t size)
{
    struct pr_wire_knock knock = {.magic = PR_WIRE_MAGIC, .version_min = 1, .version_max = 1};
    struct pr_wire_welcome welcome;
    const void *body;
    knock.lane = (uint16_t)(kind == MOCK_KNOCK_AGAIN ? s->lane - 1 : s->lane);
    if (kind == MOCK_KNOCK_NEWER)
        knock.version_min = knock.version_max = 99;
    if (s->lane) {
        struct pr_wire_header header = mock_message(s->control, PR_WIRE_WELCOME, 0, &body);
        assert_int_equal(pr_wire_welcome_decode(&welcome, body, header.body_len), 0);
        memcpy(knock.token, welcome.token, sizeof(knock.token));
        if (kind == MOCK_KNOCK_WRONG_TOKEN)
            knock.token[3] ^= 1;
    }
    int len = pr_wire_knock_encode(&knock, to, size);
    if (kind == MOCK_KNOCK_NONSENSE)
        to[0] ^= 1;
    return len;
}

/* Runs on the test's thread: accept is the destination's caller's. */
static int on_accept(struct mock_fabric *fabric, pr_admit_fn admit, void *opaque,
                     struct mock_lane **out)
{
    struct mock_source *s = fabric->peer;
    if (s->lane > MOCK_SOURCE_LANES)
        return pr_error(ETIMEDOUT, "nobody else comes");
    enum mock_knock kind = s->knocked < s->knock_count ? s->knocks[s->knocked++] : MOCK_KNOCK_RIGHT;
    if (kind == MOCK_KNOCK_RESET)
        return pr_error(ECONNRESET, "left in the middle");
    uint8_t bytes[64];
    int len = knock_bytes(s, kind, bytes, sizeof(bytes));
    if (admit(opaque, bytes, (uint32_t)len)) {
        s->refused++;
        return pr_error(ECONNREFUSED, "refused");
    }
    struct mock_lane *lane = mock_lane_new(fabric);
    lane->peer = s;
    *(s->lane ? &s->data[s->lane - 1] : &s->control) = lane;
    if (!s->lane++)
        s->introduce(s);
    *out = lane;
    return 0;
}

void mock_source_prepare(struct mock_source *s)
{
    *s = (struct mock_source){
        .fabric = mock_fabric_new(),
        .introduce = mock_source_introduce,
        .hello = {.version_min = 1,
                  .version_max = 1,
                  .regions = 1,
                  .total_bytes = MOCK_SOURCE_BYTES,
                  .window_bytes = 64 << 10,
                  .message_bytes = PR_WIRE_MAX_MESSAGE,
                  .recv_depth = 64,
                  .silence_ms = 60000,
                  .rails = 1,
                  .rail = {{.name = "mock", .lanes = MOCK_SOURCE_LANES}}},
        .region = {.len = MOCK_SOURCE_BYTES, .page_bytes = 4096, .name = "ram"},
    };
    s->fabric->base.limits.recv_depth = 256;
    s->fabric->peer = s;
    s->fabric->accept = on_accept;
    s->fabric->on_post = on_post;
    mock_fabric_override(s->fabric);
    s->memory =
        mmap(NULL, MOCK_SOURCE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(s->memory != MAP_FAILED);
    memset(s->memory, 1, MOCK_SOURCE_BYTES);
}

void mock_source_open(struct mock_source *s, const struct pagerail_options *options)
{
    mock_source_prepare(s);
    const struct pagerail_options usual = {
        .size = sizeof(usual), .connect_timeout_ms = 2000, .silence_timeout_ms = 60000};
    assert_int_equal(pagerail_destination_new(options ? options : &usual, &s->destination), 0);
    assert_int_equal(pagerail_destination_listen(s->destination, "mock:here"), 0);
}

int mock_source_accept(struct mock_source *s, int timeout_ms)
{
    const struct pagerail_region region = {"ram", s->memory, MOCK_SOURCE_BYTES, 4096, 0};
    return pagerail_destination_accept(s->destination, &region, 1, timeout_ms);
}

void mock_source_close(struct mock_source *s)
{
    pagerail_destination_free(s->destination);
    mock_source_release(s);
}

void mock_source_release(struct mock_source *s)
{
    mock_fabric_free(s->fabric);
    munmap(s->memory, MOCK_SOURCE_BYTES);
}
