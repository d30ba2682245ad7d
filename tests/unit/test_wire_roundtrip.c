/* SPDX-License-Identifier: BSD-2-Clause */
/* Every message, with random legal values: there and back, cut short, one byte too long. */
#include "base/error.h"
#include "tests/fuzz/samples.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 200

static uint64_t seed;

static struct random random_for(const struct sample *s)
{
    return (struct random){seed + s->type};
}

/* The body of an encoded message, in memory of exactly its length so that ASan sees the edges. */
static uint8_t *encoded_body(const struct sample *s, const union any_message *message, size_t *len)
{
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    int total = s->encode(message, bytes, sizeof(bytes));
    assert_true(total >= 0);
    *len = (size_t)total - sample_header_bytes(s);
    uint8_t *body = malloc(*len ? *len : 1);
    assert_non_null(body);
    memcpy(body, bytes + sample_header_bytes(s), *len);
    return body;
}

static void check_header(const struct sample *s, const uint8_t *bytes, size_t len)
{
    struct pr_wire_header header;
    const void *body = NULL;
    assert_int_equal(pr_wire_header_decode(&header, &body, bytes, len), 0);
    assert_int_equal(header.type, s->type);
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.credits, 0);
    assert_int_equal(header.body_len, len - PR_WIRE_HEADER_BYTES);
    assert_ptr_equal(body, bytes + PR_WIRE_HEADER_BYTES);
}

static void every_message_comes_back_as_it_went(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = random_for(s);
        for (int round = 0; round < ROUNDS; round++) {
            union any_message sent, got;
            uint8_t bytes[PR_WIRE_MAX_MESSAGE], again[PR_WIRE_MAX_MESSAGE];
            sample_fill(s, &sent, &r);
            int len = s->encode(&sent, bytes, sizeof(bytes));
            assert_true(len >= 0);
            size_t header = sample_header_bytes(s), body_len = (size_t)len - header;
            assert_true(body_len <= s->max_body);
            if (header)
                check_header(s, bytes, (size_t)len);

            memset(&got, 0, sizeof(got));
            assert_int_equal(s->decode(&got, bytes + header, body_len), 0);
            if (s->type == PR_WIRE_STREAM) {
                assert_ptr_equal(got.stream.bytes, bytes + header + 12);
                assert_memory_equal(got.stream.bytes, sent.stream.bytes, sent.stream.len);
                got.stream.bytes = sent.stream.bytes;
            }
            assert_memory_equal(&got, &sent, s->struct_bytes);

            /* Over garbage: a field that the decoder left unset would show in the bytes. */
            memset(&got, 0xa5, sizeof(got));
            assert_int_equal(s->decode(&got, bytes + header, body_len), 0);
            assert_int_equal(s->encode(&got, again, sizeof(again)), len);
            assert_memory_equal(again, bytes, len);
        }
    }
}

static void elements_past_the_count_are_zero(void **state)
{
    (void)state;
    static const struct pr_wire_want want = {.count = 1, .window = {{1, 2}}};
    static const struct pr_wire_zero zero = {.epoch = 1, .count = 1, .range = {{1, 4096, 4096}}};
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    struct pr_wire_want got_want;
    struct pr_wire_zero got_zero;
    memset(&got_want, 0xa5, sizeof(got_want));
    memset(&got_zero, 0xa5, sizeof(got_zero));
    int len = pr_wire_want_encode(&want, bytes, sizeof(bytes));
    assert_int_equal(pr_wire_want_decode(&got_want, bytes + 8, (size_t)len - 8), 0);
    assert_memory_equal(&got_want, &want, sizeof(want));
    len = pr_wire_zero_encode(&zero, bytes, sizeof(bytes));
    assert_int_equal(pr_wire_zero_decode(&got_zero, bytes + 8, (size_t)len - 8), 0);
    assert_memory_equal(&got_zero, &zero, sizeof(zero));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = random_for(s);
        for (int round = 0; round < 3; round++) {
            union any_message sent, got;
            size_t len;
            sample_fill(s, &sent, &r);
            uint8_t *body = encoded_body(s, &sent, &len);
            for (size_t cut = 0; cut < len; cut++) {
                uint8_t *short_body = malloc(cut ? cut : 1);
                assert_non_null(short_body);
                memcpy(short_body, body, cut);
                assert_int_equal(s->decode(&got, short_body, cut), -EPROTO);
                free(short_body);
            }
            free(body);
        }
    }
}

static void one_byte_too_many_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = random_for(s);
        for (int round = 0; round < 10; round++) {
            union any_message sent, got;
            uint8_t bytes[PR_WIRE_MAX_MESSAGE + 1];
            sample_fill(s, &sent, &r);
            int len = s->encode(&sent, bytes, PR_WIRE_MAX_MESSAGE);
            assert_true(len >= 0);
            bytes[len] = 1;
            size_t header = sample_header_bytes(s);
            assert_int_equal(s->decode(&got, bytes + header, (size_t)len - header + 1), -EPROTO);
            assert_non_null(strstr(pr_error_message(), s->type == PR_WIRE_PONG ? "ping" : s->name));
        }
    }
}

static void a_header_must_match_the_length(void **state)
{
    (void)state;
    for (unsigned i = 1; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = random_for(s);
        union any_message sent;
        uint8_t bytes[PR_WIRE_MAX_MESSAGE + 1] = {0};
        sample_fill(s, &sent, &r);
        int len = s->encode(&sent, bytes, sizeof(bytes));
        assert_true(len >= PR_WIRE_HEADER_BYTES);
        struct pr_wire_header header;
        const void *body;
        for (size_t cut = 0; cut < (size_t)len; cut++)
            assert_int_equal(pr_wire_header_decode(&header, &body, bytes, cut), -EPROTO);
        assert_int_equal(pr_wire_header_decode(&header, &body, bytes, (size_t)len), 0);
        assert_int_equal(pr_wire_header_decode(&header, &body, bytes, (size_t)len + 1), -EPROTO);
    }
}

static void a_buffer_too_small_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = random_for(s);
        union any_message sent;
        uint8_t bytes[PR_WIRE_MAX_MESSAGE];
        sample_fill(s, &sent, &r);
        int len = s->encode(&sent, bytes, sizeof(bytes));
        assert_true(len >= 0);
        for (size_t size = 0; size < (size_t)len; size++) {
            uint8_t *small = malloc(size ? size : 1);
            assert_non_null(small);
            assert_int_equal(s->encode(&sent, small, size), -EMSGSIZE);
            assert_non_null(strstr(pr_error_message(), s->name));
            free(small);
        }
        assert_int_equal(s->encode(&sent, bytes, (size_t)len), len);
    }
}

static void credits_go_into_the_header_alone(void **state)
{
    (void)state;
    struct pr_wire_ping ping = {UINT64_MAX};
    uint8_t bytes[16], before[16];
    assert_int_equal(pr_wire_ping_encode(&ping, bytes, sizeof(bytes)), 16);
    memcpy(before, bytes, sizeof(bytes));
    pr_wire_set_credits(bytes, 0x1234);
    struct pr_wire_header header;
    const void *body;
    assert_int_equal(pr_wire_header_decode(&header, &body, bytes, sizeof(bytes)), 0);
    assert_int_equal(header.credits, 0x1234);
    pr_wire_set_credits(bytes, 0);
    assert_memory_equal(bytes, before, sizeof(bytes));
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240611;
    printf("seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_went),
        cmocka_unit_test(elements_past_the_count_are_zero),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(one_byte_too_many_is_refused),
        cmocka_unit_test(a_header_must_match_the_length),
        cmocka_unit_test(a_buffer_too_small_is_refused),
        cmocka_unit_test(credits_go_into_the_header_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
