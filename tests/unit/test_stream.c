/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/stream.h: the window, its edges, and a peer that does not keep to it. */
#include "tests/unit/mock_lane.h"
#include "transport/stream.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define WINDOW PR_STREAM_WINDOW_BYTES

struct under_test {
    struct mock_fabric *fabric;
    struct mock_lane *lane;
    struct pr_channel channel;
    struct pr_stream_out out;
    struct pr_stream_in in;
};

static void open_stream(struct under_test *t)
{
    *t = (struct under_test){.fabric = mock_fabric_new()};
    t->fabric->base.limits.send_depth = 1 << 20;
    t->lane = mock_lane_new(t->fabric);
    pr_channel_open(&t->channel, &t->lane->base, NULL);
    pr_channel_agree(&t->channel, 1 << 20, PR_WIRE_MAX_MESSAGE);
    pr_channel_told(&t->channel);
    pr_stream_in_open(&t->in);
}

static void close_stream(struct under_test *t)
{
    pr_stream_in_close(&t->in);
    pr_channel_close(&t->channel);
    mock_fabric_free(t->fabric);
}

static int ignore(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)opaque, (void)type, (void)body, (void)len;
    return 0;
}

static void pump(struct under_test *t)
{
    const struct pr_channel_handler handler = {.message = ignore};
    while (pr_channel_pump(&t->channel, &handler) > 0)
        continue;
}

static int limit(struct under_test *t, uint64_t value)
{
    const struct pr_wire_stream_limit message = {value};
    return pr_stream_limit(&t->out, &message);
}

static int receive(struct under_test *t, uint64_t offset, const void *bytes, uint32_t len)
{
    const struct pr_wire_stream message = {offset, len, bytes};
    return pr_stream_receive(&t->in, &message);
}

static int receive_end(struct under_test *t, uint64_t len)
{
    const struct pr_wire_stream_end message = {len};
    return pr_stream_receive_end(&t->in, &message);
}

/* ---- the writer ---- */

static void a_writer_keeps_to_the_limit(void **state)
{
    (void)state;
    struct under_test t;
    open_stream(&t);
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "0123456789", 10), 0);
    assert_int_equal(limit(&t, 4), 0);
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "0123456789", 10), 4);
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "456789", 6), 0);
    assert_int_equal(limit(&t, 4), 0);
    assert_int_equal(limit(&t, 100), 0);
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "456789", 6), 6);
    assert_int_equal(t.out.sent, 10);
    pump(&t);
    const void *body;
    struct pr_wire_stream second;
    struct pr_wire_header header = mock_message(t.lane, PR_WIRE_STREAM, 1, &body);
    assert_int_equal(pr_wire_stream_decode(&second, body, header.body_len), 0);
    assert_int_equal(second.offset, 4);
    assert_int_equal(second.len, 6);
    assert_memory_equal(second.bytes, "456789", 6);
    close_stream(&t);
}

static void a_limit_never_falls(void **state)
{
    (void)state;
    struct under_test t;
    open_stream(&t);
    assert_int_equal(limit(&t, 100), 0);
    assert_int_equal(limit(&t, 99), -EPROTO);
    assert_int_equal(limit(&t, UINT64_MAX), 0);
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "x", 1), 1);
    close_stream(&t);
}

/* Messages of at most what both sides take, and no more of them than the outbox may hold. */
static void long_writes_are_cut(void **state)
{
    (void)state;
    static const struct {
        uint32_t message_bytes;
        size_t piece;
    } rows[] = {{1024, 1024 - 20}, {PR_WIRE_MAX_MESSAGE, PR_WIRE_MAX_STREAM_BYTES}};
    static uint8_t bytes[1 << 20];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_stream(&t);
        pr_channel_agree(&t.channel, 1 << 20, rows[i].message_bytes);
        assert_int_equal(limit(&t, WINDOW), 0);
        ssize_t taken = pr_stream_write(&t.out, &t.channel, bytes, sizeof(bytes));
        assert_int_equal(taken, 32 * rows[i].piece);
        assert_int_equal(pr_channel_backlog(&t.channel), 32);
        pump(&t);
        taken = pr_stream_write(&t.out, &t.channel, bytes, 10);
        assert_int_equal(taken, 10);
        close_stream(&t);
    }
}

static void an_ended_stream_takes_no_more(void **state)
{
    (void)state;
    struct under_test t;
    open_stream(&t);
    limit(&t, 100);
    pr_stream_write(&t.out, &t.channel, "abc", 3);
    assert_int_equal(pr_stream_write_end(&t.out, &t.channel), 0);
    assert_int_equal(pr_stream_write_end(&t.out, &t.channel), 0); /* is ended once */
    assert_int_equal(pr_stream_write(&t.out, &t.channel, "x", 1), -EINVAL);
    pump(&t);
    assert_int_equal(mock_messages(t.lane, PR_WIRE_STREAM_END), 1);
    const void *body;
    struct pr_wire_stream_end end;
    struct pr_wire_header header = mock_message(t.lane, PR_WIRE_STREAM_END, 0, &body);
    assert_int_equal(pr_wire_stream_end_decode(&end, body, header.body_len), 0);
    assert_int_equal(end.len, 3);
    close_stream(&t);
}

/* ---- the reader ---- */

static uint64_t announced(struct under_test *t)
{
    const void *body;
    struct pr_wire_stream_limit message;
    pump(t);
    uint32_t count = mock_messages(t->lane, PR_WIRE_STREAM_LIMIT);
    struct pr_wire_header header = mock_message(t->lane, PR_WIRE_STREAM_LIMIT, count - 1, &body);
    assert_int_equal(pr_wire_stream_limit_decode(&message, body, header.body_len), 0);
    return message.limit;
}

static void what_came_is_read_in_order(void **state)
{
    (void)state;
    struct under_test t;
    char to[16] = "";
    bool ended;
    open_stream(&t);
    assert_int_equal(pr_stream_announce(&t.in, &t.channel), 0);
    assert_int_equal(announced(&t), WINDOW);
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, sizeof(to), &ended), 0);
    assert_false(ended);
    assert_int_equal(receive(&t, 0, "abc", 3), 0);
    assert_int_equal(receive(&t, 3, "defg", 4), 0);
    assert_int_equal(pr_stream_received(&t.in), 7);
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, 5, &ended), 5);
    assert_memory_equal(to, "abcde", 5);
    assert_int_equal(receive_end(&t, 7), 0);
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, sizeof(to), &ended), 2);
    assert_memory_equal(to, "fg", 2);
    assert_true(ended);
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, sizeof(to), &ended), 0);
    assert_true(ended);
    close_stream(&t);
}

static void what_breaks_the_stream_is_refused(void **state)
{
    (void)state;
    struct under_test t;
    open_stream(&t);
    assert_int_equal(receive(&t, 0, "x", 1), -EPROTO); /* no room was offered yet */
    assert_int_equal(pr_stream_announce(&t.in, &t.channel), 0);
    assert_int_equal(receive(&t, 1, "x", 1), -EPROTO); /* a gap */
    assert_int_equal(receive(&t, 0, "xy", 2), 0);
    assert_int_equal(receive(&t, 0, "x", 1), -EPROTO); /* again */
    assert_int_equal(receive(&t, 1, "x", 1), -EPROTO);
    assert_int_equal(receive(&t, UINT64_MAX, "x", 1), -EPROTO);
    assert_int_equal(receive_end(&t, 1), -EPROTO);
    assert_int_equal(receive_end(&t, 3), -EPROTO);
    assert_int_equal(receive_end(&t, 2), 0);
    assert_int_equal(receive_end(&t, 2), -EPROTO);     /* twice */
    assert_int_equal(receive(&t, 2, "x", 1), -EPROTO); /* behind the end */
    close_stream(&t);
}

/* Exactly the window fits, not a byte more, and reading makes room a quarter at a time. */
static void the_window_is_exact(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 14], to[WINDOW];
    struct under_test t;
    bool ended;
    open_stream(&t);
    pr_stream_announce(&t.in, &t.channel);
    uint64_t at = 0;
    for (; at < WINDOW; at += sizeof(bytes))
        assert_int_equal(receive(&t, at, bytes, sizeof(bytes)), 0);
    assert_int_equal(receive(&t, at, "x", 1), -EPROTO);
    pump(&t);
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, WINDOW / 4 - 1, &ended), WINDOW / 4 - 1);
    pump(&t);
    assert_int_equal(mock_messages(t.lane, PR_WIRE_STREAM_LIMIT), 1); /* not for so little */
    assert_int_equal(pr_stream_read(&t.in, &t.channel, to, 1, &ended), 1);
    assert_int_equal(announced(&t), WINDOW + WINDOW / 4);
    assert_int_equal(receive(&t, at, "x", 1), 0);
    close_stream(&t);
}

/* Any cut of a long stream, around the ring's edge many times, comes out as it went in. */
static void bytes_survive_any_cut(void **state)
{
    (void)state;
    static uint8_t from[1 << 14], to[1 << 14];
    struct draw draw = draw_open(11);
    struct under_test t;
    bool ended = false;
    open_stream(&t);
    pr_stream_announce(&t.in, &t.channel);
    uint64_t sent = 0, got = 0, total = 5 * WINDOW + 12345;
    while (!ended) {
        uint64_t room = t.in.announced - sent, left = total - sent;
        uint64_t len = 1 + draw_below(&draw, sizeof(from));
        len = len < room ? len : room;
        len = len < left ? len : left;
        for (uint64_t i = 0; i < len; i++)
            from[i] = (uint8_t)((sent + i) * 2654435761u >> 24);
        if (len)
            assert_int_equal(receive(&t, sent, from, (uint32_t)len), 0);
        sent += len;
        if (sent == total && t.in.end == UINT64_MAX)
            assert_int_equal(receive_end(&t, total), 0);
        ssize_t n =
            pr_stream_read(&t.in, &t.channel, to, 1 + draw_below(&draw, sizeof(to)), &ended);
        assert_true(n >= 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(to[i], (uint8_t)((got + (uint64_t)i) * 2654435761u >> 24));
        got += (uint64_t)n;
    }
    assert_int_equal(got, total);
    close_stream(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_keeps_to_the_limit),
        cmocka_unit_test(a_limit_never_falls),
        cmocka_unit_test(long_writes_are_cut),
        cmocka_unit_test(an_ended_stream_takes_no_more),
        cmocka_unit_test(what_came_is_read_in_order),
        cmocka_unit_test(what_breaks_the_stream_is_refused),
        cmocka_unit_test(the_window_is_exact),
        cmocka_unit_test(bytes_survive_any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
