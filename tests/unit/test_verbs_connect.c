/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting and accepting, and every call's failure, against mocked libraries. */
#include "rdma/verbs/greeting.h"
#include "tests/unit/verbs_case.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- every call fails once ---- */

/* The scenarios: 0 or a negative errno; everything they made is closed when they return. */

static int scene_open(void)
{
    struct pr_fabric *fabric;
    int err = pr_fabric_verbs_open(NULL, &fabric);
    if (!err)
        pr_fabric_close(fabric);
    return err;
}

static int scene_open_two_devices(void)
{
    mock.devices = 2;
    return scene_open();
}

static int scene_reg(void)
{
    static char bytes[64];
    struct pr_fabric *fabric = open_fabric();
    struct pr_mr *mr = NULL;
    mock.calls = 0;
    int err = pr_fabric_reg(fabric, bytes, sizeof(bytes), PR_ACCESS_LOCAL_READ, &mr);
    pr_fabric_dereg(mr);
    pr_fabric_close(fabric);
    return err;
}

static int scene_listen(void)
{
    struct pr_fabric *fabric = open_fabric();
    struct pr_listener *listener;
    mock.calls = 0;
    int err = pr_fabric_listen(fabric, ADDRESS, &listener);
    if (!err)
        pr_listener_close(listener);
    pr_fabric_close(fabric);
    return err;
}

static int scene_connect(void)
{
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane = NULL;
    mock.calls = 0;
    int err = connect_to(fabric, &lane);
    assert_true(err || lane);
    int calls = mock.calls;
    pr_lane_close(lane);
    pr_fabric_close(fabric);
    mock.calls = calls;
    return err;
}

static int scene_connect_chooses_device(void)
{
    mock.devices = 2;
    return scene_connect();
}

static int scene_accept(void)
{
    struct pr_fabric *fabric = open_fabric();
    struct pr_listener *listener = NULL;
    struct pr_lane *lane = NULL;
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    assert_int_equal(pr_fabric_listen(fabric, ADDRESS, &listener), 0);
    mock_verbs_request(greeting, pr_verbs_greeting_encode(PR_VERBS_REQUEST, 0, "hi", 2, greeting));
    mock.calls = 0;
    int err = pr_listener_accept(listener, PATIENCE_MS, NULL, NULL, NULL, &lane);
    assert_true(err || lane);
    int calls = mock.calls;
    pr_lane_close(lane);
    pr_listener_close(listener);
    pr_fabric_close(fabric);
    mock.calls = calls;
    return err;
}

struct scene {
    const char *name;
    int (*play)(void);
    int tolerated; /* calls whose failure changes nothing */
};

static const struct scene scenes[] = {
    {"open", scene_open, 0},
    {"open with two devices", scene_open_two_devices, 0},
    {"reg", scene_reg, 0},
    {"listen", scene_listen, 0},
    /* the time-out option of old kernels; the port's MTU, which need not be told; inline data,
     * without which a queue pair is made too */
    {"connect", scene_connect, 3},
    {"connect chooses the device", scene_connect_chooses_device, 3},
    {"accept", scene_accept, 3},
};

/* Plays with the n-th call failing, in each of the n there are. The scenario itself may make calls
 * before what it tests; those it takes off the count. */
static void play_failing(const struct scene *scene, int first_errno)
{
    mock_verbs_start();
    assert_int_equal(scene->play(), 0);
    int calls = mock.calls, tolerated = 0;
    mock_verbs_finish();
    assert_true(calls > 0);
    for (int n = 1; n <= calls; n++) {
        mock_verbs_start();
        mock.fail_errno = first_errno;
        /* The count starts anew at mock.calls = 0; before that, nothing may fail. */
        mock.calls = scene->play == scene_open || scene->play == scene_open_two_devices ? 0 : 10000;
        mock.fail_at = n;
        int err = scene->play();
        if (!err)
            tolerated++;
        else if (!pr_error_message()[0])
            fail_msg("%s: call %d fails without a sentence", scene->name, n);
        if (mock.live)
            fail_msg("%s: call %d fails and leaves %d objects", scene->name, n, mock.live);
        mock_verbs_finish();
    }
    if (tolerated != scene->tolerated)
        fail_msg("%s: %d of %d failures were not reported", scene->name, tolerated, calls);
}

static void every_call_may_fail(void **state)
{
    (void)state;
    static const int errnos[] = {EIO, ENOMEM, EINVAL, ENODEV, EMFILE};
    for (unsigned i = 0; i < COUNT_OF(scenes); i++)
        for (unsigned e = 0; e < COUNT_OF(errnos); e++)
            play_failing(&scenes[i], errnos[e]);
}

/* ---- connecting ---- */

static void connecting_greets(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    assert_int_equal(connect_to(fabric, &lane), 0);
    const uint8_t *bytes;
    uint32_t len;
    assert_int_equal(pr_verbs_greeting_decode(mock.private_data, mock.private_len, PR_VERBS_REQUEST,
                                              &bytes, &len),
                     0);
    assert_int_equal(len, 5);
    assert_memory_equal(bytes, "knock", 5);
    assert_int_equal(mock.receives, fabric->limits.recv_depth);
    pr_lane_close(lane);
    assert_int_equal(mock.disconnects, 1);
    pr_fabric_close(fabric);
}

static void too_much_private_data(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    char bytes[PR_VERBS_MAX_PRIVATE + 1] = {0};
    assert_int_equal(fabric->limits.max_private_bytes, PR_VERBS_MAX_PRIVATE);
    assert_int_equal(
        pr_fabric_connect(fabric, ADDRESS, bytes, sizeof(bytes), PATIENCE_MS, NULL, &lane),
        -EINVAL);
    pr_fabric_close(fabric);
}

/* A device without inline data is as good. */
static void inline_data_is_no_must(void **state)
{
    (void)state;
    struct pr_lane *lane;
    mock.device_attr.vendor_id = 0xffffff; /* nor is it a NIC */
    struct pr_fabric *fabric = open_fabric();
    mock.inline_refused = true;
    assert_int_equal(connect_to(fabric, &lane), 0);
    assert_int_equal(pr_lane_post_send(lane, "x", 1, 0, true), 0);
    assert_int_equal(pr_lane_flush(lane), 0);
    assert_int_equal(mock.sent[0].wr.send_flags & IBV_SEND_INLINE, 0);
    pr_lane_close(lane);
    pr_fabric_close(fabric);
}

enum step { ADDR, ROUTE, CONNECT };

static void what_the_network_says(void **state)
{
    (void)state;
    static const struct {
        enum step step;
        enum rdma_cm_event_type type;
        int status, err;
        const char *says;
    } table[] = {
        {ADDR, RDMA_CM_EVENT_ADDR_ERROR, -ETIMEDOUT, ETIMEDOUT, "cannot be reached"},
        {ADDR, RDMA_CM_EVENT_ADDR_ERROR, -ENETUNREACH, ENETUNREACH, "cannot be reached"},
        {ADDR, RDMA_CM_EVENT_ADDR_ERROR, 0, EHOSTUNREACH, "cannot be reached"},
        {ADDR, RDMA_CM_EVENT_DEVICE_REMOVAL, 0, ENODEV, "was removed"},
        {ROUTE, RDMA_CM_EVENT_ROUTE_ERROR, -EINVAL, EINVAL, "subnet manager"},
        {ROUTE, RDMA_CM_EVENT_ROUTE_ERROR, 0, EHOSTUNREACH, "no RDMA route"},
        {CONNECT, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, ETIMEDOUT, "4791"},
        {CONNECT, RDMA_CM_EVENT_CONNECT_ERROR, -EIO, ECONNRESET, "failed"},
        {CONNECT, RDMA_CM_EVENT_REJECTED, 8, ECONNREFUSED, "start the destination first"},
        {CONNECT, RDMA_CM_EVENT_REJECTED, -ECONNREFUSED, ECONNREFUSED, "nobody listens"},
        {CONNECT, RDMA_CM_EVENT_REJECTED, 28, ECONNREFUSED, "no pagerail"},
        {CONNECT, RDMA_CM_EVENT_REJECTED, 10, ECONNREFUSED, "older connection"},
        {CONNECT, RDMA_CM_EVENT_REJECTED, 3, ECONNREFUSED, "reason 3"},
        {CONNECT, RDMA_CM_EVENT_DISCONNECTED, 0, ECONNRESET, "at once"},
        {CONNECT, RDMA_CM_EVENT_DEVICE_REMOVAL, 0, ENODEV, "was removed"},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct mock_answer answer = {.type = table[i].type, .status = table[i].status};
        mock_verbs_finish();
        mock_verbs_start();
        *(table[i].step == ADDR    ? &mock.address
          : table[i].step == ROUTE ? &mock.route
                                   : &mock.connect) = answer;
        struct pr_fabric *fabric = open_fabric();
        struct pr_lane *lane = NULL;
        assert_int_equal(connect_to(fabric, &lane), -table[i].err);
        says(table[i].says);
        says(ADDRESS);
        assert_null(lane);
        pr_fabric_close(fabric);
    }
}

static void a_refusal_brings_its_sentence(void **state)
{
    (void)state;
    static const char sentence[] = "no room\n for you";
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    mock.connect = (struct mock_answer){.type = RDMA_CM_EVENT_REJECTED, .status = 28, .len = 148};
    pr_verbs_greeting_encode(PR_VERBS_REFUSAL, 0, sentence, strlen(sentence), mock.connect.data);
    assert_int_equal(connect_to(fabric, &lane), -ECONNREFUSED);
    says("refused: no room? for you");
    pr_fabric_close(fabric);
}

static void something_else_listens(void **state)
{
    (void)state;
    static const uint8_t qemu[8] = {0, 0, 0, 1, 0, 0, 0, 1};
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    memset(mock.connect.data, 0, sizeof(mock.connect.data));
    assert_int_equal(connect_to(fabric, &lane), -EPROTO);
    says("no pagerail");
    memcpy(mock.connect.data, qemu, sizeof(qemu));
    assert_int_equal(connect_to(fabric, &lane), -EPROTO);
    says("QEMU's own rdma");
    assert_int_equal(mock.disconnects, 2);
    pr_fabric_close(fabric);
}

static void silence_times_out_at_every_step(void **state)
{
    (void)state;
    struct mock_answer *steps[] = {&mock.address, &mock.route, &mock.connect};
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    for (unsigned i = 0; i < 3; i++) {
        steps[i]->silent = true;
        assert_int_equal(pr_fabric_connect(fabric, ADDRESS, NULL, 0, 5, NULL, &lane), -ETIMEDOUT);
        says(ADDRESS);
        steps[i]->silent = false;
    }
    pr_fabric_close(fabric);
}

/* The kernel may miss the answer that it waits for, and is asked again while there is time. */
static void an_address_is_asked_for_again(void **state)
{
    (void)state;
    static const struct {
        int misses, timeout_ms, err;
    } rows[] = {{1, 3000, 0},         {3, 3000, 0}, {4, 3000, -ETIMEDOUT},
                {1, 900, -ETIMEDOUT}, {10, -1, 0},  {11, -1, -ETIMEDOUT}};
    struct pr_fabric *fabric = open_fabric();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pr_lane *lane = NULL;
        mock.address_misses = rows[i].misses;
        assert_int_equal(
            pr_fabric_connect(fabric, ADDRESS, NULL, 0, rows[i].timeout_ms, NULL, &lane),
            rows[i].err);
        if (rows[i].err)
            says("cannot be reached");
        else
            pr_lane_close(lane);
    }
    pr_fabric_close(fabric);
}

static void a_raised_event_cancels_every_step(void **state)
{
    (void)state;
    struct mock_answer *steps[] = {&mock.address, &mock.route, &mock.connect};
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    struct pr_event cancel;
    assert_int_equal(pr_event_open(&cancel), 0);
    pr_event_raise(&cancel);
    for (unsigned i = 0; i < 3; i++) {
        steps[i]->silent = true;
        assert_int_equal(pr_fabric_connect(fabric, ADDRESS, NULL, 0, -1, &cancel, &lane),
                         -ECANCELED);
        steps[i]->silent = false;
    }
    pr_event_close(&cancel);
    pr_fabric_close(fabric);
}

/* ---- listening and accepting ---- */

static void listening_explains_itself(void **state)
{
    (void)state;
    static const struct {
        int fails, err;
        const char *says;
    } table[] = {{EADDRINUSE, EADDRINUSE, "already"},
                 {EADDRNOTAVAIL, ENODEV, "0.0.0.0"},
                 {ENODEV, ENODEV, "no RDMA device"},
                 {EACCES, EACCES, "above 1023"},
                 {EIO, EIO, "cannot listen"}};
    struct pr_fabric *fabric = open_fabric();
    struct pr_listener *listener;
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        mock.fail_errno = table[i].fails;
        mock.fail_at = mock.calls + 3; /* channel, id, bind */
        assert_int_equal(pr_fabric_listen(fabric, ADDRESS, &listener), -table[i].err);
        says(table[i].says);
    }
    assert_int_equal(pr_fabric_listen(fabric, "nonsense", &listener), -EINVAL);
    pr_fabric_close(fabric);
}

/* A fabric that listens, and what admit saw. */
struct stage {
    struct pr_fabric *fabric;
    struct pr_listener *listener;
    char seen[64];
    unsigned calls;
    bool refuse;
};

static int admit(void *opaque, const void *bytes, uint32_t len)
{
    struct stage *stage = opaque;
    stage->calls++;
    snprintf(stage->seen, sizeof(stage->seen), "%.*s", (int)len, (const char *)bytes);
    return stage->refuse ? pr_error(EBUSY, "come back on tuesday") : 0;
}

static void stage_open(struct stage *stage)
{
    *stage = (struct stage){.fabric = open_fabric()};
    assert_int_equal(pr_fabric_listen(stage->fabric, ADDRESS, &stage->listener), 0);
}

static void stage_close(struct stage *stage)
{
    pr_listener_close(stage->listener);
    pr_fabric_close(stage->fabric);
}

static void knock(const char *text)
{
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    mock_verbs_request(greeting,
                       pr_verbs_greeting_encode(PR_VERBS_REQUEST, 0, text, strlen(text), greeting));
}

static int stage_accept(struct stage *stage, struct pr_lane **out)
{
    return pr_listener_accept(stage->listener, PATIENCE_MS, NULL, admit, stage, out);
}

static void accepting_asks_and_greets(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane;
    stage_open(&stage);
    knock("who is there");
    assert_int_equal(stage_accept(&stage, &lane), 0);
    assert_string_equal(stage.seen, "who is there");
    const uint8_t *bytes;
    uint32_t len;
    assert_int_equal(pr_verbs_greeting_decode(mock.private_data, mock.private_len, PR_VERBS_WELCOME,
                                              &bytes, &len),
                     0);
    pr_listener_close(stage.listener); /* the lane lives on */
    assert_int_equal(pr_lane_post_send(lane, "x", 1, 0, true), 0);
    pr_lane_close(lane);
    pr_fabric_close(stage.fabric);
}

static void knock_with_mtu(uint8_t mtu)
{
    uint8_t greeting[PR_VERBS_MAX_GREETING];
    mock_verbs_request(greeting, pr_verbs_greeting_encode(PR_VERBS_REQUEST, mtu, "", 0, greeting));
}

static void packets_that_the_port_would_drop_are_refused(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane = NULL;
    const uint8_t *bytes;
    uint32_t len;
    stage_open(&stage);
    mock.port_attr.link_layer = IBV_LINK_LAYER_ETHERNET;
    mock.port_attr.active_mtu = IBV_MTU_1024;
    knock_with_mtu(IBV_MTU_4096);
    assert_int_equal(stage_accept(&stage, &lane), -EMSGSIZE);
    says("packets of 4096 bytes, this port takes 1024");
    assert_int_equal(
        pr_verbs_greeting_decode(mock.reject_data, mock.reject_len, PR_VERBS_REFUSAL, &bytes, &len),
        0);
    assert_int_equal(len, strlen(pr_error_message())); /* all of the sentence fits */
    assert_int_equal(stage.calls, 0);
    knock_with_mtu(IBV_MTU_1024);
    assert_int_equal(stage_accept(&stage, &lane), 0);
    pr_lane_close(lane);
    mock.port_attr.link_layer = IBV_LINK_LAYER_INFINIBAND; /* its subnet manager knows the path */
    knock_with_mtu(IBV_MTU_4096);
    assert_int_equal(stage_accept(&stage, &lane), 0);
    pr_lane_close(lane);
    stage_close(&stage);
}

static void the_request_tells_the_mtu(void **state)
{
    (void)state;
    struct pr_fabric *fabric = open_fabric();
    struct pr_lane *lane;
    mock.port_attr.link_layer = IBV_LINK_LAYER_ETHERNET;
    mock.port_attr.active_mtu = IBV_MTU_2048;
    assert_int_equal(connect_to(fabric, &lane), 0);
    assert_int_equal(pr_verbs_greeting_mtu(mock.private_data), IBV_MTU_2048);
    pr_lane_close(lane);
    pr_fabric_close(fabric);
}

static void the_traffic_class_is_set_on_both_ends(void **state)
{
    (void)state;
    struct pr_verbs_settings settings = {.traffic_class = 104};
    struct pr_fabric *fabric;
    struct pr_listener *listener;
    struct pr_lane *lane;
    assert_int_equal(pr_fabric_verbs_open(&settings, &fabric), 0);
    assert_int_equal(pr_fabric_listen(fabric, ADDRESS, &listener), 0);
    assert_int_equal(mock.traffic_class, 104);
    mock.traffic_class = 0;
    assert_int_equal(connect_to(fabric, &lane), 0);
    assert_int_equal(mock.traffic_class, 104);
    pr_lane_close(lane);
    pr_listener_close(listener);
    pr_fabric_close(fabric);
}

static void a_refusal_travels(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane = NULL;
    stage_open(&stage);
    stage.refuse = true;
    knock("x");
    assert_int_equal(stage_accept(&stage, &lane), -ECONNREFUSED);
    assert_string_equal(pr_error_message(), "come back on tuesday");
    const uint8_t *bytes;
    uint32_t len;
    assert_int_equal(
        pr_verbs_greeting_decode(mock.reject_data, mock.reject_len, PR_VERBS_REFUSAL, &bytes, &len),
        0);
    assert_int_equal(len, strlen("come back on tuesday"));
    assert_memory_equal(bytes, "come back on tuesday", len);
    /* The peer may be gone already: all the same. */
    knock("y");
    mock.fail_at = mock.calls + 1;
    assert_int_equal(stage_accept(&stage, &lane), -ECONNREFUSED);
    assert_string_equal(pr_error_message(), "come back on tuesday");
    stage.refuse = false;
    knock("z");
    assert_int_equal(stage_accept(&stage, &lane), 0);
    pr_lane_close(lane);
    stage_close(&stage);
}

static void strangers_are_turned_away(void **state)
{
    (void)state;
    static const uint8_t qemu[8] = {0, 0, 0, 1, 0, 0, 0, 0};
    struct stage stage;
    struct pr_lane *lane;
    stage_open(&stage);
    mock_verbs_request(qemu, sizeof(qemu));
    assert_int_equal(stage_accept(&stage, &lane), -EPROTO);
    says("QEMU's own rdma");
    mock_verbs_request(NULL, 0);
    assert_int_equal(stage_accept(&stage, &lane), -EPROTO);
    says("no pagerail");
    assert_int_equal(stage.calls, 0);
    assert_int_equal(mock.rejects, 2);
    knock("x");
    assert_int_equal(stage_accept(&stage, &lane), 0);
    pr_lane_close(lane);
    stage_close(&stage);
}

static void a_peer_leaves_while_it_connects(void **state)
{
    (void)state;
    static const enum rdma_cm_event_type types[] = {
        RDMA_CM_EVENT_UNREACHABLE, RDMA_CM_EVENT_CONNECT_ERROR, RDMA_CM_EVENT_REJECTED,
        RDMA_CM_EVENT_DISCONNECTED};
    struct stage stage;
    struct pr_lane *lane;
    stage_open(&stage);
    for (unsigned i = 0; i < COUNT_OF(types); i++) {
        mock.accept.type = types[i];
        knock("x");
        assert_int_equal(stage_accept(&stage, &lane), -ECONNRESET);
    }
    mock.accept.type = RDMA_CM_EVENT_ESTABLISHED;
    knock("x");
    assert_int_equal(stage_accept(&stage, &lane), 0);
    pr_lane_close(lane);
    stage_close(&stage);
}

/* The kernel refuses each step for a peer that is gone; that is no failure of this host. */
static void a_peer_has_left_before_it_is_accepted(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane;
    stage_open(&stage);
    mock.inline_refused = true;             /* so that there is no second try */
    for (int step = 2; step < 11; step++) { /* 1 asks for the port's MTU, which may fail */
        for (unsigned left = 0; left < 2; left++) {
            knock("x");
            mock.peer_left = left;
            mock.fail_errno = EINVAL;
            mock.fail_at = mock.calls + step;
            assert_int_equal(stage_accept(&stage, &lane), left ? -ECONNRESET : -EINVAL);
        }
    }
    stage_close(&stage);
}

/* The peer's last word got lost, but its data arrives. */
static void data_stands_for_the_last_word(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane;
    stage_open(&stage);
    mock.accept.silent = true;
    mock_verbs_device_event(IBV_EVENT_COMM_EST);
    knock("x");
    assert_int_equal(stage_accept(&stage, &lane), 0);
    assert_int_equal(mock.notifies, 1);
    pr_lane_close(lane);
    stage_close(&stage);
}

static void accepting_ends_in_time(void **state)
{
    (void)state;
    struct stage stage;
    struct pr_lane *lane;
    struct pr_event cancel;
    stage_open(&stage);
    assert_int_equal(pr_listener_accept(stage.listener, 0, NULL, NULL, NULL, &lane), -ETIMEDOUT);
    assert_int_equal(pr_listener_accept(stage.listener, 3, NULL, NULL, NULL, &lane), -ETIMEDOUT);
    assert_int_equal(pr_event_open(&cancel), 0);
    pr_event_raise(&cancel);
    assert_int_equal(pr_listener_accept(stage.listener, -1, &cancel, NULL, NULL, &lane),
                     -ECANCELED);
    pr_event_close(&cancel);
    knock("nobody takes this one");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test_setup_teardown(connecting_greets, start, finish),
        cmocka_unit_test_setup_teardown(too_much_private_data, start, finish),
        cmocka_unit_test_setup_teardown(inline_data_is_no_must, start, finish),
        cmocka_unit_test_setup_teardown(what_the_network_says, start, finish),
        cmocka_unit_test_setup_teardown(a_refusal_brings_its_sentence, start, finish),
        cmocka_unit_test_setup_teardown(something_else_listens, start, finish),
        cmocka_unit_test_setup_teardown(silence_times_out_at_every_step, start, finish),
        cmocka_unit_test_setup_teardown(an_address_is_asked_for_again, start, finish),
        cmocka_unit_test_setup_teardown(a_raised_event_cancels_every_step, start, finish),
        cmocka_unit_test_setup_teardown(listening_explains_itself, start, finish),
        cmocka_unit_test_setup_teardown(accepting_asks_and_greets, start, finish),
        cmocka_unit_test_setup_teardown(packets_that_the_port_would_drop_are_refused, start,
                                        finish),
        cmocka_unit_test_setup_teardown(the_request_tells_the_mtu, start, finish),
        cmocka_unit_test_setup_teardown(the_traffic_class_is_set_on_both_ends, start, finish),
        cmocka_unit_test_setup_teardown(a_refusal_travels, start, finish),
        cmocka_unit_test_setup_teardown(strangers_are_turned_away, start, finish),
        cmocka_unit_test_setup_teardown(a_peer_leaves_while_it_connects, start, finish),
        cmocka_unit_test_setup_teardown(a_peer_has_left_before_it_is_accepted, start, finish),
        cmocka_unit_test_setup_teardown(data_stands_for_the_last_word, start, finish),
        cmocka_unit_test_setup_teardown(accepting_ends_in_time, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
