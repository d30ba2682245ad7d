/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two sides say before the first byte of memory moves: hello, region, welcome, accept. */
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>
#include <string.h>

#define PAGE_4K (UINT64_C(4) << 10)
#define PAGE_2M (UINT64_C(2) << 20)
#define PAGE_1G (UINT64_C(1) << 30)

static void check_rails(struct pr_wire_check *c, const struct pr_wire_rail *rail, uint16_t rails)
{
    pr_wire_check_range(c, "rails", rails, 1, PR_WIRE_MAX_RAILS);
    uint32_t lanes = 0;
    for (uint16_t i = 0; !c->failed && i < rails; i++) {
        pr_wire_check_item(c, "rail", i);
        pr_wire_check_name(c, "name", rail[i].name, sizeof(rail[i].name));
        pr_wire_check_range(c, "lanes", rail[i].lanes, 1, PR_WIRE_MAX_LANES);
        lanes += rail[i].lanes;
    }
    pr_wire_check_item(c, NULL, 0);
    pr_wire_check_range(c, "lanes of all rails", lanes, 1, PR_WIRE_MAX_LANES);
}

static void write_rails(struct pr_writer *w, const struct pr_wire_rail *rail, uint16_t rails)
{
    pr_write_u16(w, rails);
    for (uint16_t i = 0; i < rails; i++) {
        pr_write_string(w, rail[i].name);
        pr_write_u16(w, rail[i].lanes);
    }
}

/* Returns the count as the peer sent it; more than PR_WIRE_MAX_RAILS is recorded and not read. */
static uint16_t read_rails(struct pr_reader *r, struct pr_wire_check *c, struct pr_wire_rail *rail)
{
    uint16_t rails = pr_read_u16(r);
    if (r->spent)
        return 0;
    pr_wire_check_range(c, "rails", rails, 1, PR_WIRE_MAX_RAILS);
    for (uint16_t i = 0; !c->failed && i < rails; i++) {
        pr_wire_check_item(c, "rail", i);
        pr_wire_read_text(r, c, "name", rail[i].name, sizeof(rail[i].name));
        rail[i].lanes = pr_read_u16(r);
    }
    pr_wire_check_item(c, NULL, 0);
    return rails;
}

/* A peer may be able to receive more than PR_WIRE_MAX_MESSAGE, hold any number of buffers, or be as
 * patient as it likes: the reader of these takes the minimum of both sides. */
static void check_capacity(struct pr_wire_check *c, uint32_t message_bytes, uint32_t recv_depth,
                           uint32_t silence_ms)
{
    pr_wire_check_range(c, "message_bytes", message_bytes, PR_WIRE_MIN_MESSAGE, UINT32_MAX);
    pr_wire_check_range(c, "recv_depth", recv_depth, PR_WIRE_MIN_RECV_DEPTH, UINT32_MAX);
    pr_wire_check_range(c, "silence_ms", silence_ms, PR_WIRE_MIN_SILENCE_MS, UINT32_MAX);
}

static int hello_check(const struct pr_wire_hello *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("hello", err);
    pr_wire_check_range(&c, "version_min", m->version_min, 1, UINT16_MAX);
    pr_wire_check_range(&c, "version_max", m->version_max, m->version_min, UINT16_MAX);
    pr_wire_check_range(&c, "regions", m->regions, 1, PR_WIRE_MAX_REGIONS);
    pr_wire_check_multiple(&c, "total_bytes", m->total_bytes, PAGE_4K);
    pr_wire_check_range(&c, "total_bytes", m->total_bytes, m->regions * PAGE_4K,
                        m->regions * PR_WIRE_MAX_REGION_BYTES);
    pr_wire_check_power(&c, "window_bytes", m->window_bytes, PR_WIRE_MIN_WINDOW_BYTES,
                        PR_WIRE_MAX_WINDOW_BYTES);
    check_capacity(&c, m->message_bytes, m->recv_depth, m->silence_ms);
    check_rails(&c, m->rail, m->rails);
    return c.failed;
}

int pr_wire_hello_encode(const struct pr_wire_hello *message, void *to, size_t size)
{
    int err = hello_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_HELLO, to, size);
    pr_write_u16(&w, message->version_min);
    pr_write_u16(&w, message->version_max);
    pr_write_u64(&w, message->features);
    pr_write_u32(&w, message->regions);
    pr_write_u64(&w, message->total_bytes);
    pr_write_u64(&w, message->window_bytes);
    pr_write_u32(&w, message->message_bytes);
    pr_write_u32(&w, message->recv_depth);
    pr_write_u32(&w, message->silence_ms);
    write_rails(&w, message->rail, message->rails);
    return pr_wire_end(&w, PR_WIRE_HELLO);
}

int pr_wire_hello_decode(struct pr_wire_hello *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("hello", EPROTO);
    memset(out, 0, sizeof(*out));
    out->version_min = pr_read_u16(&r);
    out->version_max = pr_read_u16(&r);
    out->features = pr_read_u64(&r);
    out->regions = pr_read_u32(&r);
    out->total_bytes = pr_read_u64(&r);
    out->window_bytes = pr_read_u64(&r);
    out->message_bytes = pr_read_u32(&r);
    out->recv_depth = pr_read_u32(&r);
    out->silence_ms = pr_read_u32(&r);
    out->rails = read_rails(&r, &c, out->rail);
    int err = pr_wire_read_end(&r, &c);
    return err ? err : hello_check(out, EPROTO);
}

static int region_check(const struct pr_wire_region *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("region", err);
    pr_wire_check_range(&c, "index", m->index, 0, PR_WIRE_MAX_REGIONS - 1);
    pr_wire_check_that(
        &c, m->page_bytes == PAGE_4K || m->page_bytes == PAGE_2M || m->page_bytes == PAGE_1G,
        "page_bytes", "4 KiB, 2 MiB or 1 GiB");
    pr_wire_check_range(&c, "len", m->len, 1, PR_WIRE_MAX_REGION_BYTES);
    pr_wire_check_multiple(&c, "len", m->len, m->page_bytes);
    pr_wire_check_bits(&c, "flags", m->flags, 0);
    pr_wire_check_name(&c, "name", m->name, sizeof(m->name));
    return c.failed;
}

int pr_wire_region_encode(const struct pr_wire_region *message, void *to, size_t size)
{
    int err = region_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_REGION, to, size);
    pr_write_u32(&w, message->index);
    pr_write_u64(&w, message->len);
    pr_write_u64(&w, message->page_bytes);
    pr_write_u32(&w, message->flags);
    pr_write_string(&w, message->name);
    return pr_wire_end(&w, PR_WIRE_REGION);
}

int pr_wire_region_decode(struct pr_wire_region *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("region", EPROTO);
    memset(out, 0, sizeof(*out));
    out->index = pr_read_u32(&r);
    out->len = pr_read_u64(&r);
    out->page_bytes = pr_read_u64(&r);
    out->flags = pr_read_u32(&r);
    pr_wire_read_text(&r, &c, "name", out->name, sizeof(out->name));
    int err = pr_wire_read_end(&r, &c);
    return err ? err : region_check(out, EPROTO);
}

static int welcome_check(const struct pr_wire_welcome *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("welcome", err);
    pr_wire_check_range(&c, "version", m->version, 1, UINT16_MAX);
    pr_wire_check_bits(&c, "features", m->features, PR_WIRE_FEATURES);
    pr_wire_check_power(&c, "window_bytes", m->window_bytes, PR_WIRE_MIN_WINDOW_BYTES,
                        PR_WIRE_MAX_WINDOW_BYTES);
    check_capacity(&c, m->message_bytes, m->recv_depth, m->silence_ms);
    pr_wire_check_that(&c, !pr_wire_all_zero(m->token, sizeof(m->token)), "token", "random bytes");
    check_rails(&c, m->rail, m->rails);
    return c.failed;
}

int pr_wire_welcome_encode(const struct pr_wire_welcome *message, void *to, size_t size)
{
    int err = welcome_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_WELCOME, to, size);
    pr_write_u16(&w, message->version);
    pr_write_u64(&w, message->features);
    pr_write_u64(&w, message->window_bytes);
    pr_write_u64(&w, message->pin_bytes);
    pr_write_u32(&w, message->message_bytes);
    pr_write_u32(&w, message->recv_depth);
    pr_write_u32(&w, message->silence_ms);
    pr_write_bytes(&w, message->token, sizeof(message->token));
    write_rails(&w, message->rail, message->rails);
    return pr_wire_end(&w, PR_WIRE_WELCOME);
}

int pr_wire_welcome_decode(struct pr_wire_welcome *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("welcome", EPROTO);
    memset(out, 0, sizeof(*out));
    out->version = pr_read_u16(&r);
    out->features = pr_read_u64(&r);
    out->window_bytes = pr_read_u64(&r);
    out->pin_bytes = pr_read_u64(&r);
    out->message_bytes = pr_read_u32(&r);
    out->recv_depth = pr_read_u32(&r);
    out->silence_ms = pr_read_u32(&r);
    pr_read_bytes(&r, out->token, sizeof(out->token));
    out->rails = read_rails(&r, &c, out->rail);
    int err = pr_wire_read_end(&r, &c);
    return err ? err : welcome_check(out, EPROTO);
}

static int accept_check(const struct pr_wire_accept *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("accept", err);
    pr_wire_check_range(&c, "index", m->index, 0, PR_WIRE_MAX_REGIONS - 1);
    pr_wire_check_bits(&c, "flags", m->flags, PR_WIRE_ACCEPT_FRESH);
    return c.failed;
}

int pr_wire_accept_encode(const struct pr_wire_accept *message, void *to, size_t size)
{
    int err = accept_check(message, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_wire_begin(PR_WIRE_ACCEPT, to, size);
    pr_write_u32(&w, message->index);
    pr_write_u32(&w, message->flags);
    return pr_wire_end(&w, PR_WIRE_ACCEPT);
}

int pr_wire_accept_decode(struct pr_wire_accept *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->index = pr_read_u32(&r);
    out->flags = pr_read_u32(&r);
    int err = pr_reader_end(&r, "accept");
    return err ? err : accept_check(out, EPROTO);
}
