/* SPDX-License-Identifier: BSD-2-Clause */
/* The header before every body, and the messages that are nothing but a header. */
#include "base/error.h"
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>

#define CREDITS_AT 2

static const char *const names[PR_WIRE_TYPES] = {
    [PR_WIRE_HELLO] = "hello",
    [PR_WIRE_REGION] = "region",
    [PR_WIRE_WELCOME] = "welcome",
    [PR_WIRE_ACCEPT] = "accept",
    [PR_WIRE_ABORT] = "abort",
    [PR_WIRE_WANT] = "want",
    [PR_WIRE_GRANT] = "grant",
    [PR_WIRE_DROP] = "drop",
    [PR_WIRE_ZERO] = "zero",
    [PR_WIRE_EPOCH_END] = "epoch_end",
    [PR_WIRE_EPOCH_ACK] = "epoch_ack",
    [PR_WIRE_STREAM] = "stream",
    [PR_WIRE_STREAM_END] = "stream_end",
    [PR_WIRE_STREAM_LIMIT] = "stream_limit",
    [PR_WIRE_CREDIT] = "credit",
    [PR_WIRE_PING] = "ping",
    [PR_WIRE_PONG] = "pong",
    [PR_WIRE_READY] = "ready",
    [PR_WIRE_RELEASE] = "release",
    [PR_WIRE_RUNNING] = "running",
    [PR_WIRE_BYE] = "bye",
};

const char *pr_wire_name(unsigned type)
{
    return type < PR_WIRE_TYPES && names[type] ? names[type] : "unknown";
}

int pr_wire_header_decode(struct pr_wire_header *out, const void **body, const void *bytes,
                          size_t len)
{
    struct pr_reader r = pr_reader_over(bytes, len);
    out->type = pr_read_u8(&r);
    out->flags = pr_read_u8(&r);
    out->credits = pr_read_u16(&r);
    out->body_len = pr_read_u32(&r);
    if (r.spent)
        return pr_error(EPROTO, "the peer sent %zu bytes, expected a header of %d and a body", len,
                        PR_WIRE_HEADER_BYTES);

    struct pr_wire_check c = pr_wire_check_of(pr_wire_name(out->type), EPROTO);
    pr_wire_check_range(&c, "type", out->type, 1, PR_WIRE_TYPES - 1);
    pr_wire_check_bits(&c, "flags", out->flags, 0);
    pr_wire_check_range(&c, "length", len, PR_WIRE_HEADER_BYTES, PR_WIRE_MAX_MESSAGE);
    pr_wire_check_range(&c, "body_len", out->body_len, r.left, r.left);
    if (c.failed)
        return c.failed;
    *body = r.at;
    return 0;
}

void pr_wire_set_credits(void *message, uint16_t credits)
{
    struct pr_writer w = pr_writer_over((uint8_t *)message + CREDITS_AT, sizeof(credits));
    pr_write_u16(&w, credits);
}

static bool is_empty(enum pr_wire_type type)
{
    return type == PR_WIRE_CREDIT || type == PR_WIRE_READY || type == PR_WIRE_RELEASE ||
           type == PR_WIRE_BYE;
}

int pr_wire_empty_encode(enum pr_wire_type type, void *to, size_t size)
{
    if (!is_empty(type))
        return pr_error(EINVAL, "a %s message has a body: use its own encoder", pr_wire_name(type));
    struct pr_writer w = pr_wire_begin(type, to, size);
    return pr_wire_end(&w, type);
}

int pr_wire_empty_decode(enum pr_wire_type type, const void *body, size_t len)
{
    if (!is_empty(type))
        return pr_error(EINVAL, "a %s message has a body: use its own decoder", pr_wire_name(type));
    struct pr_reader r = pr_reader_over(body, len);
    return pr_reader_end(&r, pr_wire_name(type));
}
