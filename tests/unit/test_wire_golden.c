/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of each message, written down by hand from docs/wire.md. Whoever changes a layout meets
 * this file, and must raise PR_WIRE_VERSION.
 */
#include "tests/fuzz/samples.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN "000102030405060708090a0b0c0d0e0f"

#define TOKEN_BYTES                                                                                \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                       \
    }

static const struct golden {
    const char *name;
    union any_message message;
    const char *hex;
} goldens[] = {
    {"knock",
     {.knock = {PR_WIRE_MAGIC, .version_min = 1, .version_max = 2, .lane = 3,
                .token = TOKEN_BYTES}},
     "504147455241494c" /* magic: PAGERAIL */
     "0100 0200"        /* version_min, version_max */
     "0300"             /* lane */
     TOKEN},
    {"hello",
     {.hello = {.version_min = 1,
                .version_max = 2,
                .features = 0x8070605040302010,
                .regions = 5,
                .total_bytes = UINT64_C(0x0000000140000000),
                .window_bytes = UINT64_C(0x40000000),
                .message_bytes = 16384,
                .recv_depth = 64,
                .silence_ms = 30000,
                .rails = 2,
                .rail = {{"mlx5_0/1", 4}, {"local", 1}}}},
     "01 00 0000 43000000"
     "0100 0200"             /* version_min, version_max */
     "1020304050607080"      /* features */
     "05000000"              /* regions */
     "0000004001000000"      /* total_bytes */
     "0000004000000000"      /* window_bytes */
     "00400000"              /* message_bytes */
     "40000000"              /* recv_depth */
     "30750000"              /* silence_ms */
     "0200"                  /* rails */
     "0800 6d6c78355f302f31" /* "mlx5_0/1" */
     "0400"
     "0500 6c6f63616c" /* "local" */
     "0100"},
    {"region",
     {.region = {.index = 1, .len = 0x40000000, .page_bytes = 0x200000, .name = "pc.ram"}},
     "02 00 0000 20000000"
     "01000000"            /* index */
     "0000004000000000"    /* len */
     "0000200000000000"    /* page_bytes */
     "00000000"            /* flags */
     "0600 70632e72616d"}, /* "pc.ram" */
    {"welcome",
     {.welcome = {.version = 1,
                  .features = 0,
                  .window_bytes = UINT64_C(0x10000000),
                  .pin_bytes = UINT64_C(0x0123456789abcdef),
                  .message_bytes = 1024,
                  .recv_depth = 4,
                  .silence_ms = 300,
                  .token = TOKEN_BYTES,
                  .rails = 1,
                  .rail = {{"rxe0/1", 256}}}},
     "03 00 0000 42000000"
     "0100"              /* version */
     "0000000000000000"  /* features */
     "0000001000000000"  /* window_bytes */
     "efcdab8967452301"  /* pin_bytes */
     "00040000"          /* message_bytes */
     "04000000"          /* recv_depth */
     "2c010000"          /* silence_ms */
     TOKEN "0100"        /* rails */
     "0600 727865302f31" /* "rxe0/1" */
     "0001"},
    {"accept",
     {.accept = {.index = 4095, .flags = PR_WIRE_ACCEPT_FRESH}},
     "04 00 0000 08000000"
     "ff0f0000"   /* index */
     "01000000"}, /* flags */
    {"abort",
     {.abort = {.code = 110, .reason = "too slow"}},
     "05 00 0000 0e000000"
     "6e000000"                /* code */
     "0800 746f6f20736c6f77"}, /* "too slow" */
    {"want",
     {.want = {.count = 2, .window = {{1, 2}, {3, 0x01020304}}}},
     "06 00 0000 14000000"
     "02000000"            /* count */
     "01000000 02000000"   /* region, window */
     "03000000 04030201"}, /* region, window */
    {"grant",
     {.grant = {{1, 2}, .addr = 0x7f0000001000, .len = 0x100000, .rkey = 0xf1e2d3c4b5a69788}},
     "07 00 0000 20000000"
     "01000000 02000000"  /* region, window */
     "00100000007f0000"   /* addr */
     "0000100000000000"   /* len */
     "8897a6b5c4d3e2f1"}, /* rkey */
    {"drop",
     {.drop = {{1, 2}}},
     "08 00 0000 08000000"
     "01000000 02000000"}, /* region, window */
    {"zero",
     {.zero = {.epoch = 7, .count = 2, .range = {{1, 0x1000, 0x2000}, {2, 0, 0x40000000}}}},
     "09 00 0000 34000000"
     "0700000000000000"                             /* epoch */
     "02000000"                                     /* count */
     "01000000 0010000000000000 0020000000000000"   /* region, offset, len */
     "02000000 0000000000000000 0000004000000000"}, /* region, offset, len */
    {"epoch_end",
     {.epoch_end = {.epoch = 7, .writes = 258, .bytes = 0x100000000}},
     "0a 00 0000 18000000"
     "0700000000000000"   /* epoch */
     "0201000000000000"   /* writes */
     "0000000001000000"}, /* bytes */
    {"epoch_ack",
     {.epoch_ack = {.epoch = 7}},
     "0b 00 0000 08000000"
     "0700000000000000"}, /* epoch */
    {"stream",
     {.stream = {.offset = 0x10000, .len = 3, .bytes = "abc"}},
     "0c 00 0000 0f000000"
     "0000010000000000" /* offset */
     "03000000"         /* len */
     "616263"},
    {"stream_end",
     {.stream_end = {.len = 0x10003}},
     "0d 00 0000 08000000"
     "0300010000000000"}, /* len */
    {"stream_limit",
     {.stream_limit = {.limit = 0x200000}},
     "0e 00 0000 08000000"
     "0000200000000000"}, /* limit */
    {"credit", {{0}}, "0f 00 0000 00000000"},
    {"ping",
     {.ping = {.sent_ns = 1000000000}},
     "10 00 0000 08000000"
     "00ca9a3b00000000"}, /* sent_ns */
    {"pong",
     {.ping = {.sent_ns = 1000000000}},
     "11 00 0000 08000000"
     "00ca9a3b00000000"}, /* sent_ns */
    {"ready", {{0}}, "12 00 0000 00000000"},
    {"release", {{0}}, "13 00 0000 00000000"},
    {"running",
     {.running = {.load_ns = 2, .resume_ns = 1}},
     "14 00 0000 10000000"
     "0200000000000000"   /* load_ns */
     "0100000000000000"}, /* resume_ns */
    {"bye", {{0}}, "15 00 0000 00000000"},
};

static size_t from_hex(const char *hex, uint8_t *to, size_t size)
{
    size_t digits = 0;
    memset(to, 0, size);
    for (; *hex; hex++) {
        if (isspace((unsigned char)*hex))
            continue;
        assert_true(isxdigit((unsigned char)*hex) && digits / 2 < size);
        char digit[2] = {*hex, '\0'};
        to[digits / 2] = (uint8_t)(to[digits / 2] << 4 | strtoul(digit, NULL, 16));
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    return digits / 2;
}

static void every_message_has_these_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
        const struct golden *g = &goldens[i];
        const struct sample *s = sample_named(g->name);
        assert_non_null(s);
        uint8_t expected[256], bytes[256], again[256];
        size_t len = from_hex(g->hex, expected, sizeof(expected));
        assert_int_equal(s->encode(&g->message, bytes, sizeof(bytes)), len);
        assert_memory_equal(bytes, expected, len);

        union any_message got;
        size_t header = sample_header_bytes(s);
        assert_int_equal(s->decode(&got, expected + header, len - header), 0);
        assert_int_equal(s->encode(&got, again, sizeof(again)), len);
        assert_memory_equal(again, expected, len);
    }
}

static void every_type_is_here_under_its_number(void **state)
{
    (void)state;
    assert_int_equal(sizeof(goldens) / sizeof(goldens[0]), PR_WIRE_TYPES);
    for (unsigned type = 1; type < PR_WIRE_TYPES; type++) {
        assert_string_equal(goldens[type].name, pr_wire_name(type));
        assert_int_equal(samples[type].type, type);
        assert_string_equal(samples[type].name, pr_wire_name(type));
    }
    assert_string_equal(pr_wire_name(0), "unknown");
    assert_string_equal(pr_wire_name(PR_WIRE_TYPES), "unknown");
}

static void the_magic_spells_its_name(void **state)
{
    (void)state;
    uint8_t bytes[PR_WIRE_KNOCK_BYTES];
    struct pr_wire_knock knock = {PR_WIRE_MAGIC, 1, 1, 0, {0}};
    assert_int_equal(pr_wire_knock_encode(&knock, bytes, sizeof(bytes)), PR_WIRE_KNOCK_BYTES);
    assert_memory_equal(bytes, "PAGERAIL", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_has_these_bytes),
        cmocka_unit_test(every_type_is_here_under_its_number),
        cmocka_unit_test(the_magic_spells_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
