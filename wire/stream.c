/* SPDX-License-Identifier: BSD-2-Clause */
/* The windowed byte stream of the control lane: device state one way, the report the other. */
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>

static int stream_check(const struct pr_wire_stream *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("stream", err);
    pr_wire_check_range(&c, "len", m->len, 1, PR_WIRE_MAX_STREAM_BYTES);
    pr_wire_check_that(&c, m->offset <= UINT64_MAX - m->len, "offset", "an end below 2^64");
    pr_wire_check_that(&c, m->bytes != NULL, "bytes", "a pointer to them");
    return c.failed;
}

int pr_wire_stream_encode(const struct pr_wire_stream *message, void *to, size_t size)
{
    int err = stream_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_STREAM, to, size);
    pr_write_u64(&w, message->offset);
    pr_write_u32(&w, message->len);
    pr_write_bytes(&w, message->bytes, message->len);
    return pr_wire_end(&w, PR_WIRE_STREAM);
}

int pr_wire_stream_decode(struct pr_wire_stream *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->offset = pr_read_u64(&r);
    out->len = pr_read_u32(&r);
    out->bytes = pr_read_view(&r, out->len);
    int err = pr_reader_end(&r, "stream");
    return err ? err : stream_check(out, EPROTO);
}

int pr_wire_stream_end_encode(const struct pr_wire_stream_end *message, void *to, size_t size)
{
    struct pr_writer w = pr_wire_begin(PR_WIRE_STREAM_END, to, size);
    pr_write_u64(&w, message->len);
    return pr_wire_end(&w, PR_WIRE_STREAM_END);
}

int pr_wire_stream_end_decode(struct pr_wire_stream_end *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->len = pr_read_u64(&r);
    return pr_reader_end(&r, "stream_end");
}

int pr_wire_stream_limit_encode(const struct pr_wire_stream_limit *message, void *to, size_t size)
{
    struct pr_writer w = pr_wire_begin(PR_WIRE_STREAM_LIMIT, to, size);
    pr_write_u64(&w, message->limit);
    return pr_wire_end(&w, PR_WIRE_STREAM_LIMIT);
}

int pr_wire_stream_limit_decode(struct pr_wire_stream_limit *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->limit = pr_read_u64(&r);
    return pr_reader_end(&r, "stream_limit");
}
