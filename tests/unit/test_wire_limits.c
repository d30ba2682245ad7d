/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each limit violated by one, on the way out (-EINVAL) and on the way in (-EPROTO), with the field
 * that the sentence must name; and each limit's last legal value.
 */
#include "base/error.h"
#include "tests/fuzz/samples.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KIB UINT64_C(1024)

static const char stream_bytes[PR_WIRE_MAX_STREAM_BYTES + 1] = "device state";

/* A small legal message of each kind, to be broken. */
static union any_message legal(const char *name)
{
    static const struct pr_wire_rail rails[2] = {{"a", 1}, {"b", 2}};
    union any_message m;
    memset(&m, 0, sizeof(m));
    if (!strcmp(name, "knock")) {
        m.knock = (struct pr_wire_knock){PR_WIRE_MAGIC, 1, 1, 1, {9}};
    } else if (!strcmp(name, "hello")) {
        m.hello = (struct pr_wire_hello){1, 1, 0, 2, 8 * KIB, 64 * KIB, 1024, 4, 1000, .rails = 2};
        memcpy(m.hello.rail, rails, sizeof(rails));
    } else if (!strcmp(name, "region")) {
        m.region = (struct pr_wire_region){0, 4 * KIB, 4 * KIB, 0, "r"};
    } else if (!strcmp(name, "welcome")) {
        m.welcome = (struct pr_wire_welcome){1, 0, 64 * KIB, 0, 1024, 4, 1000, {9}, .rails = 2};
        memcpy(m.welcome.rail, rails, sizeof(rails));
    } else if (!strcmp(name, "want")) {
        m.want = (struct pr_wire_want){2, {{0, 0}, {1, 1}}};
    } else if (!strcmp(name, "grant")) {
        m.grant = (struct pr_wire_grant){{0, 0}, 4096, 4096, 1};
    } else if (!strcmp(name, "zero")) {
        m.zero = (struct pr_wire_zero){1, 2, {{0, 0, 4096}, {1, 4096, 4096}}};
    } else if (!strcmp(name, "stream")) {
        m.stream = (struct pr_wire_stream){0, 5, stream_bytes};
    }
    return m;
}

static void expect_sentence(const char *name, const char *fragment)
{
    const char *sentence = pr_error_message();
    if (!strstr(sentence, name) || !strstr(sentence, fragment))
        fail_msg("expected a sentence with \"%s\" and \"%s\", got \"%s\"", name, fragment,
                 sentence);
}

/* Encoding: `change` is applied to a legal `m`. */
#define REFUSED(name, change, fragment)                                                            \
    do {                                                                                           \
        union any_message any = legal(#name);                                                      \
        struct pr_wire_##name *m = &any.name;                                                      \
        uint8_t bytes[PR_WIRE_MAX_MESSAGE];                                                        \
        assert_true(pr_wire_##name##_encode(m, bytes, sizeof(bytes)) > 0);                         \
        change;                                                                                    \
        assert_int_equal(pr_wire_##name##_encode(m, bytes, sizeof(bytes)), -EINVAL);               \
        expect_sentence(#name, fragment);                                                          \
    } while (0)

/* A value at its limit goes there and back. */
#define TAKEN(name, change)                                                                        \
    do {                                                                                           \
        union any_message any = legal(#name), got;                                                 \
        struct pr_wire_##name *m = &any.name;                                                      \
        uint8_t bytes[PR_WIRE_MAX_MESSAGE], again[PR_WIRE_MAX_MESSAGE];                            \
        change;                                                                                    \
        const struct sample *s = sample_named(#name);                                              \
        int len = s->encode(&any, bytes, sizeof(bytes)), header = (int)sample_header_bytes(s);     \
        assert_true(len > 0);                                                                      \
        assert_int_equal(s->decode(&got, bytes + header, (size_t)(len - header)), 0);              \
        assert_int_equal(s->encode(&got, again, sizeof(again)), len);                              \
        assert_memory_equal(again, bytes, (size_t)len);                                            \
    } while (0)

static void fill_name(char *to, size_t len)
{
    memset(to, 'n', len);
    to[len] = '\0';
}

static void the_encoder_refuses_a_bad_knock(void **state)
{
    (void)state;
    REFUSED(knock, m->magic++, "magic");
    REFUSED(knock, m->version_min = 0, "version_min");
    REFUSED(knock, m->version_min = 2, "version_max");
    REFUSED(knock, m->lane = PR_WIRE_MAX_LANES + 1, "lane");
    REFUSED(knock, m->lane = 0, "token");
    REFUSED(knock, m->token[0] = 0, "token");
    TAKEN(knock, m->lane = PR_WIRE_MAX_LANES);
    TAKEN(knock, (m->lane = 0, m->token[0] = 0));
}

static void the_encoder_refuses_a_bad_hello(void **state)
{
    (void)state;
    REFUSED(hello, m->version_min = 0, "version_min");
    REFUSED(hello, m->version_min = 2, "version_max");
    REFUSED(hello, m->regions = 0, "regions");
    REFUSED(hello, m->regions = PR_WIRE_MAX_REGIONS + 1, "regions");
    REFUSED(hello, m->total_bytes = 0, "total_bytes");
    REFUSED(hello, m->total_bytes = 4 * KIB, "total_bytes"); /* two regions */
    REFUSED(hello, m->total_bytes++, "total_bytes");
    REFUSED(hello, m->total_bytes = 2 * PR_WIRE_MAX_REGION_BYTES + 4 * KIB, "total_bytes");
    REFUSED(hello, m->window_bytes = 0, "window_bytes");
    REFUSED(hello, m->window_bytes = PR_WIRE_MIN_WINDOW_BYTES / 2, "window_bytes");
    REFUSED(hello, m->window_bytes = PR_WIRE_MAX_WINDOW_BYTES * 2, "window_bytes");
    REFUSED(hello, m->window_bytes = 96 * KIB, "window_bytes");
    REFUSED(hello, m->message_bytes = PR_WIRE_MIN_MESSAGE - 1, "message_bytes");
    REFUSED(hello, m->recv_depth = PR_WIRE_MIN_RECV_DEPTH - 1, "recv_depth");
    REFUSED(hello, m->silence_ms = PR_WIRE_MIN_SILENCE_MS - 1, "silence_ms");
    REFUSED(hello, m->rails = 0, "rails");
    REFUSED(hello, m->rails = PR_WIRE_MAX_RAILS + 1, "rails");
    REFUSED(hello, m->rail[1].lanes = 0, "rail[1].lanes");
    REFUSED(hello, m->rail[1].lanes = PR_WIRE_MAX_LANES + 1, "rail[1].lanes");
    REFUSED(hello, m->rail[1].lanes = PR_WIRE_MAX_LANES, "lanes of all rails");
    REFUSED(hello, m->rail[0].name[0] = '\0', "rail[0].name");
    REFUSED(hello, m->rail[0].name[0] = '\n', "rail[0].name");
    REFUSED(hello, memset(m->rail[1].name, 'n', sizeof(m->rail[1].name)), "rail[1].name");
    TAKEN(hello, m->regions = PR_WIRE_MAX_REGIONS;
          m->total_bytes = PR_WIRE_MAX_REGIONS * PR_WIRE_MAX_REGION_BYTES);
    TAKEN(hello, m->window_bytes = PR_WIRE_MAX_WINDOW_BYTES);
    TAKEN(hello, m->rail[1].lanes = PR_WIRE_MAX_LANES - 1);
    TAKEN(hello, m->message_bytes = m->recv_depth = m->silence_ms = UINT32_MAX);
    TAKEN(hello, m->silence_ms = PR_WIRE_MIN_SILENCE_MS);
    TAKEN(hello, m->features = UINT64_MAX); /* of a newer peer */
}

static void the_encoder_refuses_a_bad_region(void **state)
{
    (void)state;
    REFUSED(region, m->index = PR_WIRE_MAX_REGIONS, "index");
    REFUSED(region, m->len = 0, "len");
    REFUSED(region, m->len = PR_WIRE_MAX_REGION_BYTES + 4 * KIB, "len");
    REFUSED(region, m->len++, "len");
    REFUSED(region, m->page_bytes = 0, "page_bytes");
    REFUSED(region, m->page_bytes = 2 * KIB, "page_bytes");
    REFUSED(region, m->page_bytes = 64 * KIB, "page_bytes");
    REFUSED(region, m->page_bytes = 2048 * KIB, "len"); /* 4 KiB is no multiple of that */
    REFUSED(region, m->flags = 1, "flags");
    REFUSED(region, m->name[0] = '\0', "name");
    REFUSED(region, m->name[0] = 0x7f, "name");
    REFUSED(region, memset(m->name, 'n', sizeof(m->name)), "name");
    TAKEN(region, m->index = PR_WIRE_MAX_REGIONS - 1);
    TAKEN(region, m->len = PR_WIRE_MAX_REGION_BYTES; m->page_bytes = 1048576 * KIB);
    TAKEN(region, m->len = m->page_bytes = 2048 * KIB);
}

static void the_encoder_refuses_a_bad_welcome(void **state)
{
    (void)state;
    REFUSED(welcome, m->version = 0, "version");
    REFUSED(welcome, m->features = ~PR_WIRE_FEATURES, "features");
    REFUSED(welcome, m->window_bytes = PR_WIRE_MIN_WINDOW_BYTES / 2, "window_bytes");
    REFUSED(welcome, m->window_bytes = PR_WIRE_MAX_WINDOW_BYTES * 2, "window_bytes");
    REFUSED(welcome, m->window_bytes++, "window_bytes");
    REFUSED(welcome, m->message_bytes = PR_WIRE_MIN_MESSAGE - 1, "message_bytes");
    REFUSED(welcome, m->recv_depth = PR_WIRE_MIN_RECV_DEPTH - 1, "recv_depth");
    REFUSED(welcome, m->silence_ms = PR_WIRE_MIN_SILENCE_MS - 1, "silence_ms");
    REFUSED(welcome, m->token[0] = 0, "token");
    REFUSED(welcome, m->rails = 0, "rails");
    REFUSED(welcome, m->rails = PR_WIRE_MAX_RAILS + 1, "rails");
    REFUSED(welcome, m->rail[0].lanes = 0, "rail[0].lanes");
    REFUSED(welcome, m->rail[0].lanes = PR_WIRE_MAX_LANES - 1, "lanes of all rails");
    TAKEN(welcome, m->rail[0].lanes = PR_WIRE_MAX_LANES - 2);
    TAKEN(welcome, m->token[0] = 0; m->token[PR_WIRE_TOKEN_BYTES - 1] = 1);
}

static void the_encoder_refuses_bad_windows(void **state)
{
    (void)state;
    REFUSED(want, m->count = 0, "count");
    REFUSED(want, m->count = PR_WIRE_MAX_WANTED + 1, "count");
    REFUSED(want, m->window[1].region = PR_WIRE_MAX_REGIONS, "window[1].region");
    REFUSED(grant, m->window.region = PR_WIRE_MAX_REGIONS, "region");
    REFUSED(grant, m->len = 0, "len");
    REFUSED(grant, m->len = PR_WIRE_MAX_WINDOW_BYTES + 4 * KIB, "len");
    REFUSED(grant, m->len = 4 * KIB + 1, "len");
    REFUSED(grant, m->addr = UINT64_MAX - 4 * KIB + 1, "addr");
    REFUSED(drop, m->window.region = PR_WIRE_MAX_REGIONS, "region");
    TAKEN(grant, m->addr = UINT64_MAX - 4 * KIB);
    TAKEN(grant, m->len = PR_WIRE_MAX_WINDOW_BYTES);
    TAKEN(drop, m->window = ((struct pr_wire_window){PR_WIRE_MAX_REGIONS - 1, UINT32_MAX}));
}

static void the_encoder_refuses_bad_zero_ranges(void **state)
{
    (void)state;
    REFUSED(zero, m->count = 0, "count");
    REFUSED(zero, m->count = PR_WIRE_MAX_ZERO_RANGES + 1, "count");
    REFUSED(zero, m->range[1].region = PR_WIRE_MAX_REGIONS, "range[1].region");
    REFUSED(zero, m->range[1].offset++, "range[1].offset");
    REFUSED(zero, m->range[1].offset = UINT64_MAX - 4095, "range[1].offset");
    REFUSED(zero, m->range[1].len = 0, "range[1].len");
    REFUSED(zero, m->range[1].len++, "range[1].len");
    REFUSED(zero, m->range[1].len = PR_WIRE_MAX_REGION_BYTES + 4 * KIB, "range[1].len");
    REFUSED(zero, m->range[1].len = PR_WIRE_MAX_REGION_BYTES, "range[1].end");
    TAKEN(zero, m->range[1].len = PR_WIRE_MAX_REGION_BYTES - m->range[1].offset);
}

static void the_encoder_refuses_a_bad_stream(void **state)
{
    (void)state;
    REFUSED(stream, m->len = 0, "len");
    REFUSED(stream, m->len = PR_WIRE_MAX_STREAM_BYTES + 1, "len");
    REFUSED(stream, m->offset = UINT64_MAX - 4, "offset");
    REFUSED(stream, m->bytes = NULL, "bytes");
    TAKEN(stream, m->offset = UINT64_MAX - 5);
}

static void the_encoder_refuses_other_bad_fields(void **state)
{
    (void)state;
    REFUSED(accept, m->index = PR_WIRE_MAX_REGIONS, "index");
    REFUSED(accept, m->flags = PR_WIRE_ACCEPT_FRESH << 1, "flags");
    REFUSED(abort, m->code = -1, "code");
    REFUSED(abort, m->code = 4096, "code");
    TAKEN(abort, m->code = 4095);
}

static void only_messages_without_a_body_are_empty(void **state)
{
    (void)state;
    uint8_t bytes[64];
    assert_int_equal(pr_wire_empty_encode(PR_WIRE_PING, bytes, sizeof(bytes)), -EINVAL);
    assert_int_equal(pr_wire_empty_encode(PR_WIRE_TYPES, bytes, sizeof(bytes)), -EINVAL);
    assert_int_equal(pr_wire_empty_decode(PR_WIRE_PING, bytes, 0), -EINVAL);
}

static void an_abort_goes_out_whatever_its_reason_holds(void **state)
{
    (void)state;
    struct pr_wire_abort m = {.code = 5, .reason = "line one\nline\ttwo\x7f\x1b[31m"}, got;
    uint8_t bytes[PR_WIRE_MIN_MESSAGE];
    int len = pr_wire_abort_encode(&m, bytes, sizeof(bytes));
    assert_true(len > 0);
    assert_int_equal(pr_wire_abort_decode(&got, bytes + 8, (size_t)len - 8), 0);
    assert_string_equal(got.reason, "line one?line?two??[31m");

    memset(m.reason, 'r', sizeof(m.reason)); /* not even terminated */
    len = pr_wire_abort_encode(&m, bytes, sizeof(bytes));
    assert_int_equal(len, 8 + 6 + PR_WIRE_MAX_REASON);
    assert_int_equal(pr_wire_abort_decode(&got, bytes + 8, (size_t)len - 8), 0);
    assert_int_equal(strlen(got.reason), PR_WIRE_MAX_REASON);
}

/* The longest message of each kind that has a length of its own. */
static void the_longest_messages_are_taken(void **state)
{
    (void)state;
    union any_message big;
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        big = legal(s->name);
        if (s->type == PR_WIRE_HELLO || s->type == PR_WIRE_WELCOME) {
            bool hello = s->type == PR_WIRE_HELLO;
            struct pr_wire_rail *rail = hello ? big.hello.rail : big.welcome.rail;
            *(hello ? &big.hello.rails : &big.welcome.rails) = PR_WIRE_MAX_RAILS;
            for (int k = 0; k < PR_WIRE_MAX_RAILS; k++) {
                fill_name(rail[k].name, PR_WIRE_MAX_RAIL_NAME);
                rail[k].lanes = PR_WIRE_MAX_LANES / PR_WIRE_MAX_RAILS;
            }
        } else if (s->type == PR_WIRE_REGION) {
            fill_name(big.region.name, PR_WIRE_MAX_NAME);
        } else if (s->type == PR_WIRE_ABORT) {
            fill_name(big.abort.reason, PR_WIRE_MAX_REASON);
        } else if (s->type == PR_WIRE_WANT) {
            big.want.count = PR_WIRE_MAX_WANTED;
        } else if (s->type == PR_WIRE_ZERO) {
            big.zero.count = PR_WIRE_MAX_ZERO_RANGES;
            for (int k = 0; k < PR_WIRE_MAX_ZERO_RANGES; k++)
                big.zero.range[k].len = 4096;
        } else if (s->type == PR_WIRE_STREAM) {
            big.stream.len = PR_WIRE_MAX_STREAM_BYTES;
        }
        int len = s->encode(&big, bytes, sizeof(bytes));
        assert_int_equal(len, sample_header_bytes(s) + s->max_body);
        assert_int_equal(s->decode(&big, bytes + sample_header_bytes(s), s->max_body), 0);
    }
}

/* Decoding: `width` bytes at `at` of a legal body become `value`. */
static const struct patch {
    const char *name;
    size_t at, width;
    uint64_t value;
    const char *fragment;
} patches[] = {
    {"knock", 0, 8, PR_WIRE_MAGIC + 1, "the peer is no pagerail"},
    {"knock", 0, 8, UINT64_C(0x4c49415245474151), "the peer is no pagerail"},
    {"knock", 8, 2, 0, "version_min"},
    {"knock", 8, 2, 2, "version_max"},
    {"knock", 12, 2, PR_WIRE_MAX_LANES + 1, "lane"},
    {"knock", 12, 2, 0, "token"},
    {"knock", 14, 1, 0, "token"},
    {"hello", 0, 2, 0, "version_min"},
    {"hello", 0, 2, 2, "version_max"},
    {"hello", 12, 4, 0, "regions"},
    {"hello", 12, 4, PR_WIRE_MAX_REGIONS + 1, "regions"},
    {"hello", 12, 4, UINT32_MAX, "regions"},
    {"hello", 16, 8, 4096, "total_bytes"},
    {"hello", 16, 8, 8193, "total_bytes"},
    {"hello", 16, 8, 2 * PR_WIRE_MAX_REGION_BYTES + 4096, "total_bytes"},
    {"hello", 24, 8, 0, "window_bytes"},
    {"hello", 24, 8, PR_WIRE_MIN_WINDOW_BYTES / 2, "window_bytes"},
    {"hello", 24, 8, PR_WIRE_MIN_WINDOW_BYTES + 1, "window_bytes"},
    {"hello", 24, 8, PR_WIRE_MAX_WINDOW_BYTES * 2, "window_bytes"},
    {"hello", 32, 4, PR_WIRE_MIN_MESSAGE - 1, "message_bytes"},
    {"hello", 36, 4, PR_WIRE_MIN_RECV_DEPTH - 1, "recv_depth"},
    {"hello", 40, 4, PR_WIRE_MIN_SILENCE_MS - 1, "silence_ms"},
    {"hello", 44, 2, 0, "rails"},
    {"hello", 44, 2, PR_WIRE_MAX_RAILS + 1, "rails"},
    {"hello", 44, 2, 3, "truncated"},
    {"hello", 44, 2, 1, "too long"},
    {"hello", 46, 2, PR_WIRE_MAX_RAIL_NAME + 1, "rail[0].name"},
    {"hello", 46, 2, 0, "rail[1].name"},
    {"hello", 48, 1, 0, "rail[0].name"},
    {"hello", 48, 1, '\n', "rail[0].name"},
    {"hello", 49, 2, 0, "rail[0].lanes"},
    {"hello", 54, 2, PR_WIRE_MAX_LANES, "lanes of all rails"},
    {"hello", 54, 2, PR_WIRE_MAX_LANES + 1, "rail[1].lanes"},
    {"region", 0, 4, PR_WIRE_MAX_REGIONS, "index"},
    {"region", 4, 8, 0, "len"},
    {"region", 4, 8, 4097, "len"},
    {"region", 4, 8, PR_WIRE_MAX_REGION_BYTES + 4096, "len"},
    {"region", 12, 8, 0, "page_bytes"},
    {"region", 12, 8, 8192, "page_bytes"},
    {"region", 12, 8, UINT64_C(2) << 20, "len"},
    {"region", 20, 4, 1, "flags"},
    {"region", 20, 4, UINT64_C(0x80000000), "flags"},
    {"region", 24, 2, PR_WIRE_MAX_NAME + 1, "name"},
    {"region", 24, 2, 2, "truncated"},
    {"region", 26, 1, 0x1b, "name"},
    {"region", 26, 1, 0, "name"},
    {"welcome", 0, 2, 0, "version"},
    {"welcome", 2, 8, UINT64_C(1) << 63, "features"},
    {"welcome", 10, 8, 0, "window_bytes"},
    {"welcome", 10, 8, PR_WIRE_MAX_WINDOW_BYTES * 2, "window_bytes"},
    {"welcome", 26, 4, PR_WIRE_MIN_MESSAGE - 1, "message_bytes"},
    {"welcome", 30, 4, PR_WIRE_MIN_RECV_DEPTH - 1, "recv_depth"},
    {"welcome", 34, 4, 0, "silence_ms"},
    {"welcome", 38, 1, 0, "token"},
    {"welcome", 54, 2, 0, "rails"},
    {"welcome", 54, 2, PR_WIRE_MAX_RAILS + 1, "rails"},
    {"welcome", 56, 2, UINT16_MAX, "rail[0].name"},
    {"welcome", 59, 2, 0, "rail[0].lanes"},
    {"accept", 0, 4, PR_WIRE_MAX_REGIONS, "index"},
    {"accept", 4, 4, 2, "flags"},
    {"abort", 0, 4, UINT32_MAX, "code"},
    {"abort", 0, 4, 4096, "code"},
    {"abort", 4, 2, PR_WIRE_MAX_REASON + 1, "reason"},
    {"abort", 4, 2, 1, "truncated"},
    {"want", 0, 4, 0, "count"},
    {"want", 0, 4, PR_WIRE_MAX_WANTED + 1, "count"},
    {"want", 0, 4, 3, "truncated"},
    {"want", 0, 4, 1, "too long"},
    {"want", 12, 4, PR_WIRE_MAX_REGIONS, "window[1].region"},
    {"grant", 0, 4, PR_WIRE_MAX_REGIONS, "region"},
    {"grant", 8, 8, UINT64_MAX - 4095, "addr"},
    {"grant", 16, 8, 0, "len"},
    {"grant", 16, 8, 4095, "len"},
    {"grant", 16, 8, PR_WIRE_MAX_WINDOW_BYTES + 4096, "len"},
    {"drop", 0, 4, PR_WIRE_MAX_REGIONS, "region"},
    {"zero", 8, 4, 0, "count"},
    {"zero", 8, 4, PR_WIRE_MAX_ZERO_RANGES + 1, "count"},
    {"zero", 8, 4, 3, "truncated"},
    {"zero", 8, 4, 1, "too long"},
    {"zero", 32, 4, PR_WIRE_MAX_REGIONS, "range[1].region"},
    {"zero", 36, 8, 1, "range[1].offset"},
    {"zero", 36, 8, PR_WIRE_MAX_REGION_BYTES, "range[1].end"},
    {"zero", 36, 8, UINT64_MAX - 4095, "range[1].offset"},
    {"zero", 44, 8, 0, "range[1].len"},
    {"zero", 44, 8, 4095, "range[1].len"},
    {"zero", 44, 8, PR_WIRE_MAX_REGION_BYTES, "range[1].end"},
    {"zero", 44, 8, UINT64_MAX - 4095, "range[1].len"},
    {"stream", 0, 8, UINT64_MAX - 4, "offset"},
    {"stream", 8, 4, 0, "too long"},
    {"stream", 8, 4, 4, "too long"},
    {"stream", 8, 4, 6, "truncated"},
    {"stream", 8, 4, UINT32_MAX, "truncated"},
};

static void write_le(uint8_t *to, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void the_decoder_refuses_each_bad_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        const struct patch *p = &patches[i];
        const struct sample *s = sample_named(p->name);
        assert_non_null(s);
        union any_message m = legal(p->name), got;
        uint8_t bytes[256];
        size_t header = sample_header_bytes(s);
        int len = s->encode(&m, bytes, sizeof(bytes));
        assert_true(len > 0 && p->at + p->width <= (size_t)len - header);
        assert_int_equal(s->decode(&got, bytes + header, (size_t)len - header), 0);
        write_le(bytes + header + p->at, p->value, p->width);
        assert_int_equal(s->decode(&got, bytes + header, (size_t)len - header), -EPROTO);
        expect_sentence("peer", p->fragment);
        if (s->type)
            expect_sentence(p->name, p->fragment);
    }
}

static void the_decoder_refuses_a_stream_of_nothing(void **state)
{
    (void)state;
    uint8_t body[12] = {0};
    struct pr_wire_stream got;
    assert_int_equal(pr_wire_stream_decode(&got, body, sizeof(body)), -EPROTO);
    expect_sentence("stream", "len is 0");
}

static void the_decoder_refuses_a_region_without_a_name(void **state)
{
    (void)state;
    union any_message m = legal("region"), got;
    uint8_t bytes[64];
    int len = pr_wire_region_encode(&m.region, bytes, sizeof(bytes));
    assert_int_equal(len, 8 + 26 + 1);
    write_le(bytes + 8 + 24, 0, 2);
    assert_int_equal(pr_wire_region_decode(&got.region, bytes + 8, 26), -EPROTO);
    expect_sentence("region", "name is empty");
}

static void an_abort_that_would_not_print_is_refused(void **state)
{
    (void)state;
    uint8_t body[] = {5, 0, 0, 0, 2, 0, 'x', '\r'};
    struct pr_wire_abort got;
    assert_int_equal(pr_wire_abort_decode(&got, body, sizeof(body)), -EPROTO);
    expect_sentence("abort", "reason");
    body[7] = 'y';
    assert_int_equal(pr_wire_abort_decode(&got, body, sizeof(body)), 0);
    assert_string_equal(got.reason, "xy");
}

static void a_knock_may_be_padded_with_zeroes_only(void **state)
{
    (void)state;
    uint8_t bytes[56] = {0};
    union any_message m = legal("knock");
    struct pr_wire_knock got;
    assert_int_equal(pr_wire_knock_encode(&m.knock, bytes, sizeof(bytes)), PR_WIRE_KNOCK_BYTES);
    assert_int_equal(pr_wire_knock_decode(&got, bytes, sizeof(bytes)), 0);
    assert_int_equal(got.lane, 1);
    bytes[55] = 1;
    assert_int_equal(pr_wire_knock_decode(&got, bytes, sizeof(bytes)), -EPROTO);
    expect_sentence("knock", "zeroes");
    assert_int_equal(pr_wire_knock_decode(&got, bytes, 55), 0);
}

static void a_short_knock_comes_from_no_pagerail(void **state)
{
    (void)state;
    struct pr_wire_knock got;
    assert_int_equal(pr_wire_knock_decode(&got, NULL, 0), -EPROTO);
    expect_sentence("no pagerail", "0 bytes");
}

static void the_header_refuses_each_bad_field(void **state)
{
    (void)state;
    static const struct {
        size_t at, width;
        uint64_t value;
        const char *fragment;
    } rows[] = {
        {0, 1, 0, "type"},     {0, 1, PR_WIRE_TYPES, "type"},  {0, 1, 255, "type"},
        {1, 1, 1, "flags"},    {1, 1, 128, "flags"},           {4, 4, 7, "body_len"},
        {4, 4, 9, "body_len"}, {4, 4, UINT32_MAX, "body_len"},
    };
    struct pr_wire_ping ping = {1};
    struct pr_wire_header header;
    const void *body;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[16];
        assert_int_equal(pr_wire_ping_encode(&ping, bytes, sizeof(bytes)), 16);
        write_le(bytes + rows[i].at, rows[i].value, rows[i].width);
        assert_int_equal(pr_wire_header_decode(&header, &body, bytes, sizeof(bytes)), -EPROTO);
        expect_sentence("peer", rows[i].fragment);
    }
}

static void a_message_over_the_limit_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[PR_WIRE_MAX_MESSAGE + 1] = {PR_WIRE_STREAM};
    struct pr_wire_header header;
    const void *body;
    write_le(bytes + 4, PR_WIRE_MAX_MESSAGE + 1 - PR_WIRE_HEADER_BYTES, 4);
    assert_int_equal(pr_wire_header_decode(&header, &body, bytes, sizeof(bytes)), -EPROTO);
    expect_sentence("stream", "length");
    write_le(bytes + 4, PR_WIRE_MAX_MESSAGE - PR_WIRE_HEADER_BYTES, 4);
    assert_int_equal(pr_wire_header_decode(&header, &body, bytes, PR_WIRE_MAX_MESSAGE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_encoder_refuses_a_bad_knock),
        cmocka_unit_test(the_encoder_refuses_a_bad_hello),
        cmocka_unit_test(the_encoder_refuses_a_bad_region),
        cmocka_unit_test(the_encoder_refuses_a_bad_welcome),
        cmocka_unit_test(the_encoder_refuses_bad_windows),
        cmocka_unit_test(the_encoder_refuses_bad_zero_ranges),
        cmocka_unit_test(the_encoder_refuses_a_bad_stream),
        cmocka_unit_test(the_encoder_refuses_other_bad_fields),
        cmocka_unit_test(only_messages_without_a_body_are_empty),
        cmocka_unit_test(an_abort_goes_out_whatever_its_reason_holds),
        cmocka_unit_test(the_longest_messages_are_taken),
        cmocka_unit_test(the_decoder_refuses_each_bad_field),
        cmocka_unit_test(the_decoder_refuses_a_stream_of_nothing),
        cmocka_unit_test(the_decoder_refuses_a_region_without_a_name),
        cmocka_unit_test(an_abort_that_would_not_print_is_refused),
        cmocka_unit_test(a_knock_may_be_padded_with_zeroes_only),
        cmocka_unit_test(a_short_knock_comes_from_no_pagerail),
        cmocka_unit_test(the_header_refuses_each_bad_field),
        cmocka_unit_test(a_message_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
