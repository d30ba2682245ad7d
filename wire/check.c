/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/check.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEADER_LEN_AT 4 /* where body_len stands in a header */

struct pr_wire_check pr_wire_check_of(const char *message, int err)
{
    return (struct pr_wire_check){.message = message, .err = err};
}

void pr_wire_check_item(struct pr_wire_check *c, const char *array, unsigned at)
{
    c->array = array;
    c->at = at;
}

/* Records "the peer's zero message: range[3].len is 0, expected ..." unless something stands. */
static __attribute__((format(printf, 3, 4))) void
violated(struct pr_wire_check *c, const char *field, const char *format, ...)
{
    if (c->failed)
        return;
    char detail[160], item[48] = "";
    va_list ap;
    va_start(ap, format);
    vsnprintf(detail, sizeof(detail), format, ap);
    va_end(ap);
    if (c->array)
        snprintf(item, sizeof(item), "%s[%u].", c->array, c->at);
    c->failed =
        pr_error(c->err, "%s %s message: %s%s %s", c->err == EPROTO ? "the peer's" : "this side's",
                 c->message, item, field, detail);
}

void pr_wire_check_range(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t min,
                         uint64_t max)
{
    if (value < min || value > max)
        violated(c, field, "is %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, value, min, max);
}

void pr_wire_check_power(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t min,
                         uint64_t max)
{
    if (value < min || value > max || (value & (value - 1)))
        violated(c, field, "is %" PRIu64 ", expected a power of two from %" PRIu64 " to %" PRIu64,
                 value, min, max);
}

void pr_wire_check_multiple(struct pr_wire_check *c, const char *field, uint64_t value,
                            uint64_t unit)
{
    if (!unit || value % unit)
        violated(c, field, "is %" PRIu64 ", expected a multiple of %" PRIu64, value, unit);
}

void pr_wire_check_bits(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t known)
{
    if (value & ~known)
        violated(c, field, "is 0x%" PRIx64 ", expected no bits outside 0x%" PRIx64, value, known);
}

void pr_wire_check_name(struct pr_wire_check *c, const char *field, const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    if (len == 0)
        violated(c, field, "is empty, expected 1 to %zu bytes", size - 1);
    else if (len == size)
        violated(c, field, "is too long, expected 1 to %zu bytes", size - 1);
    else if (!pr_text_is_clean(text, len))
        violated(c, field, "is not clean text, expected UTF-8 without control characters");
}

void pr_wire_check_that(struct pr_wire_check *c, bool holds, const char *field,
                        const char *expected)
{
    if (!holds)
        violated(c, field, "is not legal, expected %s", expected);
}

bool pr_wire_all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= bytes[i];
    return any == 0;
}

void pr_wire_read_text(struct pr_reader *r, struct pr_wire_check *c, const char *field, char *to,
                       size_t size)
{
    size_t len = pr_read_u16(r);
    to[0] = '\0';
    if (len >= size) {
        violated(c, field, "is %zu bytes long, expected at most %zu", len, size - 1);
        return;
    }
    const void *text = pr_read_view(r, len);
    if (!text)
        return;
    if (memchr(text, '\0', len))
        violated(c, field, "holds a NUL, expected printable text");
    memcpy(to, text, len);
    to[len] = '\0';
}

int pr_wire_read_end(const struct pr_reader *r, const struct pr_wire_check *c)
{
    return c->failed ? c->failed : pr_reader_end(r, c->message);
}

struct pr_writer pr_wire_begin(enum pr_wire_type type, void *to, size_t size)
{
    struct pr_writer w =
        pr_writer_over(to, size < PR_WIRE_MAX_MESSAGE ? size : PR_WIRE_MAX_MESSAGE);
    pr_write_u8(&w, (uint8_t)type);
    pr_write_u8(&w, 0);  /* flags */
    pr_write_u16(&w, 0); /* credits */
    pr_write_u32(&w, 0); /* body_len: pr_wire_end knows it */
    return w;
}

int pr_wire_end(struct pr_writer *w, enum pr_wire_type type)
{
    int len = pr_writer_end(w, pr_wire_name(type));
    if (len < 0)
        return len;
    struct pr_writer field =
        pr_writer_over(w->start + HEADER_LEN_AT, PR_WIRE_HEADER_BYTES - HEADER_LEN_AT);
    pr_write_u32(&field, (uint32_t)len - PR_WIRE_HEADER_BYTES);
    return len;
}
