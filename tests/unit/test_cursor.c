/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cursor.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

/* One message with a field of every kind, written and read as the wire codecs do. */
struct sample {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    uint8_t bytes[5];
    char text[8];
};

static const struct sample sample = {
    0x11, 0x2233, 0x44556677, 0x8899aabbccddeeff, {1, 2, 3, 4, 5}, "h\xc3\xa9llo",
};

static int sample_write(void *to, size_t size)
{
    struct pr_writer w = pr_writer_over(to, size);
    pr_write_u8(&w, sample.u8);
    pr_write_u16(&w, sample.u16);
    pr_write_u32(&w, sample.u32);
    pr_write_u64(&w, sample.u64);
    pr_write_bytes(&w, sample.bytes, sizeof(sample.bytes));
    pr_write_string(&w, sample.text);
    return pr_writer_end(&w, "sample");
}

static int sample_read(const void *from, size_t len, struct sample *out)
{
    struct pr_reader r = pr_reader_over(from, len);
    memset(out, 0xee, sizeof(*out));
    out->u8 = pr_read_u8(&r);
    out->u16 = pr_read_u16(&r);
    out->u32 = pr_read_u32(&r);
    out->u64 = pr_read_u64(&r);
    pr_read_bytes(&r, out->bytes, sizeof(out->bytes));
    pr_read_string(&r, out->text, sizeof(out->text));
    return pr_reader_end(&r, "sample");
}

/* Exactly the bytes, so that reading or writing one too many is an overrun that ASan sees. */
static void *exactly(size_t len)
{
    void *bytes = malloc(len ? len : 1);
    assert_non_null(bytes);
    return bytes;
}

static void the_layout_is_little_endian(void **state)
{
    static const uint8_t expected[] = {0x11, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44, 0xff, 0xee, 0xdd,
                                       0xcc, 0xbb, 0xaa, 0x99, 0x88, 1,    2,    3,    4,    5,
                                       6,    0,    'h',  0xc3, 0xa9, 'l',  'l',  'o'};
    uint8_t bytes[64];
    (void)state;
    assert_int_equal(sample_write(bytes, sizeof(bytes)), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void reads_back_what_was_written(void **state)
{
    uint8_t bytes[64];
    struct sample got;
    (void)state;
    int len = sample_write(bytes, sizeof(bytes));
    assert_int_equal(sample_read(bytes, (size_t)len, &got), 0);
    assert_int_equal(got.u8, sample.u8);
    assert_int_equal(got.u16, sample.u16);
    assert_int_equal(got.u32, sample.u32);
    assert_true(got.u64 == sample.u64);
    assert_memory_equal(got.bytes, sample.bytes, sizeof(got.bytes));
    assert_string_equal(got.text, sample.text);
}

static void every_truncation_is_refused(void **state)
{
    uint8_t whole[64];
    (void)state;
    int len = sample_write(whole, sizeof(whole));
    for (int cut = 0; cut < len; cut++) {
        uint8_t *bytes = exactly((size_t)cut);
        struct sample got;
        memcpy(bytes, whole, (size_t)cut);
        assert_int_equal(sample_read(bytes, (size_t)cut, &got), -EPROTO);
        assert_non_null(strstr(pr_error_message(), "sample message is truncated"));
        /* What is missing reads as nothing, not as whatever lay in the target. */
        assert_string_equal(got.text, "");
        if (cut < 15 + 5)
            assert_memory_equal(got.bytes, "\0\0\0\0\0", 5);
        if (cut < 15)
            assert_true(got.u64 == 0);
        free(bytes);
    }
}

static void trailing_bytes_are_refused(void **state)
{
    uint8_t bytes[64] = {0};
    struct sample got;
    (void)state;
    int len = sample_write(bytes, sizeof(bytes));
    assert_int_equal(sample_read(bytes, (size_t)len + 3, &got), -EPROTO);
    assert_non_null(strstr(pr_error_message(), "3 bytes too long"));
}

static void every_short_buffer_is_refused(void **state)
{
    uint8_t whole[64];
    (void)state;
    int len = sample_write(whole, sizeof(whole));
    for (int size = 0; size < len; size++) {
        uint8_t *bytes = exactly((size_t)size);
        assert_int_equal(sample_write(bytes, (size_t)size), -EMSGSIZE);
        free(bytes);
    }
    uint8_t *bytes = exactly((size_t)len);
    assert_int_equal(sample_write(bytes, (size_t)len), len);
    free(bytes);
}

static void stays_spent(void **state)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    (void)state;
    struct pr_reader r = pr_reader_over(bytes, sizeof(bytes));
    assert_true(pr_read_u64(&r) == 0);
    assert_int_equal(pr_read_u8(&r), 0); /* though a byte is left */
    assert_null(pr_read_view(&r, 0));
    assert_int_equal(pr_reader_end(&r, "x"), -EPROTO);

    struct pr_writer w = pr_writer_over(bytes, sizeof(bytes));
    pr_write_u64(&w, 1);
    pr_write_u8(&w, 9);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(pr_writer_end(&w, "x"), -EMSGSIZE);
}

static void views_do_not_copy(void **state)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    (void)state;
    struct pr_reader r = pr_reader_over(bytes, sizeof(bytes));
    assert_ptr_equal(pr_read_view(&r, 3), bytes);
    assert_null(pr_read_view(&r, 2));
    r = pr_reader_over(bytes, sizeof(bytes));
    assert_null(pr_read_view(&r, SIZE_MAX));
}

static void nothing_at_all_is_read_and_written(void **state)
{
    (void)state;
    struct pr_reader r = pr_reader_over(NULL, 0);
    pr_read_bytes(&r, NULL, 0);
    assert_non_null(pr_read_view(&r, 0));
    assert_int_equal(pr_reader_end(&r, "x"), 0);
    struct pr_writer w = pr_writer_over(NULL, 0);
    pr_write_bytes(&w, NULL, 0);
    assert_int_equal(pr_writer_end(&w, "x"), 0);
}

/* A string message as a peer could send it: its length field is not to be trusted. */
static int string_read(const char *bytes, size_t len, char *to, size_t size)
{
    uint8_t *message = exactly(len);
    memcpy(message, bytes, len);
    struct pr_reader r = pr_reader_over(message, len);
    memset(to, 'Z', size);
    pr_read_string(&r, to, size);
    free(message);
    return pr_reader_end(&r, "string");
}

static void strings_keep_to_their_buffer(void **state)
{
    char *to = exactly(4);
    (void)state;
    assert_int_equal(string_read("\0\0", 2, to, 4), 0);
    assert_string_equal(to, "");
    assert_int_equal(string_read("\3\0abc", 5, to, 4), 0);
    assert_string_equal(to, "abc");
    assert_int_equal(string_read("\4\0abcd", 6, to, 4), -EPROTO);
    assert_string_equal(to, "");
    assert_int_equal(string_read("\xff\xff"
                                 "abc",
                                 5, to, 4),
                     -EPROTO);
    assert_string_equal(to, "");
    free(to);
}

static void strings_are_clean_text(void **state)
{
    char to[16];
    (void)state;
    assert_int_equal(string_read("\3\0a\0b", 5, to, sizeof(to)), -EPROTO);
    assert_string_equal(to, "");
    assert_int_equal(string_read("\3\0a\nb", 5, to, sizeof(to)), -EPROTO);
    assert_int_equal(string_read("\2\0\xc2\x9b", 4, to, sizeof(to)), -EPROTO);
    assert_int_equal(string_read("\2\0\xc2\xa9", 4, to, sizeof(to)), 0);
}

static void a_string_too_long_for_its_length_field_is_not_written(void **state)
{
    size_t size = UINT16_MAX + 16;
    char *text = exactly(size);
    uint8_t *bytes = exactly(2 * size);
    (void)state;
    memset(text, 'x', size);
    text[UINT16_MAX] = '\0';
    struct pr_writer w = pr_writer_over(bytes, 2 * size);
    pr_write_string(&w, text);
    assert_int_equal(pr_writer_end(&w, "x"), 2 + UINT16_MAX);
    text[UINT16_MAX] = 'x';
    text[UINT16_MAX + 1] = '\0';
    w = pr_writer_over(bytes, 2 * size);
    pr_write_string(&w, text);
    assert_int_equal(pr_writer_end(&w, "x"), -EMSGSIZE);
    free(bytes);
    free(text);
}

/* Random calls over random bytes never reach outside (ASan) and never un-spend the cursor. */
static void random_reads_stay_inside(void **state)
{
    struct draw draw = draw_open(2);
    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        size_t len = draw_below(&draw, 40);
        uint8_t *bytes = exactly(len);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)draw_u64(&draw);
        struct pr_reader r = pr_reader_over(bytes, len);
        bool spent = false;
        for (unsigned call = 0; call < 12; call++) {
            char text[6];
            switch (draw_below(&draw, 4)) {
            case 0:
                pr_read_u64(&r);
                break;
            case 1:
                pr_read_u8(&r);
                break;
            case 2:
                pr_read_bytes(&r, text, draw_below(&draw, sizeof(text)));
                break;
            default:
                pr_read_string(&r, text, sizeof(text));
                assert_true(strlen(text) < sizeof(text));
            }
            assert_true(!spent || r.spent);
            assert_true(r.left <= len && r.at + r.left == bytes + len);
            spent = r.spent;
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_little_endian),
        cmocka_unit_test(reads_back_what_was_written),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(every_short_buffer_is_refused),
        cmocka_unit_test(stays_spent),
        cmocka_unit_test(views_do_not_copy),
        cmocka_unit_test(nothing_at_all_is_read_and_written),
        cmocka_unit_test(strings_keep_to_their_buffer),
        cmocka_unit_test(strings_are_clean_text),
        cmocka_unit_test(a_string_too_long_for_its_length_field_is_not_written),
        cmocka_unit_test(random_reads_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
