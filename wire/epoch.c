/* SPDX-License-Identifier: BSD-2-Clause */
/* What is ordered with the one-sided writes of a data lane, and the fence's answer. */
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>
#include <string.h>

#define PAGE_BYTES 4096

static void check_range(struct pr_wire_check *c, const struct pr_wire_range *range)
{
    pr_wire_check_range(c, "region", range->region, 0, PR_WIRE_MAX_REGIONS - 1);
    pr_wire_check_range(c, "offset", range->offset, 0, PR_WIRE_MAX_REGION_BYTES);
    pr_wire_check_multiple(c, "offset", range->offset, PAGE_BYTES);
    pr_wire_check_range(c, "len", range->len, PAGE_BYTES, PR_WIRE_MAX_REGION_BYTES);
    pr_wire_check_multiple(c, "len", range->len, PAGE_BYTES);
    /* Neither is above 2^48 when this is reached unfailed, so the sum cannot wrap then. */
    pr_wire_check_that(c, c->failed || range->offset + range->len <= PR_WIRE_MAX_REGION_BYTES,
                       "end", "offset + len to stay within the largest region");
}

static int zero_check(const struct pr_wire_zero *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("zero", err);
    pr_wire_check_range(&c, "count", m->count, 1, PR_WIRE_MAX_ZERO_RANGES);
    for (uint32_t i = 0; !c.failed && i < m->count; i++) {
        pr_wire_check_item(&c, "range", i);
        check_range(&c, &m->range[i]);
    }
    return c.failed;
}

int pr_wire_zero_encode(const struct pr_wire_zero *message, void *to, size_t size)
{
    int err = zero_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_ZERO, to, size);
    pr_write_u64(&w, message->epoch);
    pr_write_u32(&w, message->count);
    for (uint32_t i = 0; i < message->count; i++) {
        pr_write_u32(&w, message->range[i].region);
        pr_write_u64(&w, message->range[i].offset);
        pr_write_u64(&w, message->range[i].len);
    }
    return pr_wire_end(&w, PR_WIRE_ZERO);
}

int pr_wire_zero_decode(struct pr_wire_zero *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("zero", EPROTO);
    memset(out, 0, sizeof(*out));
    out->epoch = pr_read_u64(&r);
    out->count = pr_read_u32(&r);
    if (!r.spent)
        pr_wire_check_range(&c, "count", out->count, 1, PR_WIRE_MAX_ZERO_RANGES);
    for (uint32_t i = 0; !c.failed && i < out->count; i++) {
        out->range[i].region = pr_read_u32(&r);
        out->range[i].offset = pr_read_u64(&r);
        out->range[i].len = pr_read_u64(&r);
    }
    int err = pr_wire_read_end(&r, &c);
    return err ? err : zero_check(out, EPROTO);
}

int pr_wire_epoch_end_encode(const struct pr_wire_epoch_end *message, void *to, size_t size)
{
    struct pr_writer w = pr_wire_begin(PR_WIRE_EPOCH_END, to, size);
    pr_write_u64(&w, message->epoch);
    pr_write_u64(&w, message->writes);
    pr_write_u64(&w, message->bytes);
    return pr_wire_end(&w, PR_WIRE_EPOCH_END);
}

int pr_wire_epoch_end_decode(struct pr_wire_epoch_end *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->epoch = pr_read_u64(&r);
    out->writes = pr_read_u64(&r);
    out->bytes = pr_read_u64(&r);
    return pr_reader_end(&r, "epoch_end");
}

int pr_wire_epoch_ack_encode(const struct pr_wire_epoch_ack *message, void *to, size_t size)
{
    struct pr_writer w = pr_wire_begin(PR_WIRE_EPOCH_ACK, to, size);
    pr_write_u64(&w, message->epoch);
    return pr_wire_end(&w, PR_WIRE_EPOCH_ACK);
}

int pr_wire_epoch_ack_decode(struct pr_wire_epoch_ack *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->epoch = pr_read_u64(&r);
    return pr_reader_end(&r, "epoch_ack");
}
