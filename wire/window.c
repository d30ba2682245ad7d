/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys of registration windows: asked for, granted, given up. */
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>
#include <string.h>

#define PAGE_BYTES 4096

/* How many windows a region has depends on the session; any u32 is one of some session. */
static void check_window(struct pr_wire_check *c, const struct pr_wire_window *window)
{
    pr_wire_check_range(c, "region", window->region, 0, PR_WIRE_MAX_REGIONS - 1);
}

static void write_window(struct pr_writer *w, const struct pr_wire_window *window)
{
    pr_write_u32(w, window->region);
    pr_write_u32(w, window->window);
}

static void read_window(struct pr_reader *r, struct pr_wire_window *out)
{
    out->region = pr_read_u32(r);
    out->window = pr_read_u32(r);
}

static int want_check(const struct pr_wire_want *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("want", err);
    pr_wire_check_range(&c, "count", m->count, 1, PR_WIRE_MAX_WANTED);
    for (uint32_t i = 0; !c.failed && i < m->count; i++) {
        pr_wire_check_item(&c, "window", i);
        check_window(&c, &m->window[i]);
    }
    return c.failed;
}

int pr_wire_want_encode(const struct pr_wire_want *message, void *to, size_t size)
{
    int err = want_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_WANT, to, size);
    pr_write_u32(&w, message->count);
    for (uint32_t i = 0; i < message->count; i++)
        write_window(&w, &message->window[i]);
    return pr_wire_end(&w, PR_WIRE_WANT);
}

int pr_wire_want_decode(struct pr_wire_want *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("want", EPROTO);
    memset(out, 0, sizeof(*out));
    out->count = pr_read_u32(&r);
    if (!r.spent)
        pr_wire_check_range(&c, "count", out->count, 1, PR_WIRE_MAX_WANTED);
    for (uint32_t i = 0; !c.failed && i < out->count; i++)
        read_window(&r, &out->window[i]);
    int err = pr_wire_read_end(&r, &c);
    return err ? err : want_check(out, EPROTO);
}

static int grant_check(const struct pr_wire_grant *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("grant", err);
    check_window(&c, &m->window);
    pr_wire_check_range(&c, "len", m->len, 1, PR_WIRE_MAX_WINDOW_BYTES);
    pr_wire_check_multiple(&c, "len", m->len, PAGE_BYTES);
    pr_wire_check_that(&c, m->addr <= UINT64_MAX - m->len, "addr", "an end below 2^64");
    return c.failed;
}

int pr_wire_grant_encode(const struct pr_wire_grant *message, void *to, size_t size)
{
    int err = grant_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_GRANT, to, size);
    write_window(&w, &message->window);
    pr_write_u64(&w, message->addr);
    pr_write_u64(&w, message->len);
    pr_write_u64(&w, message->rkey);
    return pr_wire_end(&w, PR_WIRE_GRANT);
}

int pr_wire_grant_decode(struct pr_wire_grant *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    read_window(&r, &out->window);
    out->addr = pr_read_u64(&r);
    out->len = pr_read_u64(&r);
    out->rkey = pr_read_u64(&r);
    int err = pr_reader_end(&r, "grant");
    return err ? err : grant_check(out, EPROTO);
}

static int drop_check(const struct pr_wire_drop *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("drop", err);
    check_window(&c, &m->window);
    return c.failed;
}

int pr_wire_drop_encode(const struct pr_wire_drop *message, void *to, size_t size)
{
    int err = drop_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_DROP, to, size);
    write_window(&w, &message->window);
    return pr_wire_end(&w, PR_WIRE_DROP);
}

int pr_wire_drop_decode(struct pr_wire_drop *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    read_window(&r, &out->window);
    int err = pr_reader_end(&r, "drop");
    return err ? err : drop_check(out, EPROTO);
}
