/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated fabric keeps the clauses of rdma/fabric.h, and shows what they do not promise. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/sim/check.h"
#include "tests/sim/pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 40

static struct pair new_pair(unsigned lanes, void (*src)(struct world *, struct pair *),
                            void (*dst)(struct world *, struct pair *))
{
    return (struct pair){.net = sim_net_typical(), .lane_count = lanes, .run = {src, dst}};
}

/* Runs the pair under SEEDS seeds, all of which must be ok; values[0] and [1] add up. */
static void run_seeds(struct pair *pair, uint64_t sums[2])
{
    sums[0] = sums[1] = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world_verdict verdict;
        pair_run(pair, seed, NULL, &verdict);
        assert_run_ok(&verdict);
        sums[0] += verdict.values[0];
        sums[1] += verdict.values[1];
    }
}

/* ---- visibility and order ---- */

/* Looks at the destination's memory as soon as the write completed, then fences it. */
static void write_look_fence(struct world *world, struct pair *pair)
{
    memset(pair->bytes[SRC], 0xaa, 4096);
    pair_write(world, pair, 0, 0, 4096);
    pair_expect(world, pair->lanes[SRC][0], PR_OP_WRITE);
    world_report(world, 0, memcmp(pair->bytes[SRC], pair->bytes[DST], 4096) != 0);
    pair_send(world, pair->lanes[SRC][0], "fence");
}

static void take_fence(struct world *world, struct pair *pair)
{
    struct pr_completion fence = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV);
    world_check(world, strcmp(fence.bytes, "fence") == 0 && fence.len == 6);
    world_check(world, memcmp(pair->bytes[SRC], pair->bytes[DST], 4096) == 0);
    pr_lane_recv_done(pair->lanes[DST][0], fence.bytes);
}

static void test_a_completion_may_come_before_the_bytes_but_a_receive_does_not(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_look_fence, take_fence);
    uint64_t sums[2];
    run_seeds(&pair, sums);
    assert_in_range(sums[0], SEEDS / 4, SEEDS - 1); /* how often it was not there yet */
}

static void write_on_two_lanes(struct world *world, struct pair *pair)
{
    pair->bytes[SRC][0] = pair->bytes[SRC][4096] = 1;
    pair_write(world, pair, 0, 0, 1);
    pair_write(world, pair, 1, 4096, 1);
}

static void see_which_came_first(struct world *world, struct pair *pair)
{
    const volatile uint8_t *bytes = pair->bytes[DST];
    while (!bytes[0] && !bytes[4096])
        world_sleep_ns(world, 100);
    world_report(world, 0, !bytes[0]);
    world_report(world, 1, !bytes[4096]);
}

static void test_two_lanes_are_not_ordered(void **state)
{
    (void)state;
    struct pair pair = new_pair(2, write_on_two_lanes, see_which_came_first);
    pair.net.lazy_percent = 0;
    uint64_t sums[2];
    run_seeds(&pair, sums);
    assert_true(sums[0] > SEEDS / 10);
    assert_true(sums[1] > SEEDS / 10);
}

#define CELLS 12

static void write_cells(struct world *world, struct pair *pair)
{
    memset(pair->bytes[SRC], 1, PAIR_BYTES);
    for (unsigned i = 0; i < CELLS; i++)
        pair_write(world, pair, 0, i * 512, 512);
    for (unsigned i = 0; i < CELLS; i++)
        world_check(world, pair_expect(world, pair->lanes[SRC][0], PR_OP_WRITE).tag == i * 512);
}

/* What is visible is a prefix of what was written, and not always whole writes. */
static void see_a_prefix(struct world *world, struct pair *pair)
{
    const volatile uint8_t *bytes = pair->bytes[DST];
    bool torn = false;
    while (!bytes[CELLS * 512 - 1]) {
        unsigned seen = 0;
        while (bytes[seen])
            seen++;
        for (unsigned i = seen; i < CELLS * 512; i++)
            world_check(world, !bytes[i]);
        torn = torn || seen % 512;
        world_sleep_ns(world, 500);
    }
    world_report(world, 0, torn);
}

static void test_one_lane_is_ordered_and_placed_in_pieces(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_cells, see_a_prefix);
    pair.net.lazy_percent = 0;
    uint64_t sums[2];
    run_seeds(&pair, sums);
    assert_true(sums[0] > 0);
}

/* Stores that follow the flush may or may not be in it; those that follow the completion are not.
 */
static void write_and_change(struct world *world, struct pair *pair)
{
    memset(pair->bytes[SRC], 1, 8192);
    pair_write(world, pair, 0, 0, 8192);
    world_sleep_ns(world, 300 + world_random_below(world, 500));
    memset(pair->bytes[SRC], 2, 8192);
    pair_expect(world, pair->lanes[SRC][0], PR_OP_WRITE);
    memset(pair->bytes[SRC], 3, 8192);
    pair_send(world, pair->lanes[SRC][0], "fence");
}

static void see_a_mix(struct world *world, struct pair *pair)
{
    struct pr_completion fence = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV);
    pr_lane_recv_done(pair->lanes[DST][0], fence.bytes);
    unsigned count[4] = {0};
    for (unsigned i = 0; i < 8192; i++)
        count[pair->bytes[DST][i] & 3]++;
    world_check(world, count[0] == 0 && count[3] == 0);
    world_report(world, 0, count[1] && count[2]);
    world_report(world, 1, count[2] > 0);
}

static void test_the_source_is_read_late_and_torn_but_not_after_completion(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_and_change, see_a_mix);
    uint64_t sums[2];
    run_seeds(&pair, sums);
    assert_true(sums[0] > 0);
    assert_true(sums[1] > sums[0]);
    assert_true(sums[1] < SEEDS);
}

/* ---- time ---- */

#define STREAM_WRITES 16

static void stream(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    uint64_t before_ns = world_now_ns(world);
    for (unsigned i = 0; i < STREAM_WRITES; i++) {
        struct pr_rma rma = pair_rma(pair, 0, PAIR_BYTES, i, i == STREAM_WRITES - 1);
        world_check(world, pr_lane_post_write(lane, &rma) == 0);
    }
    world_check(world, pr_lane_flush(lane) == 0);
    pair_expect(world, lane, PR_OP_WRITE);
    uint64_t took_ns = world_now_ns(world) - before_ns;
    uint64_t wire_ns = STREAM_WRITES * PAIR_BYTES * 1000000000ull / pair->net.lane_Bps;
    world_check(world, took_ns >= wire_ns + 2 * pair->net.latency_ns);
    world_check(world, took_ns <= 2 * wire_ns + 10 * pair->net.latency_ns);
}

static void test_bytes_take_as_long_as_the_lane_says(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, stream, NULL);
    pair.net.lane_Bps = 1000000000;
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

/* ---- posting ---- */

static void fill_the_places(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    uint32_t depth = pair->net.limits.send_depth;
    for (uint32_t i = 0; i < depth; i++) {
        struct pr_rma rma = pair_rma(pair, i * 64, 64, i, i == depth - 2);
        world_check(world, pr_lane_post_write(lane, &rma) == 0);
    }
    struct pr_rma rma = pair_rma(pair, 0, 64, 99, true);
    world_check(world, pr_lane_post_write(lane, &rma) == -EAGAIN);
    world_check(world, pr_lane_flush(lane) == 0);
    struct pr_completion done = pair_expect(world, lane, PR_OP_WRITE);
    world_check(world, done.tag == depth - 2);
    /* All but the last are complete by that; the last keeps its place. */
    for (uint32_t i = 0; i < depth - 1; i++)
        world_check(world, pr_lane_post_write(lane, &rma) == 0);
    world_check(world, pr_lane_post_write(lane, &rma) == -EAGAIN);
}

static void test_places_come_back_with_a_signalled_completion(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, fill_the_places, NULL);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

static void post_nonsense(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    struct pr_rma rma = pair_rma(pair, 0, 0, 0, true);
    world_check(world, pr_lane_post_write(lane, &rma) == -EINVAL);
    rma = pair_rma(pair, 0, pair->net.limits.max_write_bytes + 1, 0, true);
    world_check(world, pr_lane_post_write(lane, &rma) == -EINVAL);
    rma = pair_rma(pair, PAIR_BYTES - 10, 11, 0, true);
    world_check(world, pr_lane_post_write(lane, &rma) == -EINVAL);
    rma = pair_rma(pair, 0, 64, 0, true);
    rma.remote = pair->mr[DST]->key.addr + PAIR_BYTES - 10;
    world_check(world, pr_lane_post_write(lane, &rma) == -EINVAL);
    rma.remote = pair->mr[DST]->key.addr - 1;
    world_check(world, pr_lane_post_write(lane, &rma) == -EINVAL);
    world_check(world, pr_lane_post_send(lane, "", 0, 0, true) == -EINVAL);
    /* The lane lives on. */
    pair_write(world, pair, 0, 0, 64);
    pair_expect(world, lane, PR_OP_WRITE);
}

static void test_nonsense_is_refused_and_the_lane_lives_on(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, post_nonsense, NULL);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

/* ---- the other operations ---- */

static void write_with_immediate(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    memset(pair->bytes[SRC], 7, 4096);
    struct pr_rma rma = pair_rma(pair, 0, 4096, 5, true);
    world_check(world, pr_lane_post_write_imm(lane, &rma, 0xfeedbeef) == 0);
    struct pr_rma empty = {.tag = 6, .signaled = true};
    world_check(world, pr_lane_post_write_imm(lane, &empty, 3) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
    world_check(world, pair_expect(world, lane, PR_OP_WRITE).tag == 5);
    world_check(world, pair_expect(world, lane, PR_OP_WRITE).tag == 6);
}

static void take_immediate(struct world *world, struct pair *pair)
{
    struct pr_completion got = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV_IMM);
    world_check(world, got.imm == 0xfeedbeef && !got.bytes);
    world_check(world, memcmp(pair->bytes[SRC], pair->bytes[DST], 4096) == 0);
    got = pair_expect(world, pair->lanes[DST][0], PR_OP_RECV_IMM);
    world_check(world, got.imm == 3);
}

static void test_an_immediate_arrives_with_its_bytes(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_with_immediate, take_immediate);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

/* A read sees the writes before it on its lane. */
static void write_and_read_back(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    memset(pair->bytes[SRC], 9, 1000);
    struct pr_rma write = pair_rma(pair, 0, 1000, 1, false),
                  read = pair_rma(pair, 0, 1000, 2, true);
    read.local = pair->bytes[SRC] + 2000;
    world_check(world, pr_lane_post_write(lane, &write) == 0);
    world_check(world, pr_lane_post_read(lane, &read) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
    world_check(world, pair_expect(world, lane, PR_OP_READ).tag == 2);
    world_check(world, memcmp(pair->bytes[SRC], pair->bytes[SRC] + 2000, 1000) == 0);
}

static void test_a_read_sees_the_writes_before_it(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_and_read_back, NULL);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

#define MESSAGES 100

/* The next message; completions of own sends come in between. */
static struct pr_completion next_message(struct world *world, struct pr_lane *lane)
{
    struct pr_completion got;
    do
        world_check(world, pair_wait(lane, &got) == 1);
    while (got.op == PR_OP_SEND);
    world_check(world, got.op == PR_OP_RECV);
    return got;
}

/* Sends with credits: never more in flight than the peer has buffers. */
static void send_many(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    uint32_t credits = pair->net.limits.recv_depth;
    for (uint32_t sent = 0, done = 0; done < MESSAGES;) {
        if (sent < MESSAGES && credits) {
            world_check(world, pr_lane_post_send(lane, &sent, sizeof(sent), 0, true) == 0);
            world_check(world, pr_lane_flush(lane) == 0);
            sent++;
            credits--;
            continue;
        }
        struct pr_completion back = next_message(world, lane);
        pr_lane_recv_done(lane, back.bytes);
        credits++;
        done++;
    }
}

static void answer_many(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[DST][0];
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct pr_completion got = next_message(world, lane);
        uint32_t value;
        memcpy(&value, got.bytes, sizeof(value));
        world_check(world, value == i && got.len == sizeof(value));
        pr_lane_recv_done(lane, got.bytes);
        world_check(world, memcmp(got.bytes, &value, sizeof(value)) != 0);
        world_check(world, pr_lane_post_send(lane, &value, sizeof(value), 0, true) == 0);
        world_check(world, pr_lane_flush(lane) == 0);
    }
}

static void test_messages_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, send_many, answer_many);
    pair.net.limits.recv_depth = 3;
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

/* The descriptor stays low for one who did not arm. */
static void wait_without_arm(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[DST][0];
    struct pollfd fd = {.fd = pr_lane_fd(lane), .events = POLLIN};
    world_check(world, pr_poll(&fd, 1, 1000) == 0);
    world_check(world, pr_lane_arm(lane) == 1);
    struct pr_completion got = pair_expect(world, lane, PR_OP_RECV);
    pr_lane_recv_done(lane, got.bytes);
}

static void send_hello(struct world *world, struct pair *pair)
{
    pair_send(world, pair->lanes[SRC][0], "hello");
}

static void test_only_an_armed_lane_wakes(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, send_hello, wait_without_arm);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

/* ---- registrations ---- */

static void register_up_to_the_limit(struct world *world, struct pair *pair)
{
    struct pr_fabric *fabric = pair->fabric[SRC];
    static uint8_t memory[8 * 4096] __attribute__((aligned(4096)));
    struct pr_mr *mr, *other;
    uint64_t before_ns = world_now_ns(world);
    world_check(world, pr_fabric_reg(fabric, memory, 4 * 4096, 0, &mr) == 0);
    world_check(world, world_now_ns(world) - before_ns >= pair->net.reg_ns);
    world_check(world, pr_fabric_reg(fabric, memory, 4097, 0, &other) == -ENOMEM);
    world_check(world, strstr(pr_error_message(), "memlock limit"));
    world_check(world, pr_fabric_reg(fabric, memory, 0, 0, &other) == -EINVAL);
    struct sim_counts counts = sim_net_counts(world);
    world_check(world, counts.windows == 3);
    world_check(world, counts.pinned_bytes_most == PAIR_BYTES + 4 * 4096);
    pr_fabric_dereg(mr);
    world_check(world, pr_fabric_reg(fabric, memory, 4097, 0, &other) == 0);
    world_check(world, other->key.rkey != pair->mr[SRC]->key.rkey);
    pr_fabric_dereg(other);
}

static void test_pinned_memory_is_counted_and_limited(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, register_up_to_the_limit, NULL);
    pair.net.memlock_bytes = PAIR_BYTES + 5 * 4096;
    struct world_verdict verdict;
    pair_run(&pair, 1, NULL, &verdict);
    assert_run_ok(&verdict);
}

/* Keeps writing until the window is withdrawn. */
static void write_until_refused(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    struct pr_key key = pair->mr[DST]->key;
    struct pr_completion done;
    int err = 0;
    for (uint8_t value = 1; err >= 0; value = (uint8_t)(value % 250 + 1)) {
        memset(pair->bytes[SRC], value, 256);
        struct pr_rma rma = {.local = pair->bytes[SRC],
                             .mr = pair->mr[SRC],
                             .remote = key.addr,
                             .key = &key,
                             .len = 256,
                             .signaled = true};
        world_check(world, pr_lane_post_write(lane, &rma) == 0);
        world_check(world, pr_lane_flush(lane) == 0);
        err = pair_wait(lane, &done);
    }
    world_check(world, err == -EACCES);
}

static void withdraw(struct world *world, struct pair *pair)
{
    world_sleep_ns(world, world_random_below(world, 300000));
    pr_fabric_dereg(pair->mr[DST]);
    pair->mr[DST] = NULL;
    uint8_t before[256];
    memcpy(before, pair->bytes[DST], sizeof(before));
    unsigned ignored;
    world_check(world, pair_wait_failure(pair->lanes[DST][0], &ignored) == -ECONNRESET);
    pr_sleep_ms(5);
    world_check(world, memcmp(before, pair->bytes[DST], sizeof(before)) == 0);
}

static void test_a_withdrawn_window_is_out_of_reach(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, write_until_refused, withdraw);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

static void use_a_forged_key(struct world *world, struct pair *pair)
{
    struct pr_lane *lane = pair->lanes[SRC][0];
    struct pr_key key = pair->mr[DST]->key;
    key.rkey ^= 1ull << 40;
    memset(pair->bytes[SRC], 1, 64);
    struct pr_rma rma = pair_rma(pair, 0, 64, 1, true);
    rma.key = &key;
    world_check(world, pr_lane_post_write(lane, &rma) == 0);
    rma = pair_rma(pair, 64, 64, 2, true);
    world_check(world, pr_lane_post_write(lane, &rma) == 0);
    world_check(world, pr_lane_flush(lane) == 0);
    unsigned completions;
    world_check(world, pair_wait_failure(lane, &completions) == -EACCES);
    world_check(world, completions == 0);
    world_check(world, pr_lane_post_write(lane, &rma) == -EACCES);
    world_check(world, pair->bytes[DST][0] == 0 && pair->bytes[DST][64] == 0);
}

static void test_a_forged_key_fails_the_lane_and_writes_nothing(void **state)
{
    (void)state;
    struct pair pair = new_pair(1, use_a_forged_key, NULL);
    uint64_t sums[2];
    run_seeds(&pair, sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_completion_may_come_before_the_bytes_but_a_receive_does_not),
        cmocka_unit_test(test_two_lanes_are_not_ordered),
        cmocka_unit_test(test_one_lane_is_ordered_and_placed_in_pieces),
        cmocka_unit_test(test_the_source_is_read_late_and_torn_but_not_after_completion),
        cmocka_unit_test(test_bytes_take_as_long_as_the_lane_says),
        cmocka_unit_test(test_places_come_back_with_a_signalled_completion),
        cmocka_unit_test(test_nonsense_is_refused_and_the_lane_lives_on),
        cmocka_unit_test(test_an_immediate_arrives_with_its_bytes),
        cmocka_unit_test(test_a_read_sees_the_writes_before_it),
        cmocka_unit_test(test_messages_arrive_whole_and_in_order),
        cmocka_unit_test(test_only_an_armed_lane_wakes),
        cmocka_unit_test(test_pinned_memory_is_counted_and_limited),
        cmocka_unit_test(test_a_withdrawn_window_is_out_of_reach),
        cmocka_unit_test(test_a_forged_key_fails_the_lane_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
