/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that are refused, break, or are used wrongly. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/check.h"
#include "tests/sim/pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 30

static struct pair new_pair(unsigned lanes, void (*src)(struct world *, struct pair *),
                            void (*dst)(struct world *, struct pair *))
{
    return (struct pair){.net = sim_net_typical(), .lane_count = lanes, .run = {src, dst}};
}

static uint64_t run_seeds(struct pair *pair)
{
    uint64_t sum = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world_verdict verdict;
        pair_run(pair, seed, NULL, &verdict);
        assert_run_ok(&verdict);
        sum += verdict.values[0];
    }
    return sum;
}

/* ---- connecting ---- */

static int refuse_strangers(void *opaque, const void *private_data, uint32_t len)
{
    (void)opaque;
    if (len == 6 && memcmp(private_data, "friend", 6) == 0)
        return 0;
    return pr_error(EPERM, "come back with a friend");
}

static void connect_variously(struct world *world, struct pair *pair)
{
    struct pr_fabric *fabric = pair->fabric[SRC];
    struct pr_lane *lane;
    struct pr_event cancel;
    world_check(world,
                pr_fabric_connect(fabric, "nowhere", NULL, 0, -1, NULL, &lane) == -ECONNREFUSED);
    world_check(world, pr_fabric_connect(fabric, "", NULL, 0, -1, NULL, &lane) == -EINVAL);
    uint32_t too_long = pair->net.limits.max_private_bytes + 1;
    world_check(world, pr_fabric_connect(fabric, "dst", "x", too_long, -1, NULL, &lane) == -EINVAL);
    world_check(world,
                pr_fabric_connect(fabric, "dst", "foe", 3, -1, NULL, &lane) == -ECONNREFUSED);
    world_check(world, strstr(pr_error_message(), "come back with a friend"));
    world_check(world, pr_event_open(&cancel) == 0);
    pr_event_raise(&cancel);
    world_check(world,
                pr_fabric_connect(fabric, "idle", NULL, 0, -1, &cancel, &lane) == -ECANCELED);
    pr_event_close(&cancel);
    world_check(world, pr_fabric_connect(fabric, "idle", NULL, 0, 10, NULL, &lane) == -ETIMEDOUT);
    world_check(world, pr_fabric_connect(fabric, "dst", "friend", 6, -1, NULL, &lane) == 0);
    pair_expect(world, lane, PR_OP_RECV);
    pr_lane_close(lane);
}

static void accept_variously(struct world *world, struct pair *pair)
{
    struct pr_listener *idle, *twice;
    struct pr_lane *lane, *other;
    struct pr_event cancel;
    world_check(world, pr_fabric_listen(pair->fabric[DST], "idle", &idle) == 0);
    world_check(world, pr_fabric_listen(pair->fabric[DST], "dst", &twice) == -EADDRINUSE);
    world_check(world, pr_event_open(&cancel) == 0);
    pr_event_raise(&cancel);
    world_check(world,
                pr_listener_accept(pair->listener, -1, &cancel, NULL, NULL, &lane) == -ECANCELED);
    pr_event_close(&cancel);
    world_check(world, pr_listener_accept(pair->listener, -1, NULL, refuse_strangers, NULL,
                                          &lane) == -ECONNREFUSED);
    world_check(world,
                pr_listener_accept(pair->listener, -1, NULL, refuse_strangers, NULL, &lane) == 0);
    pair_send(world, lane, "welcome");
    unsigned ignored;
    world_check(world, pair_wait_failure(lane, &ignored) == -ECONNRESET);
    world_check(world,
                pr_listener_accept(pair->listener, 5, NULL, NULL, NULL, &other) == -ETIMEDOUT);
    pr_lane_close(lane);
    pr_listener_close(idle);
}

static void test_connections_are_made_and_refused(void **state)
{
    (void)state;
    struct pair pair = new_pair(0, connect_variously, accept_variously);
    run_seeds(&pair);
}

static void connect_to_the_dying(struct world *world, struct pair *pair)
{
    struct pr_lane *lane;
    int err = pr_fabric_connect(pair->fabric[SRC], "dst", NULL, 0, -1, NULL, &lane);
    world_check(world, err == 0 || err == -ECONNREFUSED || err == -ECONNRESET);
    world_report(world, 0, err != 0);
    if (err)
        return;
    unsigned ignored;
    world_check(world, pair_wait_failure(lane, &ignored) == -ECONNRESET);
    pr_lane_close(lane);
}

static void accept_once(struct world *world, struct pair *pair)
{
    struct pr_lane *lane;
    world_check(world, pr_listener_accept(pair->listener, -1, NULL, NULL, NULL, &lane) == 0);
    world_sleep_ns(world, world_random_below(world, 5000));
    world_kill(world, DST);
}

static void kill_dst_at_number(struct world *world, void *arg)
{
    world_kill_at_step(world, DST, ((struct pair *)arg)->number);
}

static void test_a_connector_hears_of_the_listeners_death(void **state)
{
    (void)state;
    struct pair pair = new_pair(0, connect_to_the_dying, accept_once);
    pair.ends_alone = true;
    unsigned refused = 0;
    for (pair.number = 8; pair.number < 30; pair.number++) {
        struct world_verdict verdict;
        pair_run(&pair, 2, kill_dst_at_number, &verdict);
        assert_run_ok(&verdict);
        refused += verdict.values[0] != 0;
    }
    assert_in_range(refused, 1, 21);
}

/* ---- breaking ---- */

static void hear_last_words(struct world *world, struct pair *pair)
{
    unsigned completions;
    world_check(world, pair_wait_failure(pair->lanes[SRC][0], &completions) == -ECONNRESET);
    world_check(world, completions == 3);
    struct pr_completion none;
    world_check(world, pr_lane_poll(pair->lanes[SRC][0], &none, 1) == -ECONNRESET);
    world_check(world, pr_lane_arm(pair->lanes[SRC][0]) == 1);
}

static void speak_and_die(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[DST][0];
    for (unsigned i = 0; i < 3; i++)
        world_check(world, pr_lane_post_send(lane, &i, sizeof(i), i, i == 2) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
    pair_expect(world, lane, PR_OP_SEND);
    world_kill(world, DST);
}

static void test_what_the_dead_had_sent_is_delivered(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, hear_last_words, speak_and_die);
    pair.ends_alone = true;
    run_seeds(&pair);
}

static void speak_and_close(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[DST][0];
    for (unsigned i = 0; i < 3; i++)
        world_check(world, pr_lane_post_send(lane, &i, sizeof(i), i, i == 2) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
}

static void count_what_arrives(struct world *world, struct pair *pair)
{
    unsigned completions;
    world_check(world, pair_wait_failure(pair->lanes[SRC][0], &completions) == -ECONNRESET);
    world_report(world, 0, completions);
}

static void test_what_was_not_complete_at_the_close_may_be_lost(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, count_what_arrives, speak_and_close);
    pair.ends_alone = true;
    assert_in_range(run_seeds(&pair), 1, 3 * SEEDS - 1);
}

static void cut_and_reconnect(struct world *world, struct pair *pair)
{
    struct pr_lane *lane;
    pair_write(world, pair, 0, 0, 4096);
    world_cut(world);
    unsigned completions;
    world_check(world, pair_wait_failure(pair->lanes[SRC][0], &completions) == -ECONNRESET);
    world_check(world, completions == 0);
    world_check(world, pr_fabric_connect(pair->fabric[SRC], "dst", NULL, 0, 50, NULL, &lane) ==
                           -ETIMEDOUT);
    world_mend(world);
    world_check(world, pr_fabric_connect(pair->fabric[SRC], "dst", NULL, 0, -1, NULL, &lane) == 0);
    pr_lane_close(lane);
}

static void lose_and_accept(struct world *world, struct pair *pair)
{
    unsigned ignored;
    struct pr_lane *lane;
    world_check(world, pair_wait_failure(pair->lanes[DST][0], &ignored) == -ECONNRESET);
    world_check(world, pr_listener_accept(pair->listener, -1, NULL, NULL, NULL, &lane) == 0);
    pr_lane_close(lane);
}

static void test_a_cut_breaks_both_ends_until_it_is_mended(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, cut_and_reconnect, lose_and_accept);
    run_seeds(&pair);
}

static void sit_idle_then_send(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    struct pr_completion none;
    world_cut(world);
    pr_sleep_ms(60000);
    world_check(world, pr_lane_poll(lane, &none, 1) == 0);
    pair_send(world, lane, "hello?");
    unsigned ignored;
    world_check(world, pair_wait_failure(lane, &ignored) == -ECONNRESET);
}

static void test_a_silent_cut_shows_only_to_who_sends(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, sit_idle_then_send, NULL);
    pair.net.cut_is_silent = true;
    run_seeds(&pair);
}

static void write_into_the_frozen(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    memset(pair->bytes[SRC], 5, 4096);
    world_freeze(world, DST);
    pair_write(world, pair, 0, 0, 4096);
    pair_expect(world, lane, PR_OP_WRITE);
    pr_sleep_ms(100);
    world_check(world, memcmp(pair->bytes[SRC], pair->bytes[DST], 4096) == 0);
    world_thaw(world, DST);
}

static void test_writes_land_in_a_frozen_side(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_into_the_frozen, NULL);
    pair.net.lazy_percent = 0;
    run_seeds(&pair);
}

/* ---- faults on demand ---- */

#define FAULT_WRITES 5

static void write_five(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    memset(pair->bytes[SRC], 1, PAIR_BYTES);
    for (unsigned i = 0; i < FAULT_WRITES; i++) {
        struct pr_rma rma = pair_rma(pair, i * 64, 64, i, true);
        world_check(world, pr_lane_post_write(lane, &rma) == 0);
    }
    pair_send(world, lane, "fence");
    unsigned completions = 0;
    int err = pair_wait_failure(lane, &completions);
    world_report(world, 0, completions);
    world_report(world, 1, (uint64_t)-err);
}

static void see_what_came(struct world *world, struct pair *pair)
{
    unsigned messages, good = 0;
    world_check(world, pair_wait_failure(pair->lanes[DST][0], &messages) == -ECONNRESET);
    for (unsigned i = 0; i < FAULT_WRITES * 64; i++)
        good += pair->bytes[DST][i] == 1;
    world_report(world, 2, good);
    world_report(world, 3, messages);
}

static void arm_lane_fault(struct world *world, void *arg)
{
    sim_net_fault(world, ((struct pair *)arg)->number, SIM_FAULT_LANE);
}

static void arm_drop(struct world *world, void *arg)
{
    sim_net_fault(world, ((struct pair *)arg)->number, SIM_FAULT_DROP);
}

static void test_a_fault_strikes_the_kth_operation(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_five, see_what_came);
    pair.net.lazy_percent = 0;
    for (pair.number = 1; pair.number <= FAULT_WRITES + 1; pair.number++) {
        struct world_verdict verdict;
        pair_run(&pair, pair.number, arm_lane_fault, &verdict);
        assert_run_ok(&verdict);
        assert_true(verdict.values[0] < pair.number);
        assert_true(verdict.values[1] == ECONNRESET);
        assert_true(verdict.values[2] <= (pair.number - 1) * 64);
        assert_true(verdict.values[3] == 0);
        pair_run(&pair, pair.number, arm_drop, &verdict);
        assert_run_ok(&verdict);
        assert_true(verdict.values[0] == pair.number - 1);
        assert_true(verdict.values[1] == EIO);
        assert_true(verdict.values[2] == (pair.number - 1) * 64);
    }
}

static void write_and_fence(struct world *world, struct pair *pair)
{
    memset(pair->bytes[SRC], 1, 4096);
    pair_write(world, pair, 0, 0, 4096);
    pair_send(world, pair->lanes[SRC][0], "fence");
}

static void count_wrong_bytes(struct world *world, struct pair *pair)
{
    struct pr_completion fence = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV);
    pr_lane_recv_done(pair->lanes[DST][0], fence.bytes);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 4096; i++)
        wrong += pair->bytes[DST][i] != 1;
    world_check(world, wrong == 1);
}

static void arm_corruption(struct world *world, void *arg)
{
    (void)arg;
    sim_net_fault(world, 1, SIM_FAULT_CORRUPT);
}

static void test_a_corrupted_write_has_one_wrong_byte(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_and_fence, count_wrong_bytes);
    struct world_verdict verdict;
    pair_run(&pair, 1, arm_corruption, &verdict);
    assert_run_ok(&verdict);
}

/* ---- errors of the caller ---- */

static void send_without_credit(struct world *world, struct pair *pair)
{
    for (unsigned i = 0; i <= pair->net.limits.recv_depth; i++)
        pair_send(world, pair->lanes[SRC][0], "flood");
    unsigned ignored;
    world_check(world, pair_wait_failure(pair->lanes[SRC][0], &ignored) == -EIO);
}

static void test_a_receiver_overrun_fails_the_run(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, send_without_credit, NULL);
    pair.net.limits.recv_depth = 4;
    struct world_verdict verdict;
    pair_run(&pair, 1, NULL, &verdict);
    assert_run_failed(&verdict, "none of the 4 receive buffers was free");
    pair.net.overrun_allowed = true;
    run_seeds(&pair);
}

static void give_back_twice(struct world *world, struct pair *pair)
{
    struct pr_completion got = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV);
    pr_lane_recv_done(pair->lanes[DST][0], got.bytes);
    pr_lane_recv_done(pair->lanes[DST][0], got.bytes);
}

static void test_a_buffer_given_back_twice_fails_the_run(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_and_fence, give_back_twice);
    struct world_verdict verdict;
    pair_run(&pair, 1, NULL, &verdict);
    assert_run_failed(&verdict, "recv_done of a buffer that is not out");
}

static void poll_on_and_on(void *lane)
{
    struct pr_completion ignored;
    for (unsigned i = 0; i < 50; i++)
        pr_lane_poll(lane, &ignored, 1);
}

static void share_a_lane(struct world *world, struct pair *pair)
{
    struct pr_thread *thread;
    world_check(world,
                pr_thread_spawn(&thread, "intruder", poll_on_and_on, pair->lanes[SRC][0]) == 0);
    poll_on_and_on(pair->lanes[SRC][0]);
    pr_thread_join(thread);
}

static void test_a_lane_used_by_two_threads_fails_the_run(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, share_a_lane, NULL);
    unsigned noticed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world_verdict verdict;
        if (!pair_run(&pair, seed, NULL, &verdict)) {
            assert_run_failed(&verdict, "is used by two threads at once");
            noticed++;
        }
    }
    assert_true(noticed > SEEDS / 3);
}

static void forget_a_window(struct world *world, struct pair *pair)
{
    static uint8_t memory[64];
    struct pr_mr *forgotten;
    world_check(world, pr_fabric_reg(pair->fabric[SRC], memory, 64, 0, &forgotten) == 0);
}

static void forget_a_fabric(struct world *world, struct pair *pair)
{
    struct pr_fabric *forgotten;
    world_check(world, pr_fabric_sim_open(world, &pair->net, &forgotten) == 0);
}

static void test_what_is_left_open_fails_the_run(void **state)
{
    (void)state;
    struct world_verdict verdict;
    struct pair pair = new_pair(1, forget_a_window, NULL);
    pair_run(&pair, 1, NULL, &verdict);
    assert_run_failed(&verdict, "closed with 0 lanes, 1 windows and 0 listeners open");
    pair.run[SRC] = forget_a_fabric;
    pair_run(&pair, 1, NULL, &verdict);
    assert_run_failed(&verdict, "left open at the end: 1 fabrics, 0 lanes");
}

static void withdraw_the_source(struct world *world, struct pair *pair)
{
    pair_write(world, pair, 0, 0, 4096);
    pr_fabric_dereg(pair->mr[SRC]);
    pair->mr[SRC] = NULL;
    unsigned completions;
    int err = pair_wait_failure(pair->lanes[SRC][0], &completions);
    world_check(world, err == -EFAULT && completions == 0);
}

static void test_a_source_withdrawn_under_a_transfer_fails_the_lane(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, withdraw_the_source, NULL);
    pair.net.reg_ns = 0;
    pair.net.latency_ns = 1000000;
    run_seeds(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_are_made_and_refused),
        cmocka_unit_test(test_a_connector_hears_of_the_listeners_death),
        cmocka_unit_test(test_what_the_dead_had_sent_is_delivered),
        cmocka_unit_test(test_what_was_not_complete_at_the_close_may_be_lost),
        cmocka_unit_test(test_a_cut_breaks_both_ends_until_it_is_mended),
        cmocka_unit_test(test_a_silent_cut_shows_only_to_who_sends),
        cmocka_unit_test(test_writes_land_in_a_frozen_side),
        cmocka_unit_test(test_a_fault_strikes_the_kth_operation),
        cmocka_unit_test(test_a_corrupted_write_has_one_wrong_byte),
        cmocka_unit_test(test_a_receiver_overrun_fails_the_run),
        cmocka_unit_test(test_a_buffer_given_back_twice_fails_the_run),
        cmocka_unit_test(test_a_lane_used_by_two_threads_fails_the_run),
        cmocka_unit_test(test_what_is_left_open_fails_the_run),
        cmocka_unit_test(test_a_source_withdrawn_under_a_transfer_fails_the_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
