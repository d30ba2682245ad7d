/* SPDX-License-Identifier: BSD-2-Clause */
/* Posting, polling, sleeping and failing on a lane whose device is a mock. */
#include "base/runtime.h"
#include "tests/unit/verbs_case.h"

#include <arpa/inet.h>
#include <errno.h>

#define RECV_BIT (UINT64_C(1) << 63)
#define WINDOW 65536

struct scene {
    struct pr_fabric *fabric;
    struct pr_lane *lane;
    struct pr_mr *mr;
    struct pr_key key; /* of the peer */
    char bytes[WINDOW];
};

static struct scene scene;

static int scene_open(void **state)
{
    (void)state;
    mock_verbs_start();
    scene = (struct scene){.key = {.addr = 0x100000, .len = WINDOW, .rkey = 77}};
    scene.fabric = open_fabric();
    if (connect_to(scene.fabric, &scene.lane) ||
        pr_fabric_reg(scene.fabric, scene.bytes, WINDOW, PR_ACCESS_LOCAL_WRITE, &scene.mr))
        fail_msg("%s", pr_error_message());
    return 0;
}

static int scene_close(void **state)
{
    (void)state;
    pr_lane_close(scene.lane);
    pr_fabric_dereg(scene.mr);
    pr_fabric_close(scene.fabric);
    mock_verbs_finish();
    return 0;
}

static struct pr_rma transfer(uint64_t offset, uint64_t len, uint64_t tag, bool signaled)
{
    return (struct pr_rma){.local = scene.bytes + offset,
                           .mr = scene.mr,
                           .remote = scene.key.addr + offset,
                           .key = &scene.key,
                           .len = len,
                           .tag = tag,
                           .signaled = signaled};
}

static int post_write(uint64_t tag, bool signaled)
{
    struct pr_rma rma = transfer(0, 64, tag, signaled);
    return pr_lane_post_write(scene.lane, &rma);
}

static void flush(void)
{
    assert_int_equal(pr_lane_flush(scene.lane), 0);
}

/* The device is done with what it got as the n-th request (from 0), counted from the start. */
static void complete(unsigned n)
{
    struct ibv_wc wc = {.wr_id = mock.sent[n].wr.wr_id};
    mock_verbs_complete(&wc);
}

static void complete_with(uint64_t wr_id, enum ibv_wc_status status)
{
    struct ibv_wc wc = {.wr_id = wr_id, .status = status};
    mock_verbs_complete(&wc);
}

static void arrive(uint32_t buffer, uint32_t len)
{
    struct ibv_wc wc = {.wr_id = RECV_BIT | buffer, .opcode = IBV_WC_RECV, .byte_len = len};
    mock_verbs_complete(&wc);
}

static void expect_own(enum pr_op op, uint64_t tag)
{
    struct pr_completion c;
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1);
    assert_int_equal(c.op, op);
    assert_int_equal(c.tag, tag);
}

static void expect_nothing(void)
{
    struct pr_completion c;
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 0);
}

/* Polls until the lane fails; everything before must be nothing. */
static int until_failed(void)
{
    struct pr_completion c;
    int count;
    uint64_t deadline = pr_deadline_after_ms(30000);
    while (!(count = pr_lane_poll(scene.lane, &c, 1)))
        assert_true(pr_now_ns() < deadline);
    return count;
}

/* ---- posting ---- */

static void a_chain_is_one_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(post_write(i, i == 4), 0);
    assert_int_equal(mock.bursts, 0);
    flush();
    assert_int_equal(mock.bursts, 1);
    assert_int_equal(mock.sent_count, 5);
    flush(); /* nothing queued: no call */
    assert_int_equal(mock.bursts, 1);
    for (unsigned i = 0; i < 5; i++) {
        const struct mock_sent *sent = &mock.sent[i];
        assert_int_equal(sent->wr.opcode, IBV_WR_RDMA_WRITE);
        assert_int_equal(sent->wr.send_flags, i == 4 ? IBV_SEND_SIGNALED : 0);
        assert_int_equal(sent->wr.wr.rdma.remote_addr, 0x100000);
        assert_int_equal(sent->wr.wr.rdma.rkey, 77);
        assert_int_equal(sent->sge.addr, (uintptr_t)scene.bytes);
        assert_int_equal(sent->sge.length, 64);
    }
}

static void each_kind_of_post(void **state)
{
    (void)state;
    struct pr_rma rma = transfer(128, 256, 9, true), nothing = {.tag = 10, .signaled = true};
    assert_int_equal(pr_lane_post_write_imm(scene.lane, &rma, 0x12345678), 0);
    assert_int_equal(pr_lane_post_write_imm(scene.lane, &nothing, 5), 0);
    assert_int_equal(pr_lane_post_read(scene.lane, &rma), 0);
    assert_int_equal(pr_lane_post_send(scene.lane, "hello", 5, 11, false), 0);
    flush();
    assert_int_equal(mock.sent[0].wr.opcode, IBV_WR_RDMA_WRITE_WITH_IMM);
    assert_int_equal(mock.sent[0].wr.imm_data, htonl(0x12345678));
    assert_int_equal(mock.sent[0].sge.length, 256);
    assert_int_equal(mock.sent[1].wr.num_sge, 0);
    assert_int_equal(mock.sent[2].wr.opcode, IBV_WR_RDMA_READ);
    assert_int_equal(mock.sent[2].wr.wr.rdma.remote_addr, 0x100000 + 128);
    assert_int_equal(mock.sent[3].wr.opcode, IBV_WR_SEND);
    assert_memory_equal((void *)(uintptr_t)mock.sent[3].sge.addr, "hello", 5);
    for (unsigned i = 0; i < 4; i++)
        complete(i);
    expect_own(PR_OP_WRITE, 9);
    expect_own(PR_OP_WRITE, 10);
    expect_own(PR_OP_READ, 9);
    expect_nothing(); /* the message was not signalled */
}

static void bad_posts_are_refused(void **state)
{
    (void)state;
    struct pr_rma good = transfer(0, 64, 1, true);
    struct pr_rma bad[8];
    for (unsigned i = 0; i < COUNT_OF(bad); i++)
        bad[i] = good;
    bad[0].len = 0;
    bad[1].len = scene.fabric->limits.max_write_bytes + 1;
    bad[2].local = scene.bytes - 1;
    bad[3].local = scene.bytes + WINDOW - 63;
    bad[4].remote = scene.key.addr - 1;
    bad[5].remote = scene.key.addr + WINDOW - 63;
    bad[6].remote = UINT64_MAX - 10;
    struct pr_mr foreign = *scene.mr;
    foreign.fabric = NULL;
    bad[7].mr = &foreign;
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(pr_lane_post_write(scene.lane, &bad[i]), -EINVAL);
        if (i != 0)
            assert_int_equal(pr_lane_post_write_imm(scene.lane, &bad[i], 1), -EINVAL);
    }
    assert_int_equal(pr_lane_post_send(scene.lane, "x", 0, 0, true), -EINVAL);
    assert_int_equal(
        pr_lane_post_send(scene.lane, "x", scene.fabric->limits.max_message_bytes + 1, 0, true),
        -EINVAL);
    struct pr_mr *sealed;
    assert_int_equal(pr_fabric_reg(scene.fabric, scene.bytes, 64, 0, &sealed), 0);
    struct pr_rma read = good;
    read.mr = sealed;
    assert_int_equal(pr_lane_post_read(scene.lane, &read), -EINVAL);
    pr_fabric_dereg(sealed);
    flush();
    assert_int_equal(mock.sent_count, 0);
}

static void places_come_back_with_a_polled_completion(void **state)
{
    (void)state;
    uint32_t depth = scene.fabric->limits.send_depth;
    for (uint32_t i = 0; i < depth; i++)
        assert_int_equal(post_write(i, i == 9 || i == depth - 1), 0);
    assert_int_equal(post_write(0, true), -EAGAIN);
    assert_int_equal(pr_lane_post_send(scene.lane, "x", 1, 0, true), -EAGAIN);
    flush();
    complete(9);
    assert_int_equal(post_write(0, true), -EAGAIN);
    expect_own(PR_OP_WRITE, 9);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(post_write(1000 + i, i == 9), 0);
    assert_int_equal(post_write(0, true), -EAGAIN);
    flush();
    assert_int_equal(mock.sent_count, depth + 10);
    complete(depth - 1);
    complete(depth + 9);
    expect_own(PR_OP_WRITE, depth - 1);
    expect_own(PR_OP_WRITE, 1009);
}

/* Messages of every length, many times around the ring; what the device has is never changed. */
static void messages_stay_until_they_are_sent(void **state)
{
    (void)state;
    struct draw draw = draw_open(4711);
    static uint8_t message[16384], copies[MOCK_SENT_MAX][64];
    unsigned done = 0, full = 0;
    for (unsigned sent = 0; sent < MOCK_SENT_MAX - 1;) {
        uint32_t len = 1 + (uint32_t)draw_below(&draw, sizeof(message));
        memset(message, (int)draw_u64(&draw), 64);
        int err = pr_lane_post_send(scene.lane, message, len, sent, false);
        if (!err) {
            memcpy(copies[sent], message, 64);
            sent++;
            flush();
        }
        full += err == -EAGAIN;
        while (done < sent && (err == -EAGAIN || draw_below(&draw, 6) == 0)) {
            uint32_t seen = mock.sent[done].sge.length < 64 ? mock.sent[done].sge.length : 64;
            assert_memory_equal((void *)(uintptr_t)mock.sent[done].sge.addr, copies[done], seen);
            complete(done++);
            expect_nothing(); /* not signalled, and freed all the same */
            err = 0;
        }
        /* The places come back only with a signalled one. */
        if (sent % 200 == 0 && sent > done) {
            assert_int_equal(post_write(sent, true), 0);
            flush();
            memcpy(copies[sent], scene.bytes, 64);
            for (; done <= sent; done++)
                complete(done);
            expect_own(PR_OP_WRITE, sent);
            sent++;
        }
    }
    assert_true(full > 0);
}

static void small_messages_travel_inline(void **state)
{
    (void)state;
    static const char bytes[200];
    assert_int_equal(pr_lane_post_send(scene.lane, bytes, 128, 0, true), 0);
    assert_int_equal(pr_lane_post_send(scene.lane, bytes, 129, 0, true), 0);
    flush();
    assert_int_equal(mock.sent[0].wr.send_flags, IBV_SEND_SIGNALED | IBV_SEND_INLINE);
    assert_int_equal(mock.sent[1].wr.send_flags, IBV_SEND_SIGNALED);
}

/* ---- receiving ---- */

static void received_buffers_go_around(void **state)
{
    (void)state;
    struct pr_completion c[3];
    uint32_t depth = scene.fabric->limits.recv_depth;
    assert_int_equal(mock.receives, depth);
    arrive(0, 10);
    arrive(1, 16384);
    assert_int_equal(pr_lane_poll(scene.lane, c, 3), 2);
    assert_int_equal(c[0].op, PR_OP_RECV);
    assert_int_equal(c[0].len, 10);
    assert_int_equal(c[1].len, 16384);
    assert_int_equal((const char *)c[1].bytes - (const char *)c[0].bytes, 16384);
    assert_int_equal(mock.receives, depth - 2);
    pr_lane_recv_done(scene.lane, c[1].bytes);
    assert_int_equal(mock.receives, depth - 1);
    pr_lane_recv_done(scene.lane, c[0].bytes);
    struct ibv_wc imm = {.wr_id = RECV_BIT | 2,
                         .opcode = IBV_WC_RECV_RDMA_WITH_IMM,
                         .wc_flags = IBV_WC_WITH_IMM,
                         .imm_data = htonl(0xdeadbeef)};
    mock_verbs_complete(&imm);
    assert_int_equal(pr_lane_poll(scene.lane, c, 3), 1);
    assert_int_equal(c[0].op, PR_OP_RECV_IMM);
    assert_int_equal(c[0].imm, 0xdeadbeef);
    assert_null(c[0].bytes);
    assert_int_equal(mock.receives, depth); /* its buffer is back already */
}

static void an_empty_message_is_no_message(void **state)
{
    (void)state;
    arrive(0, 0);
    assert_int_equal(until_failed(), -EPROTO);
}

/* ---- sleeping ---- */

static int fd_ready(void)
{
    struct pollfd fd = {.fd = pr_lane_fd(scene.lane), .events = POLLIN};
    return pr_poll(&fd, 1, 0);
}

static void arming_wakes_at_the_next_completion(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++) { /* more than are acknowledged at once */
        assert_int_equal(pr_lane_arm(scene.lane), 0);
        assert_int_equal(fd_ready(), 0);
        arrive(i % 64, 5);
        assert_int_equal(fd_ready(), 1);
        struct pr_completion c;
        assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1);
        pr_lane_recv_done(scene.lane, c.bytes);
    }
}

static void arming_finds_what_is_there(void **state)
{
    (void)state;
    struct pr_completion c;
    arrive(0, 5);
    arrive(1, 6);
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1);
    assert_int_equal(c.len, 5);
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1);
    assert_int_equal(c.len, 6);
    assert_int_equal(pr_lane_arm(scene.lane), 0);
}

static void arming_may_fail(void **state)
{
    (void)state;
    mock.fail_at = mock.calls + 1;
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(until_failed(), -EIO);
}

/* ---- failing ---- */

static void expect_stays_failed(int err)
{
    struct pr_completion c;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pr_lane_poll(scene.lane, &c, 1), err);
    assert_int_equal(post_write(0, true), err);
    assert_int_equal(pr_lane_post_send(scene.lane, "x", 1, 0, true), err);
    assert_int_equal(pr_lane_flush(scene.lane), err);
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(mock.disconnects, 1);
}

static void the_peer_leaves(void **state)
{
    (void)state;
    struct pr_completion c;
    assert_int_equal(pr_lane_arm(scene.lane), 0);
    arrive(0, 7);
    mock_verbs_event(RDMA_CM_EVENT_DISCONNECTED, 0);
    assert_int_equal(fd_ready(), 1);
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1); /* what arrived comes first */
    pr_lane_recv_done(scene.lane, c.bytes);
    assert_int_equal(until_failed(), -ECONNRESET);
    says("closed the connection");
    expect_stays_failed(-ECONNRESET);
}

static void connection_events(void **state)
{
    (void)state;
    static const struct {
        enum rdma_cm_event_type type;
        int err;
    } table[] = {{RDMA_CM_EVENT_DISCONNECTED, ECONNRESET},
                 {RDMA_CM_EVENT_DEVICE_REMOVAL, ENODEV},
                 {RDMA_CM_EVENT_TIMEWAIT_EXIT, ECONNRESET},
                 {RDMA_CM_EVENT_ADDR_CHANGE, ECONNRESET},
                 {RDMA_CM_EVENT_ESTABLISHED, 0},
                 {RDMA_CM_EVENT_UNREACHABLE, 0},
                 {RDMA_CM_EVENT_MULTICAST_JOIN, 0}};
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        mock_verbs_event(table[i].type, 0);
        assert_int_equal(pr_lane_arm(scene.lane), table[i].err ? 1 : 0);
        if (table[i].err)
            assert_int_equal(until_failed(), -table[i].err);
        scene_close(NULL);
        scene_open(NULL);
    }
}

static void device_events(void **state)
{
    (void)state;
    static const struct {
        enum ibv_event_type type;
        int err;
    } table[] = {{IBV_EVENT_PORT_ERR, 0},
                 {IBV_EVENT_PORT_ACTIVE, 0},
                 {IBV_EVENT_GID_CHANGE, 0},
                 {IBV_EVENT_COMM_EST, 0},
                 {IBV_EVENT_QP_LAST_WQE_REACHED, 0},
                 {IBV_EVENT_QP_FATAL, EIO},
                 {IBV_EVENT_QP_ACCESS_ERR, EACCES},
                 {IBV_EVENT_CQ_ERR, EIO},
                 {IBV_EVENT_DEVICE_FATAL, EIO},
                 {IBV_EVENT_PATH_MIG, 0}};
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(pr_lane_arm(scene.lane), 0);
        mock_verbs_device_event(table[i].type);
        assert_int_equal(fd_ready(), 1);
        assert_int_equal(pr_lane_arm(scene.lane), table[i].err ? 1 : 0);
        if (table[i].err)
            assert_int_equal(until_failed(), -table[i].err);
        else
            assert_int_equal(fd_ready(), 0);
        scene_close(NULL);
        scene_open(NULL);
    }
}

static void a_port_that_goes_down_shows_as_state(void **state)
{
    (void)state;
    const struct pr_fabric *fabric = scene.fabric;
    assert_int_equal(fabric->rail_state, PR_RAIL_UP);
    mock_verbs_device_event(IBV_EVENT_PORT_ERR);
    assert_int_equal(pr_lane_arm(scene.lane), 0);
    assert_int_equal(fabric->rail_state, PR_RAIL_DOWN);
    mock_verbs_device_event(IBV_EVENT_PORT_ACTIVE);
    assert_int_equal(pr_lane_arm(scene.lane), 0);
    assert_int_equal(fabric->rail_state, PR_RAIL_UP);
    mock_verbs_device_event(IBV_EVENT_DEVICE_FATAL);
    assert_int_equal(until_failed(), -EIO);
    assert_int_equal(fabric->rail_state, PR_RAIL_FAILED);
}

/* Whoever reads a device's event tells the lanes of others too. */
static void device_events_reach_all_lanes(void **state)
{
    (void)state;
    struct pr_fabric *fabric;
    struct pr_lane *other;
    struct pr_completion c;
    assert_int_equal(pr_fabric_verbs_open(NULL, &fabric), 0);
    assert_int_equal(pr_fabric_connect(fabric, "192.0.2.1:4444", NULL, 0, 30000, NULL, &other), 0);
    mock_verbs_device_event(IBV_EVENT_DEVICE_FATAL);
    assert_int_equal(pr_lane_arm(other), 1);
    assert_int_equal(pr_lane_poll(other, &c, 1), -EIO);
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(until_failed(), -EIO);
    pr_lane_close(other);
    pr_fabric_close(fabric);
}

/* A completion that failed; those before it count, those after it were given back. */
static void a_transfer_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(post_write(i, true), 0);
    flush();
    complete(0);
    complete_with(1, IBV_WC_REM_ACCESS_ERR);
    complete_with(2, IBV_WC_WR_FLUSH_ERR);
    complete_with(3, IBV_WC_WR_FLUSH_ERR);
    expect_own(PR_OP_WRITE, 0);
    assert_int_equal(until_failed(), -EACCES);
    says("window was closed");
    expect_stays_failed(-EACCES);
}

static void every_status_fails_the_lane(void **state)
{
    (void)state;
    for (int status = IBV_WC_SUCCESS + 1; status <= IBV_WC_TM_RNDV_INCOMPLETE; status++) {
        for (unsigned receiving = 0; receiving < 2; receiving++) {
            post_write(1, true);
            flush();
            complete_with(receiving ? RECV_BIT | 3 : 0, (enum ibv_wc_status)status);
            assert_true(until_failed() < 0);
            char number[32];
            snprintf(number, sizeof(number), "status %d,", status);
            says(number);
            scene_close(NULL);
            scene_open(NULL);
        }
    }
}

/* A peer that said farewell is not reported as one that does not answer. */
static void a_farewell_explains_what_was_given_back(void **state)
{
    (void)state;
    static const enum ibv_wc_status table[] = {IBV_WC_WR_FLUSH_ERR, IBV_WC_RETRY_EXC_ERR};
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(post_write(1, true), 0);
        flush();
        complete_with(0, table[i]);
        mock_verbs_event(RDMA_CM_EVENT_DISCONNECTED, 0);
        assert_int_equal(until_failed(), -ECONNRESET);
        says("closed the connection");
        scene_close(NULL);
        scene_open(NULL);
    }
}

static void a_refused_doorbell_fails_the_lane(void **state)
{
    (void)state;
    mock.post_errno = ENOMEM;
    assert_int_equal(post_write(1, true), 0);
    assert_int_equal(pr_lane_flush(scene.lane), -ENOMEM);
    assert_int_equal(until_failed(), -ENOMEM);
    expect_stays_failed(-ENOMEM);
}

static void a_refused_buffer_fails_the_lane(void **state)
{
    (void)state;
    struct pr_completion c;
    arrive(0, 5);
    assert_int_equal(pr_lane_poll(scene.lane, &c, 1), 1);
    mock.fail_at = mock.calls + 1;
    pr_lane_recv_done(scene.lane, c.bytes);
    assert_int_equal(until_failed(), -EIO);
}

/* The connection manager may have ended it on its own: then the queue pair is stopped directly. */
static void a_failed_disconnect_drains_all_the_same(void **state)
{
    (void)state;
    mock_verbs_event(RDMA_CM_EVENT_DISCONNECTED, 0);
    mock.fail_at = mock.calls + 2; /* after the request for a wake-up */
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(mock.receives, 0);
    assert_int_equal(until_failed(), -ECONNRESET);
}

/* A device that never gives its buffers back does not keep the lane from failing. */
static void draining_ends(void **state)
{
    (void)state;
    mock_verbs_event(RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
    mock.receives = 0; /* so that the mock gives none back */
    assert_int_equal(pr_lane_arm(scene.lane), 1);
    assert_int_equal(until_failed(), -ENODEV);
}

static void a_poller_that_never_sleeps_notices_too(void **state)
{
    (void)state;
    mock_verbs_event(RDMA_CM_EVENT_DISCONNECTED, 0);
    assert_int_equal(until_failed(), -ECONNRESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

/* Its queue pair is gone at once; the peer hears of it when the lane is closed, if at all. */
static void a_lane_that_was_shut_is_closed_later(void **state)
{
    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        if (fails)
            assert_int_equal(connect_to(scene.fabric, &scene.lane), 0);
        const int live = mock.live;
        pr_lane_shut(scene.lane);
        assert_int_equal(mock.live, live - 1);
        assert_int_equal(mock.disconnects, fails);
        mock.fail_at = fails ? mock.calls + 1 : 0;
        mock.fail_errno = EINVAL;
        pr_lane_close(scene.lane);
        assert_int_equal(mock.disconnects, fails + 1);
        scene.lane = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_is_one_call),
        TEST(a_lane_that_was_shut_is_closed_later),
        TEST(each_kind_of_post),
        TEST(bad_posts_are_refused),
        TEST(places_come_back_with_a_polled_completion),
        TEST(messages_stay_until_they_are_sent),
        TEST(small_messages_travel_inline),
        TEST(received_buffers_go_around),
        TEST(an_empty_message_is_no_message),
        TEST(arming_wakes_at_the_next_completion),
        TEST(arming_finds_what_is_there),
        TEST(arming_may_fail),
        TEST(the_peer_leaves),
        TEST(connection_events),
        TEST(device_events),
        TEST(a_port_that_goes_down_shows_as_state),
        TEST(device_events_reach_all_lanes),
        TEST(a_transfer_fails),
        TEST(every_status_fails_the_lane),
        TEST(a_farewell_explains_what_was_given_back),
        TEST(a_refused_doorbell_fails_the_lane),
        TEST(a_refused_buffer_fails_the_lane),
        TEST(a_failed_disconnect_drains_all_the_same),
        TEST(draining_ends),
        TEST(a_poller_that_never_sleeps_notices_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
