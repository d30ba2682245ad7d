/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of the fault layer, over the fabric under test. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"
#include "rdma/fault/fault.h"

#include <errno.h>
#include <string.h>

#define MIB (1u << 20)
#define ALL (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

/* A source with rules; the destination has none. */
struct scene {
    struct ends ends;
    struct window local, remote;
};

static void scene_open(struct scene *scene, const struct pr_fault_rule *rules, unsigned count)
{
    struct ends *ends = &scene->ends;
    memset(ends, 0, sizeof(*ends));
    assert_ok(pr_fabric_fault_open(harness_open(), rules, count, &ends->source));
    ends->destination = harness_open();
    assert_ok(pr_fabric_listen(ends->destination, harness_fresh_address(), &ends->listener));
    ends_connect(ends, &ends->from, &ends->to);
    window_open(&scene->local, ends->source, MIB, ALL);
    window_open(&scene->remote, ends->destination, MIB, ALL);
    memset(scene->local.bytes, 0xa5, MIB);
}

static void scene_close(struct scene *scene)
{
    window_close(&scene->local);
    window_close(&scene->remote);
    ends_close(&scene->ends);
}

/* Four signalled writes, the i-th to page i, and a message. */
static void post_four(struct scene *scene, struct pr_lane *lane)
{
    for (unsigned i = 0; i < 4; i++) {
        struct pr_rma rma = window_rma(&scene->local, &scene->remote, i * 4096, 4096, i);
        assert_ok(pr_lane_post_write(lane, &rma));
    }
    assert_ok(pr_lane_post_send(lane, "end", 4, 4, true));
    pr_lane_flush(lane);
}

static void expect_tags(struct pr_lane *lane, const char *tags)
{
    for (; *tags; tags++)
        assert_int_equal(lane_expect(lane, *tags == '4' ? PR_OP_SEND : PR_OP_WRITE).tag,
                         *tags - '0');
}

/* pages: for each of the four, whether its bytes are there. */
static void assert_pages(const struct scene *scene, const char *pages)
{
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(scene->remote.bytes[i * 4096], pages[i] == '1' ? 0xa5 : 0);
}

static void the_second_write(struct pr_fault_rule rule, struct scene *scene)
{
    rule.on = PR_FAULT_ON_WRITE;
    rule.lane = PR_FAULT_ANY_LANE;
    rule.first = 2;
    rule.count = 1;
    scene_open(scene, &rule, 1);
    post_four(scene, scene->ends.from);
}

static void assert_counted(const struct scene *scene, uint64_t matched, uint64_t fired)
{
    assert_int_equal(pr_fabric_fault_matched(scene->ends.source, 0), matched);
    assert_int_equal(pr_fabric_fault_fired(scene->ends.source, 0), fired);
}

static void a_lost_write_completes(void **state)
{
    (void)state;
    struct scene scene;
    the_second_write((struct pr_fault_rule){.action = PR_FAULT_LOSE}, &scene);
    expect_tags(scene.ends.from, "01234");
    lane_expect(scene.ends.to, PR_OP_RECV);
    assert_pages(&scene, "1011");
    assert_counted(&scene, 4, 1);
    scene_close(&scene);
}

static void a_muted_write_happens(void **state)
{
    (void)state;
    struct scene scene;
    the_second_write((struct pr_fault_rule){.action = PR_FAULT_MUTE}, &scene);
    expect_tags(scene.ends.from, "0234");
    lane_expect(scene.ends.to, PR_OP_RECV);
    assert_pages(&scene, "1111");
    scene_close(&scene);
}

static void a_failed_write_fails_the_lane(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_completion c;
    the_second_write((struct pr_fault_rule){.action = PR_FAULT_FAIL, .err = EIO}, &scene);
    expect_tags(scene.ends.from, "0");
    assert_int_equal(lane_next(scene.ends.from, &c), -EIO);
    assert_int_equal(lane_next(scene.ends.from, &c), -EIO);
    assert_int_equal(pr_lane_post_send(scene.ends.from, "x", 1, 0, true), -EIO);
    assert_true(lane_until_failed(scene.ends.to) < 0);
    assert_int_equal(scene.remote.bytes[4096], 0xa5);
    scene_close(&scene);
}

static void a_disconnect_stops_before_its_post(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_completion c;
    the_second_write((struct pr_fault_rule){.action = PR_FAULT_DISCONNECT}, &scene);
    expect_tags(scene.ends.from, "0");
    assert_int_equal(lane_next(scene.ends.from, &c), -ECONNRESET);
    assert_int_equal(lane_next(scene.ends.to, &c), -ECONNRESET); /* the message never came */
    assert_pages(&scene, "1000");
    scene_close(&scene);
}

static void a_delay_holds_back_what_follows(void **state)
{
    (void)state;
    struct scene scene;
    uint64_t before = pr_now_ns();
    the_second_write((struct pr_fault_rule){.action = PR_FAULT_DELAY, .delay_ms = 60}, &scene);
    expect_tags(scene.ends.from, "0");
    if (pr_now_ns() - before < 60000000u) /* else the machine was slow: nothing can be said */
        assert_pages(&scene, "1000");
    expect_tags(scene.ends.from, "1234");
    assert_true(pr_now_ns() - before >= 60000000u);
    lane_expect(scene.ends.to, PR_OP_RECV);
    assert_pages(&scene, "1111");
    scene_close(&scene);
}

static void a_lost_message_never_arrives(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_fault_rule rule = {.action = PR_FAULT_LOSE,
                                 .on = PR_FAULT_ON_SEND,
                                 .lane = PR_FAULT_ANY_LANE,
                                 .first = 1,
                                 .count = 2};
    scene_open(&scene, &rule, 1);
    for (unsigned i = 0; i < 4; i++) {
        char text[2] = {(char)('a' + i), 0};
        assert_ok(pr_lane_post_send(scene.ends.from, text, 2, i, true));
        assert_ok(pr_lane_flush(scene.ends.from));
        assert_int_equal(lane_expect(scene.ends.from, PR_OP_SEND).tag, i);
    }
    assert_string_equal(lane_expect(scene.ends.to, PR_OP_RECV).bytes, "c");
    assert_string_equal(lane_expect(scene.ends.to, PR_OP_RECV).bytes, "d");
    assert_counted(&scene, 4, 2);
    scene_close(&scene);
}

/* What the other end sends, as the end with the rule sees it. */
static void receive_with(struct pr_fault_rule rule, struct scene *scene)
{
    rule.on = PR_FAULT_ON_RECV;
    rule.lane = 0;
    rule.first = 2;
    rule.count = 1;
    scene_open(scene, &rule, 1);
    for (unsigned i = 0; i < 3; i++) {
        char text[2] = {(char)('a' + i), 0};
        assert_ok(pr_lane_post_send(scene->ends.to, text, 2, i, false));
    }
    assert_ok(pr_lane_flush(scene->ends.to));
}

static void expect_text(struct pr_lane *lane, const char *text)
{
    struct pr_completion c = lane_expect(lane, PR_OP_RECV);
    assert_string_equal(c.bytes, text);
    pr_lane_recv_done(lane, c.bytes);
}

static void receives_can_be_lost(void **state)
{
    (void)state;
    struct scene scene;
    receive_with((struct pr_fault_rule){.action = PR_FAULT_LOSE}, &scene);
    expect_text(scene.ends.from, "a");
    expect_text(scene.ends.from, "c");
    scene_close(&scene);
}

static void receives_can_be_delayed(void **state)
{
    (void)state;
    struct scene scene;
    uint64_t before = pr_now_ns();
    receive_with((struct pr_fault_rule){.action = PR_FAULT_DELAY, .delay_ms = 40}, &scene);
    expect_text(scene.ends.from, "a");
    expect_text(scene.ends.from, "b");
    assert_true(pr_now_ns() - before >= 40000000u);
    expect_text(scene.ends.from, "c");
    scene_close(&scene);
}

/* The caller still holds a buffer when the lane is cut; it may use it and give it back. */
static void receives_can_cut_the_lane(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_completion first, c;
    receive_with((struct pr_fault_rule){.action = PR_FAULT_DISCONNECT}, &scene);
    first = lane_expect(scene.ends.from, PR_OP_RECV);
    assert_int_equal(lane_next(scene.ends.from, &c), -ECONNRESET);
    assert_string_equal(first.bytes, "a");
    pr_lane_recv_done(scene.ends.from, first.bytes);
    assert_int_equal(lane_until_failed(scene.ends.to), -ECONNRESET);
    scene_close(&scene);
}

static void rules_choose_their_lane(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_lane *from, *to;
    struct pr_fault_rule rule = {.action = PR_FAULT_LOSE,
                                 .on = PR_FAULT_ON_ANY,
                                 .lane = 1,
                                 .first = 1,
                                 .count = PR_FAULT_FOR_EVER};
    scene_open(&scene, &rule, 1);
    ends_connect(&scene.ends, &from, &to);
    post_four(&scene, from);
    expect_tags(from, "01234");
    assert_pages(&scene, "0000");
    post_four(&scene, scene.ends.from);
    expect_tags(scene.ends.from, "01234");
    lane_expect(scene.ends.to, PR_OP_RECV);
    assert_pages(&scene, "1111");
    assert_counted(&scene, 5, 5);
    pr_lane_close(from);
    pr_lane_close(to);
    scene_close(&scene);
}

/* The ring of the layer is used many times over, with a lost tail now and then. */
static void places_come_back(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_fault_rule rule = {
        .action = PR_FAULT_LOSE, .on = PR_FAULT_ON_WRITE, .lane = 0, .first = 64, .count = 1000};
    scene_open(&scene, &rule, 1);
    for (unsigned i = 1; i <= 6400; i++) {
        struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, 64, i);
        rma.signaled = i % 64 == 0;
        assert_ok(pr_lane_post_write(scene.ends.from, &rma));
        if (!rma.signaled)
            continue;
        assert_ok(pr_lane_flush(scene.ends.from));
        assert_int_equal(lane_expect(scene.ends.from, PR_OP_WRITE).tag, i);
    }
    scene_close(&scene);
}

static void senseless_rules_are_refused(void **state)
{
    (void)state;
    const struct pr_fault_rule good = {
        .action = PR_FAULT_FAIL, .on = PR_FAULT_ON_WRITE, .first = 1, .count = 1, .err = EIO};
    struct pr_fault_rule bad[] = {good, good, good, good, good, good, good};
    bad[0].on = 0;
    bad[1].on = 1u << 9;
    bad[2].first = 0;
    bad[3].count = 0;
    bad[4].err = 0;
    bad[5].lane = -2;
    bad[6].action = PR_FAULT_MUTE;
    bad[6].on = PR_FAULT_ON_ANY;
    struct pr_fabric *inner = harness_open(), *out = NULL;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pr_fabric_fault_open(inner, &bad[i], 1, &out), -EINVAL);
    assert_null(out);
    assert_ok(pr_fabric_fault_open(inner, &good, 1, &out));
    pr_fabric_close(out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_write_completes),
        cmocka_unit_test(a_muted_write_happens),
        cmocka_unit_test(a_failed_write_fails_the_lane),
        cmocka_unit_test(a_disconnect_stops_before_its_post),
        cmocka_unit_test(a_delay_holds_back_what_follows),
        cmocka_unit_test(a_lost_message_never_arrives),
        cmocka_unit_test(receives_can_be_lost),
        cmocka_unit_test(receives_can_be_delayed),
        cmocka_unit_test(receives_can_cut_the_lane),
        cmocka_unit_test(rules_choose_their_lane),
        cmocka_unit_test(places_come_back),
        cmocka_unit_test(senseless_rules_are_refused),
    };
    return harness_main(argc, argv, "fault", tests, sizeof(tests) / sizeof(tests[0]));
}
