/* SPDX-License-Identifier: BSD-2-Clause */
/* Ends that close, with things in flight, and lanes in threads of their own. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1u << 20)
#define ALL (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

static void what_arrived_comes_before_the_failure(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_completion c;
    ends_open(&ends);
    /* One less than the buffers, and the immediate takes one as well. */
    uint32_t count = ends.destination->limits.recv_depth - 1;
    for (uint32_t i = 0; i < count; i++)
        assert_ok(pr_lane_post_send(ends.from, &i, sizeof(i), i, i == count - 1));
    struct pr_rma nothing = {.signaled = true};
    assert_ok(pr_lane_post_write_imm(ends.from, &nothing, 99));
    assert_ok(pr_lane_flush(ends.from));
    lane_expect(ends.from, PR_OP_SEND);
    lane_expect(ends.from, PR_OP_WRITE);
    pr_lane_close(ends.from);
    ends.from = NULL;
    for (uint32_t i = 0; i < count; i++) {
        c = lane_expect(ends.to, PR_OP_RECV);
        assert_memory_equal(c.bytes, &i, sizeof(i));
    }
    assert_int_equal(lane_expect(ends.to, PR_OP_RECV_IMM).imm, 99);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(lane_next(ends.to, &c), -ECONNRESET);
        assert_true(pr_error_message()[0]);
    }
    assert_int_equal(pr_lane_arm(ends.to), 1);
    assert_true(pr_lane_post_send(ends.to, "x", 1, 0, true) < 0);
    assert_true(pr_lane_flush(ends.to) < 0);
    ends_close(&ends);
}

/* The peer leaves while something of ours lies unread there. */
static void closing_with_unread_messages(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    assert_ok(pr_lane_post_send(ends.from, "farewell", 8, 0, true));
    assert_ok(pr_lane_flush(ends.from));
    lane_expect(ends.from, PR_OP_SEND);
    assert_ok(pr_lane_post_send(ends.to, "unread", 6, 0, false));
    assert_ok(pr_lane_flush(ends.to));
    pr_lane_close(ends.from);
    ends.from = NULL;
    assert_memory_equal(lane_expect(ends.to, PR_OP_RECV).bytes, "farewell", 8);
    assert_int_equal(lane_until_failed(ends.to), -ECONNRESET);
    ends_close(&ends);
}

static void closing_with_posts_in_the_queue(void **state)
{
    (void)state;
    for (unsigned flushed = 0; flushed < 2; flushed++) {
        struct ends ends;
        struct window local, remote;
        ends_open(&ends);
        window_open(&local, ends.source, MIB, PR_ACCESS_LOCAL_READ);
        window_open(&remote, ends.destination, MIB, ALL);
        memset(local.bytes, 1, MIB);
        for (unsigned i = 0; i < 40; i++) {
            struct pr_rma rma = window_rma(&local, &remote, 0, MIB, i);
            assert_ok(pr_lane_post_write(ends.from, &rma));
            if (i < 20)
                assert_ok(pr_lane_post_send(ends.from, "queued", 6, 0, false));
        }
        if (flushed)
            assert_ok(pr_lane_flush(ends.from));
        pr_lane_close(ends.from);
        ends.from = NULL;
        window_close(&local); /* nothing reads it any more */
        if (!flushed)
            assert_int_equal(remote.bytes[0], 0);
        assert_int_equal(lane_until_failed(ends.to), -ECONNRESET);
        window_close(&remote);
        ends_close(&ends);
    }
}

static void a_sleeper_wakes_when_the_peer_leaves(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    struct pollfd fd = {.fd = pr_lane_fd(ends.to), .events = POLLIN};
    assert_int_equal(pr_lane_arm(ends.to), 0);
    pr_lane_close(ends.from);
    ends.from = NULL;
    assert_int_equal(pr_poll(&fd, 1, PATIENCE_MS), 1);
    assert_int_equal(lane_until_failed(ends.to), -ECONNRESET);
    ends_close(&ends);
}

/* One thread's lane: writes its part of the window over and over, and says so each time. */
struct writer {
    struct pr_lane *lane;
    struct window *local, *remote;
    uint64_t offset, len;
    unsigned rounds; /* 0: until the lane fails */
    _Atomic unsigned done;
    int err;
};

static int write_round(struct writer *w)
{
    struct pr_rma rma = window_rma(w->local, w->remote, w->offset, w->len, 1);
    int err = pr_lane_post_write(w->lane, &rma);
    if (!err)
        err = pr_lane_flush(w->lane);
    struct pr_completion c;
    int count = 0;
    while (!err && !count) {
        count = pr_lane_poll(w->lane, &c, 1);
        err = count < 0 ? count : 0;
    }
    return err;
}

static void writer_main(void *opaque)
{
    struct writer *w = opaque;
    for (unsigned i = 0; (!w->rounds || i < w->rounds) && !w->err; i++) {
        w->err = write_round(w);
        atomic_fetch_add(&w->done, 1);
    }
}

static void two_lanes_in_two_threads(void **state)
{
    (void)state;
    struct ends ends;
    struct window local, remote;
    struct pr_lane *from[2], *to[2];
    struct writer writers[2];
    struct pr_thread *threads[2];
    ends_open(&ends);
    window_open(&local, ends.source, 2 * MIB, PR_ACCESS_LOCAL_READ);
    window_open(&remote, ends.destination, 2 * MIB, ALL);
    for (unsigned i = 0; i < 2 * MIB; i++)
        local.bytes[i] = (uint8_t)harness_random();
    for (unsigned i = 0; i < 2; i++) {
        ends_connect(&ends, &from[i], &to[i]);
        writers[i] = (struct writer){.lane = from[i],
                                     .local = &local,
                                     .remote = &remote,
                                     .offset = i * MIB,
                                     .len = MIB,
                                     .rounds = harness_times(200)};
    }
    for (unsigned i = 0; i < 2; i++)
        assert_ok(pr_thread_spawn(&threads[i], "writer", writer_main, &writers[i]));
    for (unsigned i = 0; i < 2; i++)
        pr_thread_join(threads[i]);
    for (unsigned i = 0; i < 2; i++) {
        assert_ok(writers[i].err);
        pr_lane_close(from[i]);
        pr_lane_close(to[i]);
    }
    assert_memory_equal(local.bytes, remote.bytes, 2 * MIB);
    window_close(&local);
    window_close(&remote);
    ends_close(&ends);
}

/* The destination closes its lane, takes its window back, and frees the memory, all while the
 * source writes into it. */
static void closing_under_a_writer(void **state)
{
    (void)state;
    for (unsigned round = 0; round < harness_times(25); round++) {
        struct ends ends;
        struct window local, remote;
        struct pr_thread *thread;
        ends_open(&ends);
        uint64_t max = ends.source->limits.max_write_bytes;
        uint64_t len = max < 4 * MIB ? max : 4 * MIB; /* long transfers are hit more often */
        window_open(&local, ends.source, len, PR_ACCESS_LOCAL_READ);
        window_open(&remote, ends.destination, len, ALL);
        memset(local.bytes, 1, len);
        struct writer writer = {.lane = ends.from, .local = &local, .remote = &remote, .len = len};
        struct pr_mr *mr = remote.mr;
        struct pr_mr copy = *mr; /* the writer's own: the real one goes under it */
        remote.mr = &copy;
        assert_ok(pr_thread_spawn(&thread, "writer", writer_main, &writer));
        while (atomic_load(&writer.done) < round % 4)
            ;
        pr_lane_close(ends.to);
        pr_fabric_dereg(mr);
        /* The end first: a transfer still under way would reach it last. */
        memset(remote.bytes + len - 4096, 0, 4096);
        memset(remote.bytes, 0, len - 4096);
        pr_thread_join(thread);
        assert_true(writer.err < 0);
        for (uint64_t i = 0; i < len; i += 64)
            assert_int_equal(remote.bytes[i], 0);
        ends.to = NULL;
        remote.mr = NULL;
        window_close(&local);
        window_close(&remote);
        ends_close(&ends);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrived_comes_before_the_failure),
        cmocka_unit_test(closing_with_unread_messages),
        cmocka_unit_test(closing_with_posts_in_the_queue),
        cmocka_unit_test(a_sleeper_wakes_when_the_peer_leaves),
        cmocka_unit_test(two_lanes_in_two_threads),
        cmocka_unit_test(closing_under_a_writer),
    };
    return harness_main(argc, argv, "failure", tests, sizeof(tests) / sizeof(tests[0]));
}
