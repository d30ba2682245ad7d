/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/samples.h"

#include <string.h>

uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_between(struct random *r, uint64_t min, uint64_t max)
{
    uint64_t span = max - min;
    switch (random_next(r) % 6) {
    case 0:
        return min;
    case 1:
        return max;
    default:
        return span == UINT64_MAX ? random_next(r) : min + random_next(r) % (span + 1);
    }
}

static uint64_t pages_between(struct random *r, uint64_t min, uint64_t max, uint64_t page_bytes)
{
    return random_between(r, min / page_bytes, max / page_bytes) * page_bytes;
}

/* Clean UTF-8 of exactly as many bytes as were drawn: whole characters only. */
static void fill_text(char *to, size_t min, size_t max, struct random *r)
{
    static const char *const chars[] = {"a", "z", "0", "9",        " ",           "-",
                                        "_", ".", "/", "\xc3\xa9", "\xe6\xbc\xa2"};
    size_t len = random_between(r, min, max), at = 0;
    while (at < len) {
        const char *next = chars[random_next(r) % (sizeof(chars) / sizeof(chars[0]))];
        if (strlen(next) > len - at)
            continue;
        memcpy(to + at, next, strlen(next));
        at += strlen(next);
    }
    to[len] = '\0';
}

static void fill_token(uint8_t *token, struct random *r)
{
    for (size_t i = 0; i < PR_WIRE_TOKEN_BYTES; i++)
        token[i] = (uint8_t)random_next(r);
    token[0] |= 1; /* never all zero */
}

static uint64_t window_bytes(struct random *r)
{
    return PR_WIRE_MIN_WINDOW_BYTES << random_between(r, 0, 24);
}

static uint16_t fill_rails(struct pr_wire_rail *rail, struct random *r)
{
    uint16_t rails = (uint16_t)random_between(r, 1, PR_WIRE_MAX_RAILS);
    for (uint16_t i = 0; i < rails; i++) {
        fill_text(rail[i].name, 1, PR_WIRE_MAX_RAIL_NAME, r);
        rail[i].lanes = (uint16_t)random_between(r, 1, PR_WIRE_MAX_LANES / rails);
    }
    return rails;
}

static void fill_knock(union any_message *out, struct random *r)
{
    struct pr_wire_knock *m = &out->knock;
    m->magic = PR_WIRE_MAGIC;
    m->version_min = (uint16_t)random_between(r, 1, UINT16_MAX);
    m->version_max = (uint16_t)random_between(r, m->version_min, UINT16_MAX);
    m->lane = (uint16_t)random_between(r, 0, PR_WIRE_MAX_LANES);
    if (m->lane)
        fill_token(m->token, r);
}

static void fill_hello(union any_message *out, struct random *r)
{
    struct pr_wire_hello *m = &out->hello;
    m->version_min = (uint16_t)random_between(r, 1, UINT16_MAX);
    m->version_max = (uint16_t)random_between(r, m->version_min, UINT16_MAX);
    m->features = random_between(r, 0, UINT64_MAX);
    m->regions = (uint32_t)random_between(r, 1, PR_WIRE_MAX_REGIONS);
    m->total_bytes =
        pages_between(r, m->regions * 4096ull, m->regions * PR_WIRE_MAX_REGION_BYTES, 4096);
    m->window_bytes = window_bytes(r);
    m->message_bytes = (uint32_t)random_between(r, PR_WIRE_MIN_MESSAGE, UINT32_MAX);
    m->recv_depth = (uint32_t)random_between(r, PR_WIRE_MIN_RECV_DEPTH, UINT32_MAX);
    m->silence_ms = (uint32_t)random_between(r, PR_WIRE_MIN_SILENCE_MS, UINT32_MAX);
    m->rails = fill_rails(m->rail, r);
}

static void fill_region(union any_message *out, struct random *r)
{
    static const uint64_t pages[] = {UINT64_C(1) << 12, UINT64_C(1) << 21, UINT64_C(1) << 30};
    struct pr_wire_region *m = &out->region;
    m->index = (uint32_t)random_between(r, 0, PR_WIRE_MAX_REGIONS - 1);
    m->page_bytes = pages[random_next(r) % 3];
    m->len = pages_between(r, m->page_bytes, PR_WIRE_MAX_REGION_BYTES, m->page_bytes);
    fill_text(m->name, 1, PR_WIRE_MAX_NAME, r);
}

static void fill_welcome(union any_message *out, struct random *r)
{
    struct pr_wire_welcome *m = &out->welcome;
    m->version = (uint16_t)random_between(r, 1, UINT16_MAX);
    m->features = random_next(r) & PR_WIRE_FEATURES;
    m->window_bytes = window_bytes(r);
    m->pin_bytes = random_between(r, 0, UINT64_MAX);
    m->message_bytes = (uint32_t)random_between(r, PR_WIRE_MIN_MESSAGE, UINT32_MAX);
    m->recv_depth = (uint32_t)random_between(r, PR_WIRE_MIN_RECV_DEPTH, UINT32_MAX);
    m->silence_ms = (uint32_t)random_between(r, PR_WIRE_MIN_SILENCE_MS, UINT32_MAX);
    fill_token(m->token, r);
    m->rails = fill_rails(m->rail, r);
}

static void fill_accept(union any_message *out, struct random *r)
{
    out->accept.index = (uint32_t)random_between(r, 0, PR_WIRE_MAX_REGIONS - 1);
    out->accept.flags = (uint32_t)random_next(r) & PR_WIRE_ACCEPT_FRESH;
}

static void fill_abort(union any_message *out, struct random *r)
{
    out->abort.code = (int32_t)random_between(r, 0, 4095);
    fill_text(out->abort.reason, 0, PR_WIRE_MAX_REASON, r);
}

static void fill_window(struct pr_wire_window *window, struct random *r)
{
    window->region = (uint32_t)random_between(r, 0, PR_WIRE_MAX_REGIONS - 1);
    window->window = (uint32_t)random_between(r, 0, UINT32_MAX);
}

static void fill_want(union any_message *out, struct random *r)
{
    out->want.count = (uint32_t)random_between(r, 1, PR_WIRE_MAX_WANTED);
    for (uint32_t i = 0; i < out->want.count; i++)
        fill_window(&out->want.window[i], r);
}

static void fill_grant(union any_message *out, struct random *r)
{
    struct pr_wire_grant *m = &out->grant;
    fill_window(&m->window, r);
    m->len = pages_between(r, 4096, PR_WIRE_MAX_WINDOW_BYTES, 4096);
    m->addr = random_between(r, 0, UINT64_MAX - m->len);
    m->rkey = random_between(r, 0, UINT64_MAX);
}

static void fill_drop(union any_message *out, struct random *r)
{
    fill_window(&out->drop.window, r);
}

static void fill_zero(union any_message *out, struct random *r)
{
    struct pr_wire_zero *m = &out->zero;
    m->epoch = random_between(r, 0, UINT64_MAX);
    m->count = (uint32_t)random_between(r, 1, PR_WIRE_MAX_ZERO_RANGES);
    for (uint32_t i = 0; i < m->count; i++) {
        struct pr_wire_range *range = &m->range[i];
        range->region = (uint32_t)random_between(r, 0, PR_WIRE_MAX_REGIONS - 1);
        range->len = pages_between(r, 4096, PR_WIRE_MAX_REGION_BYTES, 4096);
        range->offset = pages_between(r, 0, PR_WIRE_MAX_REGION_BYTES - range->len, 4096);
    }
}

static void fill_epoch_end(union any_message *out, struct random *r)
{
    out->epoch_end.epoch = random_between(r, 0, UINT64_MAX);
    out->epoch_end.writes = random_between(r, 0, UINT64_MAX);
    out->epoch_end.bytes = random_between(r, 0, UINT64_MAX);
}

static void fill_epoch_ack(union any_message *out, struct random *r)
{
    out->epoch_ack.epoch = random_between(r, 0, UINT64_MAX);
}

static void fill_stream(union any_message *out, struct random *r)
{
    static uint8_t bytes[PR_WIRE_MAX_STREAM_BYTES];
    if (!bytes[0]) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(1 + i * 7);
    }
    out->stream.len = (uint32_t)random_between(r, 1, PR_WIRE_MAX_STREAM_BYTES);
    out->stream.offset = random_between(r, 0, UINT64_MAX - out->stream.len);
    out->stream.bytes = bytes;
}

static void fill_stream_end(union any_message *out, struct random *r)
{
    out->stream_end.len = random_between(r, 0, UINT64_MAX);
}

static void fill_stream_limit(union any_message *out, struct random *r)
{
    out->stream_limit.limit = random_between(r, 0, UINT64_MAX);
}

static void fill_ping(union any_message *out, struct random *r)
{
    out->ping.sent_ns = random_between(r, 0, UINT64_MAX);
}

static void fill_running(union any_message *out, struct random *r)
{
    out->running.load_ns = random_between(r, 0, UINT64_MAX);
    out->running.resume_ns = random_between(r, 0, UINT64_MAX);
}

static void fill_nothing(union any_message *out, struct random *r)
{
    (void)out;
    (void)r;
}

#define CODEC(name)                                                                                \
    static int encode_##name(const union any_message *message, void *to, size_t size)              \
    {                                                                                              \
        return pr_wire_##name##_encode(&message->name, to, size);                                  \
    }                                                                                              \
    static int decode_##name(union any_message *out, const void *body, size_t len)                 \
    {                                                                                              \
        return pr_wire_##name##_decode(&out->name, body, len);                                     \
    }

#define EMPTY_CODEC(name, type)                                                                    \
    static int encode_##name(const union any_message *message, void *to, size_t size)              \
    {                                                                                              \
        (void)message;                                                                             \
        return pr_wire_empty_encode(type, to, size);                                               \
    }                                                                                              \
    static int decode_##name(union any_message *out, const void *body, size_t len)                 \
    {                                                                                              \
        (void)out;                                                                                 \
        return pr_wire_empty_decode(type, body, len);                                              \
    }

CODEC(knock)
CODEC(hello)
CODEC(region)
CODEC(welcome)
CODEC(accept)
CODEC(abort)
CODEC(want)
CODEC(grant)
CODEC(drop)
CODEC(zero)
CODEC(epoch_end)
CODEC(epoch_ack)
CODEC(stream)
CODEC(stream_end)
CODEC(stream_limit)
CODEC(ping)
CODEC(running)
EMPTY_CODEC(credit, PR_WIRE_CREDIT)
EMPTY_CODEC(ready, PR_WIRE_READY)
EMPTY_CODEC(release, PR_WIRE_RELEASE)
EMPTY_CODEC(bye, PR_WIRE_BYE)

static int encode_pong(const union any_message *message, void *to, size_t size)
{
    return pr_wire_pong_encode(&message->ping, to, size);
}

#define ROW(name, type, max_body)                                                                  \
    {                                                                                              \
#name, type, sizeof(struct pr_wire_##name), max_body, fill_##name, encode_##name,          \
            decode_##name                                                                          \
    }
#define EMPTY_ROW(name, type)                                                                      \
    {                                                                                              \
#name, type, 0, 0, fill_nothing, encode_##name, decode_##name                              \
    }
#define RAILS_BYTES (2 + PR_WIRE_MAX_RAILS * (2 + PR_WIRE_MAX_RAIL_NAME + 2))

const struct sample samples[PR_WIRE_TYPES] = {
    ROW(knock, 0, PR_WIRE_KNOCK_BYTES),
    ROW(hello, PR_WIRE_HELLO, 44 + RAILS_BYTES),
    ROW(region, PR_WIRE_REGION, 26 + PR_WIRE_MAX_NAME),
    ROW(welcome, PR_WIRE_WELCOME, 54 + RAILS_BYTES),
    ROW(accept, PR_WIRE_ACCEPT, 8),
    ROW(abort, PR_WIRE_ABORT, 6 + PR_WIRE_MAX_REASON),
    ROW(want, PR_WIRE_WANT, 4 + PR_WIRE_MAX_WANTED * 8),
    ROW(grant, PR_WIRE_GRANT, 32),
    ROW(drop, PR_WIRE_DROP, 8),
    ROW(zero, PR_WIRE_ZERO, 12 + PR_WIRE_MAX_ZERO_RANGES * 20),
    ROW(epoch_end, PR_WIRE_EPOCH_END, 24),
    ROW(epoch_ack, PR_WIRE_EPOCH_ACK, 8),
    ROW(stream, PR_WIRE_STREAM, 12 + PR_WIRE_MAX_STREAM_BYTES),
    ROW(stream_end, PR_WIRE_STREAM_END, 8),
    ROW(stream_limit, PR_WIRE_STREAM_LIMIT, 8),
    EMPTY_ROW(credit, PR_WIRE_CREDIT),
    ROW(ping, PR_WIRE_PING, 8),
    {"pong", PR_WIRE_PONG, sizeof(struct pr_wire_ping), 8, fill_ping, encode_pong, decode_ping},
    EMPTY_ROW(ready, PR_WIRE_READY),
    EMPTY_ROW(release, PR_WIRE_RELEASE),
    ROW(running, PR_WIRE_RUNNING, 16),
    EMPTY_ROW(bye, PR_WIRE_BYE),
};

const struct sample *sample_named(const char *name)
{
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        if (!strcmp(samples[i].name, name))
            return &samples[i];
    }
    return NULL;
}

void sample_fill(const struct sample *s, union any_message *out, struct random *r)
{
    memset(out, 0, sizeof(*out));
    s->fill(out, r);
}

size_t sample_header_bytes(const struct sample *s)
{
    return s->type ? PR_WIRE_HEADER_BYTES : 0;
}
