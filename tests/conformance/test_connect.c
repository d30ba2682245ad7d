/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening, accepting, connecting: success, refusal, limits, cancellation, nothing left behind. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connect in a thread, while the test accepts. */
struct connecting {
    struct pr_fabric *fabric;
    const void *bytes;
    uint32_t len;
    int timeout_ms;
    const struct pr_event *cancel;
    struct pr_thread *thread;
    struct pr_lane *lane;
    int err;
    char message[PAGERAIL_ERROR_MAX];
};

static void connect_main(void *opaque)
{
    struct connecting *c = opaque;
    c->err = pr_fabric_connect(c->fabric, harness_address(), c->bytes, c->len, c->timeout_ms,
                               c->cancel, &c->lane);
    snprintf(c->message, sizeof(c->message), "%s", pr_error_message());
}

static void connecting_start(struct connecting *c, struct pr_fabric *fabric, const void *bytes,
                             uint32_t len)
{
    *c = (struct connecting){
        .fabric = fabric, .bytes = bytes, .len = len, .timeout_ms = PATIENCE_MS};
    assert_ok(pr_thread_spawn(&c->thread, "connect", connect_main, c));
}

struct request {
    uint8_t bytes[4096];
    uint32_t len;
    int verdict; /* what admit says */
    unsigned calls;
};

static int judge(void *opaque, const void *bytes, uint32_t len)
{
    struct request *request = opaque;
    request->calls++;
    request->len = len;
    if (len)
        memcpy(request->bytes, bytes, len);
    return request->verdict ? pr_error(-request->verdict, "no room for you: come back on tuesday")
                            : 0;
}

/* A fabric of each end and a listener, without lanes. */
static void quiet_open(struct ends *ends)
{
    memset(ends, 0, sizeof(*ends));
    ends->source = harness_open();
    ends->destination = harness_open();
    assert_ok(pr_fabric_listen(ends->destination, harness_fresh_address(), &ends->listener));
}

/* Connects and accepts with this much private data; both must succeed. */
static void exchange(struct ends *ends, const void *bytes, uint32_t len, struct request *request)
{
    struct connecting c;
    struct pr_lane *to = NULL;
    connecting_start(&c, ends->source, bytes, len);
    int err = pr_listener_accept(ends->listener, PATIENCE_MS, NULL, judge, request, &to);
    pr_thread_join(c.thread);
    assert_ok(err);
    assert_ok(c.err);
    pr_lane_close(c.lane);
    pr_lane_close(to);
}

/* A call of what a fabric lacks must be an answer, not a crash. */
static void no_operation_is_missing(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    void (*slots[sizeof(struct pr_fabric_ops) / sizeof(void (*)(void))])(void);
    memcpy(slots, fabric->ops, sizeof(slots));
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
        assert_non_null(slots[i]);
    pr_fabric_close(fabric);
}

static void admit_sees_the_private_data(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    uint32_t sizes[] = {0, 1, 17, ends.source->limits.max_private_bytes};
    uint8_t bytes[4096];
    assert_true(sizes[3] <= sizeof(bytes));
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)harness_random();
    for (unsigned i = 0; i < 4; i++) {
        struct request request = {0};
        exchange(&ends, bytes, sizes[i], &request);
        assert_int_equal(request.calls, 1);
        assert_int_equal(request.len, sizes[i]);
        assert_memory_equal(request.bytes, bytes, sizes[i]);
    }
    struct pr_lane *lane;
    assert_int_equal(
        pr_fabric_connect(ends.source, harness_address(), bytes, sizes[3] + 1, 1000, NULL, &lane),
        -EINVAL);
    ends_close(&ends);
}

static void refusal_travels_and_the_listener_goes_on(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    for (unsigned i = 0; i < 3; i++) {
        struct connecting c;
        struct pr_lane *to = NULL;
        struct request request = {.verdict = -EBUSY};
        connecting_start(&c, ends.source, "x", 1);
        int err = pr_listener_accept(ends.listener, PATIENCE_MS, NULL, judge, &request, &to);
        assert_string_equal(pr_error_message(), "no room for you: come back on tuesday");
        pr_thread_join(c.thread);
        assert_int_equal(err, -ECONNREFUSED);
        assert_null(to);
        assert_int_equal(c.err, -ECONNREFUSED);
        assert_null(c.lane);
        assert_non_null(strstr(c.message, "come back on tuesday"));
        struct request next = {0};
        exchange(&ends, "y", 1, &next);
    }
    ends_close(&ends);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_lane *lane = NULL;
    int err = pr_fabric_connect(fabric, harness_fresh_address(), NULL, 0, PATIENCE_MS, NULL, &lane);
    assert_true(err == -ECONNREFUSED || err == -ENOENT);
    assert_true(pr_error_message()[0]);
    assert_null(lane);
    pr_fabric_close(fabric);
}

static void empty_address_is_malformed(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_lane *lane = NULL;
    struct pr_listener *listener = NULL;
    assert_int_equal(pr_fabric_connect(fabric, "", NULL, 0, 1000, NULL, &lane), -EINVAL);
    assert_int_equal(pr_fabric_listen(fabric, "", &listener), -EINVAL);
    assert_true(!lane && !listener);
    pr_fabric_close(fabric);
}

static void second_listener_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_listener *second = NULL;
    quiet_open(&ends);
    assert_int_equal(pr_fabric_listen(ends.source, harness_address(), &second), -EADDRINUSE);
    assert_null(second);
    struct request request = {0};
    exchange(&ends, "z", 1, &request); /* the first is as it was */
    ends_close(&ends);
}

static void address_is_free_after_close(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    for (unsigned i = 0; i < 5; i++) {
        struct request request = {0};
        exchange(&ends, NULL, 0, &request);
        pr_listener_close(ends.listener);
        struct pr_lane *lane;
        int err =
            pr_fabric_connect(ends.source, harness_address(), NULL, 0, PATIENCE_MS, NULL, &lane);
        assert_true(err == -ECONNREFUSED || err == -ENOENT);
        assert_ok(pr_fabric_listen(ends.destination, harness_address(), &ends.listener));
    }
    ends_close(&ends);
}

static void accept_times_out(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_lane *to = NULL;
    quiet_open(&ends);
    uint64_t before = pr_now_ns();
    assert_int_equal(pr_listener_accept(ends.listener, 50, NULL, NULL, NULL, &to), -ETIMEDOUT);
    assert_true(pr_now_ns() - before >= 50000000u);
    assert_int_equal(pr_listener_accept(ends.listener, 0, NULL, NULL, NULL, &to), -ETIMEDOUT);
    struct request request = {0};
    exchange(&ends, NULL, 0, &request);
    ends_close(&ends);
}

static void connect_times_out(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_lane *from = NULL;
    quiet_open(&ends); /* listens, and never accepts */
    uint64_t before = pr_now_ns();
    assert_int_equal(pr_fabric_connect(ends.source, harness_address(), NULL, 0, 50, NULL, &from),
                     -ETIMEDOUT);
    assert_true(pr_now_ns() - before >= 50000000u);
    assert_null(from);
    ends_close(&ends);
}

static void raise_main(void *opaque)
{
    pr_sleep_ms(5); /* so that most runs raise it amid the wait; before it is right as well */
    pr_event_raise(opaque);
}

static void waits_can_be_canceled(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_event cancel;
    struct pr_lane *lane = NULL;
    quiet_open(&ends);
    assert_ok(pr_event_open(&cancel));
    for (unsigned i = 0; i < 4; i++) {
        struct pr_thread *thread;
        assert_ok(pr_thread_spawn(&thread, "raise", raise_main, &cancel));
        int err =
            i % 2 ? pr_listener_accept(ends.listener, -1, &cancel, NULL, NULL, &lane)
                  : pr_fabric_connect(ends.source, harness_address(), NULL, 0, -1, &cancel, &lane);
        pr_thread_join(thread);
        /* Accept first meets the client that the round before left behind. */
        while (i % 2 && err == -ECONNRESET)
            err = pr_listener_accept(ends.listener, -1, &cancel, NULL, NULL, &lane);
        assert_int_equal(err, -ECANCELED);
        /* Still raised: at once. */
        assert_int_equal(pr_listener_accept(ends.listener, -1, &cancel, NULL, NULL, &lane),
                         -ECANCELED);
        pr_event_clear(&cancel);
    }
    assert_null(lane);
    pr_event_close(&cancel);
    ends_close(&ends);
}

static void lanes_outlive_their_listener(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    pr_listener_close(ends.listener);
    assert_ok(pr_lane_post_send(ends.from, "hello", 5, 0, false));
    assert_ok(pr_lane_flush(ends.from));
    struct pr_completion c = lane_expect(ends.to, PR_OP_RECV);
    assert_memory_equal(c.bytes, "hello", 5);
    pr_lane_recv_done(ends.to, c.bytes);
    assert_ok(pr_fabric_listen(ends.destination, harness_address(), &ends.listener));
    ends_close(&ends);
}

static void many_lanes_between_two_ends(void **state)
{
    (void)state;
    enum { LANES = 24 };
    struct ends ends;
    struct pr_lane *from[LANES], *to[LANES];
    ends_open(&ends);
    for (uint32_t i = 0; i < LANES; i++)
        ends_connect(&ends, &from[i], &to[i]);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_ok(pr_lane_post_send(from[i], &i, sizeof(i), 0, false));
        assert_ok(pr_lane_flush(from[i]));
    }
    for (uint32_t i = 0; i < LANES; i++) {
        struct pr_completion c = lane_expect(to[i], PR_OP_RECV);
        assert_memory_equal(c.bytes, &i, sizeof(i));
        pr_lane_close(from[i]);
        pr_lane_close(to[i]);
    }
    ends_close(&ends);
}

static void cycles_leave_no_descriptor(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends);
    struct request request = {0};
    exchange(&ends, NULL, 0, &request);
    unsigned before = count_fds();
    for (unsigned i = 0; i < harness_times(200); i++)
        exchange(&ends, "abc", 3, &request);
    for (unsigned i = 0; i < harness_times(50); i++) {
        struct connecting c;
        struct pr_lane *to;
        struct request refused = {.verdict = -EPERM};
        connecting_start(&c, ends.source, NULL, 0);
        assert_int_equal(pr_listener_accept(ends.listener, PATIENCE_MS, NULL, judge, &refused, &to),
                         -ECONNREFUSED);
        pr_thread_join(c.thread);
        assert_int_equal(c.err, -ECONNREFUSED);
    }
    assert_int_equal(count_fds(), before);
    ends_close(&ends);
}

static void fabrics_leave_no_descriptor(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends); /* a library below may open something once for good */
    ends_close(&ends);
    unsigned before = count_fds();
    for (unsigned i = 0; i < harness_times(20); i++) {
        ends_open(&ends);
        ends_close(&ends);
    }
    assert_int_equal(count_fds(), before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_operation_is_missing),
        cmocka_unit_test(admit_sees_the_private_data),
        cmocka_unit_test(refusal_travels_and_the_listener_goes_on),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(empty_address_is_malformed),
        cmocka_unit_test(second_listener_is_refused),
        cmocka_unit_test(address_is_free_after_close),
        cmocka_unit_test(accept_times_out),
        cmocka_unit_test(connect_times_out),
        cmocka_unit_test(waits_can_be_canceled),
        cmocka_unit_test(lanes_outlive_their_listener),
        cmocka_unit_test(many_lanes_between_two_ends),
        cmocka_unit_test(cycles_leave_no_descriptor),
        cmocka_unit_test(fabrics_leave_no_descriptor),
    };
    return harness_main(argc, argv, "connect", tests, sizeof(tests) / sizeof(tests[0]));
}
