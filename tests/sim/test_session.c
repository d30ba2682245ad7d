/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A toy migration in the simulator: a guest that goes on writing, epochs over several lanes, a
 * fence. Right, it is right under every seed and ends whoever dies when; each invariant that is
 * left out shows under some seed. So the simulator is able to see what it is there for.
 */
#include "base/runtime.h"
#include "tests/sim/check.h"
#include "tests/sim/pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 24
#define PAGE_BYTES 512
#define ROUNDS 4

enum flaw {
    NO_FLAW,
    CLEAR_AFTER_READ, /* invariant 1: the dirty bits are cleared when the pages are complete */
    NO_DRAIN,         /* invariant 2: the next epoch starts while the last is in flight */
    DRAIN_ONLY,       /* invariant 2: to drain completions, on a device that may reorder */
    NO_FENCE,         /* invariant 3: the source's completions are taken as proof */
};

struct toy {
    struct pair pair; /* first: cast back */
    enum flaw flaw;
    uint64_t kill_step;
    unsigned kill_side;
    bool any_network; /* drawn, instead of pair.net */
    bool stop;
    bool dirty[PAGES];
    unsigned in_flight[PAIR_LANES_MAX];
    struct pr_event all_complete;
};

static struct toy *toy_of(struct pair *pair)
{
    return (struct toy *)pair;
}

static void guest(void *arg)
{
    struct toy *toy = arg;
    struct world *world = world_current();
    while (!toy->stop) {
        uint64_t page = world_random_below(world, PAGES);
        toy->pair.bytes[SRC][page * PAGE_BYTES + world_random_below(world, PAGE_BYTES)]++;
        toy->dirty[page] = true;
        pr_sim_step("store");
        if (world_random_below(world, 4) == 0)
            world_sleep_ns(world, toy->pair.net.latency_ns / 8);
    }
}

static int reap(struct toy *toy, unsigned lane)
{
    struct pr_completion done;
    int count = pair_wait(toy->pair.lanes[SRC][lane], &done);
    if (count > 0)
        toy->in_flight[lane]--;
    return count;
}

static int drain(struct toy *toy)
{
    for (unsigned lane = 0; lane < toy->pair.lane_count; lane++)
        while (toy->in_flight[lane]) {
            int err = reap(toy, lane);
            if (err < 0)
                return err;
        }
    return 0;
}

static int send_page(struct toy *toy, unsigned page, unsigned lane)
{
    struct pr_rma rma = pair_rma(&toy->pair, page * PAGE_BYTES, PAGE_BYTES, page, true);
    int err;
    while ((err = pr_lane_post_write(toy->pair.lanes[SRC][lane], &rma)) == -EAGAIN) {
        err = reap(toy, lane);
        if (err < 0)
            return err;
    }
    if (!err)
        err = pr_lane_flush(toy->pair.lanes[SRC][lane]);
    toy->in_flight[lane]++;
    return err;
}

/* One epoch. A page takes another lane in the next. */
static int send_dirty(struct toy *toy, unsigned round)
{
    bool sent[PAGES] = {false};
    for (unsigned page = 0; page < PAGES; page++) {
        if (!toy->dirty[page])
            continue;
        sent[page] = true;
        if (toy->flaw != CLEAR_AFTER_READ)
            toy->dirty[page] = false;
        int err = send_page(toy, page, (page + round) % toy->pair.lane_count);
        if (err < 0)
            return err;
    }
    int err = toy->flaw == NO_DRAIN ? 0 : drain(toy);
    for (unsigned page = 0; page < PAGES; page++)
        if (sent[page] && toy->flaw == CLEAR_AFTER_READ)
            toy->dirty[page] = false;
    return err;
}

static int send_fences(struct toy *toy)
{
    for (unsigned lane = 0; lane < toy->pair.lane_count; lane++) {
        struct pr_rma empty = {.signaled = true};
        int err = pr_lane_post_write_imm(toy->pair.lanes[SRC][lane], &empty, 1);
        if (!err)
            err = pr_lane_flush(toy->pair.lanes[SRC][lane]);
        if (err)
            return err;
        toy->in_flight[lane]++;
    }
    return drain(toy);
}

static int migrate(struct toy *toy, struct pr_thread *guest_thread)
{
    int err = 0;
    memset(toy->dirty, true, sizeof(toy->dirty));
    for (unsigned round = 0; round < ROUNDS && err >= 0; round++)
        err = send_dirty(toy, round);
    toy->stop = true;
    pr_thread_join(guest_thread);
    if (err >= 0)
        err = send_dirty(toy, ROUNDS);
    if (err >= 0)
        err = drain(toy);
    pr_event_raise(&toy->all_complete);
    return err < 0 ? err : send_fences(toy);
}

static void toy_src(struct world *world, struct pair *pair)
{
    struct toy *toy = toy_of(pair);
    struct pr_thread *thread;
    world_check(world, pr_thread_spawn(&thread, "guest", guest, toy) == 0);
    int err = migrate(toy, thread);
    world_check(world, err == 0 || world_killed(world, DST));
}

static int wait_for_fences(struct pair *pair)
{
    for (unsigned lane = 0; lane < pair->lane_count; lane++) {
        struct pr_completion fence;
        int err = pair_wait(pair->lanes[DST][lane], &fence);
        if (err < 0)
            return err;
    }
    return 0;
}

static void toy_dst(struct world *world, struct pair *pair)
{
    struct toy *toy = toy_of(pair);
    int err = 0;
    if (toy->flaw == NO_FENCE)
        pr_event_wait(&toy->all_complete, PR_NEVER);
    else
        err = wait_for_fences(pair);
    world_check(world, err == 0 || world_killed(world, SRC));
    if (err == 0)
        world_report(world, 0, memcmp(pair->bytes[SRC], pair->bytes[DST], PAGES * PAGE_BYTES) != 0);
}

static void toy_begin(struct world *world, void *arg)
{
    struct toy *toy = arg;
    if (toy->any_network) {
        toy->pair.net = sim_net_draw(world);
        toy->pair.net.ordered_device = true;
    }
    if (toy->kill_step)
        world_kill_at_step(world, toy->kill_side, toy->kill_step);
}

/* True when the destination found other bytes than the source has. */
static bool run_toy(struct toy *toy, uint64_t seed, struct world_verdict *out)
{
    toy->pair.run[SRC] = toy_src;
    toy->pair.run[DST] = toy_dst;
    toy->pair.lane_count = 3;
    if (pr_event_open(&toy->all_complete) < 0)
        abort();
    pair_run(&toy->pair, seed, toy_begin, out);
    pr_event_close(&toy->all_complete);
    assert_run_ok(out);
    return out->values[0] != 0;
}

/* An epoch fits into one round trip, so that without a drain two of them are in flight. */
static struct sim_net slow_net(void)
{
    struct sim_net net = sim_net_typical();
    net.ordered_device = true;
    net.latency_ns = 20000;
    net.jitter_ns = 20000;
    return net;
}

static unsigned wrong_results(enum flaw flaw, unsigned seeds)
{
    unsigned wrong = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct toy toy = {.pair.net = slow_net(), .flaw = flaw};
        toy.pair.net.ordered_device = flaw != DRAIN_ONLY;
        struct world_verdict verdict;
        wrong += run_toy(&toy, seed, &verdict);
    }
    return wrong;
}

static void test_done_right_it_is_right_under_every_seed(void **state)
{
    (void)state;
    assert_int_equal(wrong_results(NO_FLAW, 100), 0);
}

static void test_done_right_it_is_right_on_any_network(void **state)
{
    (void)state;
    for (uint64_t seed = world_seed_first(); seed < world_seed_end(100); seed++) {
        struct toy toy = {.any_network = true};
        struct world_verdict verdict;
        assert_false(run_toy(&toy, seed, &verdict));
    }
}

static void test_each_invariant_left_out_shows(void **state)
{
    (void)state;
    assert_true(wrong_results(CLEAR_AFTER_READ, 40) > 0);
    assert_true(wrong_results(NO_DRAIN, 40) > 0);
    assert_true(wrong_results(NO_FENCE, 40) > 0);
}

/* The contract does not say that what completed lands before what is posted then. */
static void test_a_drain_by_completions_needs_an_ordered_device(void **state)
{
    (void)state;
    assert_true(wrong_results(DRAIN_ONLY, 40) > 0);
}

/* Whoever dies at whatever step, the other one's calls come back. */
/* Whoever dies at whatever step, the other one's calls come back. */
static void test_the_survivor_of_a_kill_always_ends(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        struct toy whole = {.pair.net = slow_net()};
        struct world_verdict verdict;
        run_toy(&whole, 5 + side, &verdict);
        uint64_t last = verdict.steps, stride = last / 50 + 1;
        for (uint64_t step = 1 + side; step < last; step += stride) {
            struct toy toy = {.pair.net = slow_net(), .kill_side = side, .kill_step = step};
            assert_false(run_toy(&toy, 5 + side, &verdict));
        }
    }
}

static void test_a_session_is_a_function_of_its_seed(void **state)
{
    (void)state;
    struct world_verdict a, b;
    struct toy first = {.pair.net = slow_net()}, second = {.pair.net = slow_net()};
    run_toy(&first, 77, &a);
    run_toy(&second, 77, &b);
    assert_true(a.hash == b.hash && a.steps == b.steps && a.sim_ns == b.sim_ns);
    run_toy(&second, 78, &b);
    assert_true(a.hash != b.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done_right_it_is_right_under_every_seed),
        cmocka_unit_test(test_done_right_it_is_right_on_any_network),
        cmocka_unit_test(test_each_invariant_left_out_shows),
        cmocka_unit_test(test_a_drain_by_completions_needs_an_ordered_device),
        cmocka_unit_test(test_the_survivor_of_a_kill_always_ends),
        cmocka_unit_test(test_a_session_is_a_function_of_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
