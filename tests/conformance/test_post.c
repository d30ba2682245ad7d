/* SPDX-License-Identifier: BSD-2-Clause */
/* Posts and their completions on a healthy lane. */
#include "tests/conformance/harness.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1u << 20)

/* Two ends with a window at each that grants everything. */
struct pair {
    struct ends ends;
    struct window local;  /* at the source */
    struct window remote; /* at the destination */
};

static void fill(struct window *window)
{
    for (uint64_t i = 0; i < window->len; i += 8) {
        uint64_t value = harness_random();
        memcpy(window->bytes + i, &value, 8);
    }
}

static void pair_open(struct pair *pair, uint64_t len)
{
    ends_open(&pair->ends);
    window_open(&pair->local, pair->ends.source, len, PR_ACCESS_LOCAL_WRITE);
    window_open(&pair->remote, pair->ends.destination, len,
                PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ);
    fill(&pair->local);
}

static void pair_close(struct pair *pair)
{
    window_close(&pair->local);
    window_close(&pair->remote);
    ends_close(&pair->ends);
}

static void post_write(struct pair *pair, uint64_t offset, uint64_t len, uint64_t tag,
                       bool signaled)
{
    struct pr_rma rma = window_rma(&pair->local, &pair->remote, offset, len, tag);
    rma.signaled = signaled;
    assert_ok(pr_lane_post_write(pair->ends.from, &rma));
}

/* A message that says: what was posted before it is visible. */
static void fence(struct pair *pair)
{
    assert_ok(pr_lane_post_send(pair->ends.from, "f", 1, 0, true));
    assert_ok(pr_lane_flush(pair->ends.from));
    struct pr_completion c = lane_expect(pair->ends.to, PR_OP_RECV);
    pr_lane_recv_done(pair->ends.to, c.bytes);
}

static void assert_equal_windows(const struct pair *pair, uint64_t offset, uint64_t len)
{
    assert_memory_equal(pair->local.bytes + offset, pair->remote.bytes + offset, len);
}

static void write_arrives(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    post_write(&pair, 4096, 8192, 77, true);
    assert_ok(pr_lane_flush(pair.ends.from));
    struct pr_completion c = lane_expect(pair.ends.from, PR_OP_WRITE);
    assert_int_equal(c.tag, 77);
    fence(&pair);
    assert_equal_windows(&pair, 4096, 8192);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(pair.remote.bytes[i], 0);
    assert_int_equal(pair.remote.bytes[4096 + 8192], 0);
    pair_close(&pair);
}

static void one_byte_and_odd_edges_arrive(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    post_write(&pair, 0, 1, 1, false);
    post_write(&pair, 4095, 2, 2, false);
    post_write(&pair, MIB - 1, 1, 3, false);
    fence(&pair);
    assert_equal_windows(&pair, 0, 1);
    assert_equal_windows(&pair, 4095, 2);
    assert_equal_windows(&pair, MIB - 1, 1);
    assert_int_equal(pair.remote.bytes[1] | pair.remote.bytes[4097], 0);
    pair_close(&pair);
}

static void largest_write_arrives(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    uint64_t max = fabric->limits.max_write_bytes;
    uint64_t len = max < 64 * MIB ? max : 64 * MIB;
    pr_fabric_close(fabric);
    struct pair pair;
    pair_open(&pair, 2 * len);
    post_write(&pair, 0, len, 1, true);
    fence(&pair);
    assert_equal_windows(&pair, 0, len);
    assert_int_equal(pair.remote.bytes[len], 0);
    struct pr_rma over = window_rma(&pair.local, &pair.remote, 0, max + 1, 1);
    if (len == max)
        assert_int_equal(pr_lane_post_write(pair.ends.from, &over), -EINVAL);
    pair_close(&pair);
}

static void later_writes_win(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 16; i++) {
            /* Each from its own place of the source, all to one place of the destination. */
            struct pr_rma rma = window_rma(&pair.local, &pair.remote, i * 4096, 4096, i);
            rma.remote = pair.remote.mr->key.addr;
            rma.signaled = false;
            assert_ok(pr_lane_post_write(pair.ends.from, &rma));
        }
        fence(&pair);
        assert_memory_equal(pair.remote.bytes, pair.local.bytes + 15 * 4096, 4096);
        lane_expect(pair.ends.from, PR_OP_SEND);
        memset(pair.remote.bytes, 0, 4096);
    }
    pair_close(&pair);
}

static void only_signaled_posts_complete(void **state)
{
    (void)state;
    struct pair pair;
    struct pr_completion c;
    pair_open(&pair, MIB);
    for (unsigned i = 0; i < 10; i++)
        post_write(&pair, i * 4096, 4096, i, i == 4 || i == 9);
    assert_ok(pr_lane_flush(pair.ends.from));
    assert_int_equal(lane_expect(pair.ends.from, PR_OP_WRITE).tag, 4);
    assert_int_equal(lane_expect(pair.ends.from, PR_OP_WRITE).tag, 9);
    assert_int_equal(pr_lane_poll(pair.ends.from, &c, 1), 0);
    pair_close(&pair);
}

static void nothing_starts_before_flush(void **state)
{
    (void)state;
    struct pair pair;
    struct pr_completion c;
    pair_open(&pair, MIB);
    post_write(&pair, 0, 4096, 1, true);
    assert_ok(pr_lane_post_send(pair.ends.from, "x", 1, 2, true));
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(pr_lane_poll(pair.ends.from, &c, 1), 0);
    assert_int_equal(pr_lane_poll(pair.ends.to, &c, 1), 0);
    assert_int_equal(pair.remote.bytes[0] | pair.remote.bytes[4095], 0);
    assert_ok(pr_lane_flush(pair.ends.from));
    lane_expect(pair.ends.from, PR_OP_WRITE);
    lane_expect(pair.ends.from, PR_OP_SEND);
    pair_close(&pair);
}

static void full_lane_says_eagain_and_recovers(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    struct pr_lane *lane = pair.ends.from;
    uint32_t depth = lane->fabric->limits.send_depth;
    struct pr_rma rma = window_rma(&pair.local, &pair.remote, 0, 64, 5);
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < depth; i++)
            post_write(&pair, 64 * (i % 1024), 64, i, i == depth / 2 || i == depth - 1);
        assert_int_equal(pr_lane_post_write(lane, &rma), -EAGAIN);
        assert_int_equal(pr_lane_post_send(lane, "x", 1, 0, true), -EAGAIN);
        assert_ok(pr_lane_flush(lane));
        /* Complete is not enough: the places come back with the polled completion. */
        assert_int_equal(lane_expect(lane, PR_OP_WRITE).tag, depth / 2);
        for (uint32_t i = 0; i <= depth / 2; i++)
            post_write(&pair, 0, 64, 1000000, false);
        assert_int_equal(pr_lane_post_write(lane, &rma), -EAGAIN);
        assert_int_equal(lane_expect(lane, PR_OP_WRITE).tag, depth - 1);
        post_write(&pair, 0, 64, 9, true);
        assert_ok(pr_lane_flush(lane));
        assert_int_equal(lane_expect(lane, PR_OP_WRITE).tag, 9);
    }
    pair_close(&pair);
}

static void completions_come_in_order(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, 4 * MIB);
    uint64_t posted = 0, seen = 0;
    while (seen < 5000) {
        struct pr_completion c[32];
        while (posted < seen + 200) {
            uint64_t offset = harness_random() % (4 * MIB - 16384);
            post_write(&pair, offset, 1 + harness_random() % 16384, posted++, true);
        }
        assert_ok(pr_lane_flush(pair.ends.from));
        int count = pr_lane_poll(pair.ends.from, c, 32);
        assert_true(count >= 0);
        for (int i = 0; i < count; i++)
            assert_int_equal(c[i].tag, seen++);
    }
    pair_close(&pair);
}

static void writes_outside_are_refused_and_harmless(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    struct pr_lane *lane = pair.ends.from;
    struct pr_rma good = window_rma(&pair.local, &pair.remote, 0, 4096, 1);
    struct pr_rma bad[] = {good, good, good, good, good, good, good};
    bad[0].remote = good.key->addr + MIB - 4095;
    bad[1].remote = good.key->addr - 1;
    bad[2].remote = UINT64_MAX - 100;
    bad[3].local = pair.local.bytes + MIB - 4095;
    bad[4].local = pair.local.bytes - 1;
    bad[5].len = 0;
    bad[6].len = MIB + 1;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(pr_lane_post_write(lane, &bad[i]), -EINVAL);
        assert_true(pr_error_message()[0]);
    }
    assert_ok(pr_lane_post_write(lane, &good));
    assert_ok(pr_lane_flush(lane));
    assert_int_equal(lane_expect(lane, PR_OP_WRITE).tag, 1);
    pair_close(&pair);
}

static void reads_fetch(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    fill(&pair.remote);
    struct pr_rma rma = window_rma(&pair.local, &pair.remote, 8192, 100000, 42);
    assert_ok(pr_lane_post_read(pair.ends.from, &rma));
    assert_ok(pr_lane_flush(pair.ends.from));
    assert_int_equal(lane_expect(pair.ends.from, PR_OP_READ).tag, 42);
    assert_equal_windows(&pair, 8192, 100000);
    assert_memory_not_equal(pair.local.bytes, pair.remote.bytes, 8192);
    pair_close(&pair);
}

static void reads_see_earlier_writes(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    post_write(&pair, 0, 4096, 1, false);
    struct pr_rma rma = window_rma(&pair.local, &pair.remote, 0, 4096, 2);
    rma.local = pair.local.bytes + 8192;
    assert_ok(pr_lane_post_read(pair.ends.from, &rma));
    assert_ok(pr_lane_flush(pair.ends.from));
    lane_expect(pair.ends.from, PR_OP_READ);
    assert_memory_equal(pair.local.bytes, pair.local.bytes + 8192, 4096);
    pair_close(&pair);
}

static void read_needs_local_write_access(void **state)
{
    (void)state;
    struct pair pair;
    struct window sealed;
    pair_open(&pair, MIB);
    window_open(&sealed, pair.ends.source, MIB, PR_ACCESS_LOCAL_READ);
    struct pr_rma rma = window_rma(&sealed, &pair.remote, 0, 4096, 1);
    assert_int_equal(pr_lane_post_read(pair.ends.from, &rma), -EINVAL);
    window_close(&sealed);
    pair_close(&pair);
}

static void immediate_follows_its_data(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    for (uint32_t i = 0; i < 20; i++) {
        struct pr_rma rma = window_rma(&pair.local, &pair.remote, i * 8192, 8192, i);
        assert_ok(pr_lane_post_write_imm(pair.ends.from, &rma, 0xfffffff0u + i));
        assert_ok(pr_lane_flush(pair.ends.from));
        struct pr_completion c = lane_expect(pair.ends.to, PR_OP_RECV_IMM);
        assert_int_equal(c.imm, 0xfffffff0u + i);
        assert_null(c.bytes);
        assert_equal_windows(&pair, 0, (i + 1) * 8192);
        assert_int_equal(lane_expect(pair.ends.from, PR_OP_WRITE).tag, i);
    }
    pair_close(&pair);
}

static void immediate_needs_no_data(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    struct pr_rma rma = {.tag = 8, .signaled = true};
    assert_ok(pr_lane_post_write_imm(pair.ends.from, &rma, 12345));
    assert_ok(pr_lane_flush(pair.ends.from));
    assert_int_equal(lane_expect(pair.ends.to, PR_OP_RECV_IMM).imm, 12345);
    assert_int_equal(lane_expect(pair.ends.from, PR_OP_WRITE).tag, 8);
    pair_close(&pair);
}

/* Immediates and messages arrive in the order of posting, each after the writes before it. */
static void a_mixed_chain_keeps_its_order(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MIB);
    for (uint32_t i = 0; i < 40; i++) {
        post_write(&pair, 8192 * i, 4096, i, false);
        struct pr_rma next = window_rma(&pair.local, &pair.remote, 8192 * i + 4096, 4096, i);
        next.signaled = i == 39;
        if (i % 2)
            assert_ok(pr_lane_post_write_imm(pair.ends.from, &next, i));
        else
            assert_ok(pr_lane_post_send(pair.ends.from, &i, sizeof(i), i, false));
    }
    assert_ok(pr_lane_flush(pair.ends.from));
    for (uint32_t i = 0; i < 40; i++) {
        struct pr_completion c = lane_expect(pair.ends.to, i % 2 ? PR_OP_RECV_IMM : PR_OP_RECV);
        if (i % 2)
            assert_int_equal(c.imm, i);
        else
            assert_memory_equal(c.bytes, &i, sizeof(i));
        assert_equal_windows(&pair, 8192 * i, i % 2 ? 8192 : 4096);
        if (c.op == PR_OP_RECV)
            pr_lane_recv_done(pair.ends.to, c.bytes);
    }
    assert_int_equal(lane_expect(pair.ends.from, PR_OP_WRITE).tag, 39);
    pair_close(&pair);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_arrives),
        cmocka_unit_test(one_byte_and_odd_edges_arrive),
        cmocka_unit_test(largest_write_arrives),
        cmocka_unit_test(later_writes_win),
        cmocka_unit_test(only_signaled_posts_complete),
        cmocka_unit_test(nothing_starts_before_flush),
        cmocka_unit_test(full_lane_says_eagain_and_recovers),
        cmocka_unit_test(completions_come_in_order),
        cmocka_unit_test(writes_outside_are_refused_and_harmless),
        cmocka_unit_test(reads_fetch),
        cmocka_unit_test(reads_see_earlier_writes),
        cmocka_unit_test(read_needs_local_write_access),
        cmocka_unit_test(immediate_follows_its_data),
        cmocka_unit_test(immediate_needs_no_data),
        cmocka_unit_test(a_mixed_chain_keeps_its_order),
    };
    return harness_main(argc, argv, "post", tests, sizeof(tests) / sizeof(tests[0]));
}
