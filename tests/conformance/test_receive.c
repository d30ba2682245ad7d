/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages, receive buffers, and sleeping until something comes. */
#include "tests/conformance/harness.h"

#include "base/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void send_now(struct pr_lane *lane, const void *bytes, uint32_t len)
{
    assert_ok(pr_lane_post_send(lane, bytes, len, 7, true));
    assert_ok(pr_lane_flush(lane));
    assert_int_equal(lane_expect(lane, PR_OP_SEND).tag, 7);
}

static void messages_arrive_whole(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    uint32_t max = ends.source->limits.max_message_bytes;
    uint8_t *bytes = malloc(max + 1);
    for (uint32_t i = 0; i < max; i++)
        bytes[i] = (uint8_t)harness_random();
    uint32_t sizes[] = {1, 2, 63, 4096, max - 1, max};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        send_now(ends.from, bytes, sizes[i]);
        struct pr_completion c = lane_expect(ends.to, PR_OP_RECV);
        assert_int_equal(c.len, sizes[i]);
        assert_int_equal(c.tag, 0);
        assert_memory_equal(c.bytes, bytes, sizes[i]);
        pr_lane_recv_done(ends.to, c.bytes);
    }
    assert_int_equal(pr_lane_post_send(ends.from, bytes, 0, 0, true), -EINVAL);
    assert_int_equal(pr_lane_post_send(ends.from, bytes, max + 1, 0, true), -EINVAL);
    send_now(ends.from, bytes, 1);
    free(bytes);
    ends_close(&ends);
}

static void both_ends_may_send(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    assert_ok(pr_lane_post_send(ends.to, "from the destination", 20, 0, false));
    assert_ok(pr_lane_flush(ends.to));
    assert_ok(pr_lane_post_send(ends.from, "from the source", 15, 0, false));
    assert_ok(pr_lane_flush(ends.from));
    assert_memory_equal(lane_expect(ends.from, PR_OP_RECV).bytes, "from the destination", 20);
    assert_memory_equal(lane_expect(ends.to, PR_OP_RECV).bytes, "from the source", 15);
    ends_close(&ends);
}

static void a_posted_message_is_copied(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    char bytes[8] = "before";
    assert_ok(pr_lane_post_send(ends.from, bytes, sizeof(bytes), 0, false));
    memcpy(bytes, "after!!", 8);
    assert_ok(pr_lane_flush(ends.from));
    assert_string_equal(lane_expect(ends.to, PR_OP_RECV).bytes, "before");
    ends_close(&ends);
}

/* All buffers are held for a while, in ever different order of return; nothing is overwritten. */
static void held_buffers_stay_intact(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    uint32_t depth = ends.destination->limits.recv_depth;
    const uint64_t **held = calloc(depth, sizeof(*held));
    uint64_t *expected = calloc(depth, sizeof(*expected));
    uint64_t sent = 0;
    for (uint32_t i = 0; i < depth; i++, sent++)
        send_now(ends.from, &sent, sizeof(sent));
    for (uint32_t i = 0; i < depth; i++) {
        expected[i] = i;
        held[i] = lane_expect(ends.to, PR_OP_RECV).bytes;
    }
    for (unsigned round = 0; round < harness_times(2000); round++, sent++) {
        uint32_t victim = (uint32_t)(harness_random() % depth);
        assert_int_equal(*held[victim], expected[victim]);
        pr_lane_recv_done(ends.to, held[victim]);
        send_now(ends.from, &sent, sizeof(sent));
        held[victim] = lane_expect(ends.to, PR_OP_RECV).bytes;
        expected[victim] = sent;
    }
    for (uint32_t i = 0; i < depth; i++)
        assert_int_equal(*held[i], expected[i]);
    free(held);
    free(expected);
    ends_close(&ends); /* with every buffer held */
}

static void arm_says_what_is_there(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_completion c;
    ends_open(&ends);
    struct pollfd fd = {.fd = pr_lane_fd(ends.from), .events = POLLIN};
    assert_int_equal(pr_lane_poll(ends.from, &c, 1), 0);
    assert_int_equal(pr_lane_arm(ends.from), 0);
    assert_int_equal(pr_poll(&fd, 1, 0), 0);
    assert_ok(pr_lane_post_send(ends.from, "x", 1, 3, true));
    assert_ok(pr_lane_flush(ends.from));
    if (!pr_lane_arm(ends.from))
        assert_int_equal(pr_poll(&fd, 1, PATIENCE_MS), 1);
    lane_expect(ends.from, PR_OP_SEND);
    ends_close(&ends);
}

/* Answers every message until it has seen enough. */
struct echo {
    struct pr_lane *lane;
    unsigned left;
    int err;
};

static int sleepy_next(struct pr_lane *lane, struct pr_completion *out)
{
    for (;;) {
        int count = pr_lane_poll(lane, out, 1);
        if (count)
            return count < 0 ? count : 0;
        struct pollfd fd = {.fd = pr_lane_fd(lane), .events = POLLIN};
        int armed = pr_lane_arm(lane);
        if (armed < 0)
            return armed;
        if (!armed && pr_poll(&fd, 1, PATIENCE_MS) == 0)
            return -ETIMEDOUT;
    }
}

static void echo_main(void *opaque)
{
    struct echo *echo = opaque;
    while (echo->left && !echo->err) {
        struct pr_completion c;
        echo->err = sleepy_next(echo->lane, &c);
        if (echo->err || c.op != PR_OP_RECV)
            continue;
        echo->err = pr_lane_post_send(echo->lane, c.bytes, c.len, 0, true);
        pr_lane_recv_done(echo->lane, c.bytes);
        if (!echo->err)
            echo->err = pr_lane_flush(echo->lane);
        echo->left--;
    }
}

/* Both sides sleep between any two messages; one lost wake-up would stop it for good. */
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_thread *thread;
    const uint32_t trips = harness_times(10000);
    ends_open(&ends);
    struct echo echo = {.lane = ends.to, .left = trips};
    assert_ok(pr_thread_spawn(&thread, "echo", echo_main, &echo));
    int err = 0;
    for (uint32_t i = 0; i < trips && !err; i++) {
        struct pr_completion c = {0};
        err = pr_lane_post_send(ends.from, &i, sizeof(i), 0, true);
        if (!err)
            err = pr_lane_flush(ends.from);
        for (unsigned got = 0; got < 2 && !err; got++) {
            err = sleepy_next(ends.from, &c);
            if (err || c.op != PR_OP_RECV)
                continue;
            err = memcmp(c.bytes, &i, sizeof(i)) ? -EILSEQ : 0;
            pr_lane_recv_done(ends.from, c.bytes);
        }
    }
    pr_thread_join(thread);
    assert_ok(err);
    assert_ok(echo.err);
    ends_close(&ends);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_whole),      cmocka_unit_test(both_ends_may_send),
        cmocka_unit_test(a_posted_message_is_copied), cmocka_unit_test(held_buffers_stay_intact),
        cmocka_unit_test(arm_says_what_is_there),     cmocka_unit_test(no_wake_up_is_lost),
    };
    return harness_main(argc, argv, "receive", tests, sizeof(tests) / sizeof(tests[0]));
}
