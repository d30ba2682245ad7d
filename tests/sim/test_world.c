/* SPDX-License-Identifier: BSD-2-Clause */
/* The world itself: order, time, and what can befall a side. */
#include "base/event.h"
#include "base/pool.h"
#include "base/runtime.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static bool run(struct world_scenario scenario, struct world_verdict *out)
{
    scenario.wall_limit_s = scenario.wall_limit_s ? scenario.wall_limit_s : 30;
    return world_run_forked(&scenario, out);
}

/* ---- two sides that pass a token back and forth, with helper threads that make noise ---- */

#define TURNS 20

struct ping_pong {
    struct pr_event turn[2];
    unsigned order[2 * TURNS + 1];
    unsigned taken;
};

static void noise(void *arg)
{
    for (int i = 0; i < 5; i++) {
        pr_sleep_ms(1);
        pr_event_raise(arg);
    }
}

static void play(struct ping_pong *game, unsigned me)
{
    struct pr_event ignored;
    struct pr_thread *thread;
    if (pr_event_open(&ignored) < 0 || pr_thread_spawn(&thread, "noise", noise, &ignored) < 0)
        abort();
    for (int i = 0; i < TURNS; i++) {
        pr_event_wait(&game->turn[me], PR_NEVER);
        pr_event_clear(&game->turn[me]);
        game->order[game->taken++] = me;
        pr_event_raise(&game->turn[!me]);
    }
    pr_thread_join(thread);
    pr_event_close(&ignored);
}

static void ping(struct world *world, void *arg)
{
    (void)world;
    play(arg, 0);
}

static void pong(struct world *world, void *arg)
{
    (void)world;
    play(arg, 1);
}

static void ping_pong_begin(struct world *world, void *arg)
{
    struct ping_pong *game = arg;
    world_check(world, pr_event_open(&game->turn[0]) == 0);
    world_check(world, pr_event_open(&game->turn[1]) == 0);
    pr_event_raise(&game->turn[0]);
}

static void ping_pong_end(struct world *world, void *arg)
{
    struct ping_pong *game = arg;
    world_check(world, game->taken == 2 * TURNS);
    for (unsigned i = 0; i < game->taken; i++)
        world_check(world, game->order[i] == i % 2);
    pr_event_close(&game->turn[0]);
    pr_event_close(&game->turn[1]);
}

static bool run_ping_pong(uint64_t seed, struct world_verdict *out)
{
    struct ping_pong game = {.taken = 0};
    struct world_side sides[] = {{"ping", ping, &game}, {"pong", pong, &game}};
    return run((struct world_scenario){.seed = seed,
                                       .sides = sides,
                                       .side_count = 2,
                                       .begin = ping_pong_begin,
                                       .end = ping_pong_end,
                                       .arg = &game},
               out);
}

static void test_one_seed_gives_one_trace(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world_verdict a, b;
        run_ping_pong(seed, &a);
        run_ping_pong(seed, &b);
        assert_run_ok(&a);
        assert_run_ok(&b);
        assert_true(a.hash == b.hash);
        assert_true(a.steps == b.steps);
        assert_true(a.sim_ns == b.sim_ns);
    }
}

static void test_seeds_differ(void **state)
{
    (void)state;
    struct world_verdict verdict[20];
    for (unsigned i = 0; i < 20; i++) {
        run_ping_pong(i, &verdict[i]);
        assert_run_ok(&verdict[i]);
        for (unsigned k = 0; k < i; k++)
            assert_true(verdict[i].hash != verdict[k].hash);
    }
}

/* ---- time ---- */

struct sleepers {
    unsigned woken[3];
    unsigned count;
};

static struct sleepers sleepers;

static void sleep_300(void *arg)
{
    (void)arg;
    pr_sleep_ms(300);
    sleepers.woken[sleepers.count++] = 300;
}

static void sleep_20(void *arg)
{
    (void)arg;
    pr_sleep_ms(20);
    sleepers.woken[sleepers.count++] = 20;
}

static void sleepers_main(struct world *world, void *arg)
{
    (void)arg;
    struct pr_thread *a, *b;
    uint64_t start_ns = pr_now_ns();
    if (pr_thread_spawn(&a, "long", sleep_300, NULL) < 0 ||
        pr_thread_spawn(&b, "short", sleep_20, NULL) < 0)
        abort();
    pr_sleep_ms(50 * 60 * 1000);
    sleepers.woken[sleepers.count++] = 1;
    uint64_t slept_ns = pr_now_ns() - start_ns;
    pr_thread_join(a);
    pr_thread_join(b);
    world_check(world, slept_ns >= 50ull * 60 * 1000000000);
    world_check(world, slept_ns < 51ull * 60 * 1000000000);
    world_check(world, sleepers.count == 3);
    world_check(world, sleepers.woken[0] == 20 && sleepers.woken[1] == 300);
}

static void test_time_jumps_to_the_next_deadline(void **state)
{
    (void)state;
    struct world_side side = {"one", sleepers_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 3, .sides = &side, .side_count = 1}, &verdict);
    assert_run_ok(&verdict);
    assert_true(verdict.sim_ns >= 50ull * 60 * 1000000000);
}

static void test_simulated_time_has_a_limit(void **state)
{
    (void)state;
    struct world_side side = {"one", sleepers_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 3, .sides = &side, .side_count = 1, .max_sim_ms = 1000},
        &verdict);
    assert_run_failed(&verdict, "1000 ms of simulated time");
}

static atomic_bool flag;

static void raise_flag(void *arg)
{
    (void)arg;
    pr_sleep_ms(1);
    atomic_store(&flag, true);
}

/* A loop that only looks at the clock must not keep the world from going on. */
static void spin_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    struct pr_thread *thread;
    if (pr_thread_spawn(&thread, "flag", raise_flag, NULL) < 0)
        abort();
    while (!atomic_load(&flag))
        pr_now_ns();
    pr_thread_join(thread);
}

static void test_a_loop_over_the_clock_lets_others_run(void **state)
{
    (void)state;
    struct world_side side = {"one", spin_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 4, .sides = &side, .side_count = 1}, &verdict);
    assert_run_ok(&verdict);
}

/* ---- what the world notices ---- */

static void wait_for_ever(void *arg)
{
    if (!pr_event_wait(arg, PR_NEVER))
        abort();
}

static void deadlock_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    struct pr_event event;
    struct pr_thread *thread;
    if (pr_event_open(&event) < 0 || pr_thread_spawn(&thread, "waiter", wait_for_ever, &event) < 0)
        abort();
    pr_thread_join(thread);
    pr_event_close(&event);
}

static void test_a_deadlock_names_who_waits_and_where(void **state)
{
    (void)state;
    struct world_side side = {"one", deadlock_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 5, .sides = &side, .side_count = 1}, &verdict);
    assert_run_failed(&verdict, "deadlock");
    assert_run_failed(&verdict, "one:main joins waiter");
    assert_run_failed(&verdict, "one:waiter polls fd");
    assert_run_failed(&verdict, "seed 5");
    assert_run_failed(&verdict, "wait_for_ever at test_world.c");
    assert_run_failed(&verdict, "deadlock_main at test_world.c");
}

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;

static void lock_both(pthread_mutex_t *a, pthread_mutex_t *b)
{
    pthread_mutex_lock(a);
    pthread_mutex_lock(b);
    pthread_mutex_unlock(b);
    pthread_mutex_unlock(a);
}

static void lock_backwards(void *arg)
{
    (void)arg;
    lock_both(&second, &first);
}

static void lock_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    struct pr_thread *thread;
    if (pr_thread_spawn(&thread, "backwards", lock_backwards, NULL) < 0)
        abort();
    lock_both(&first, &second);
    pr_thread_join(thread);
}

static void test_mutexes_in_two_orders_deadlock_under_some_seed(void **state)
{
    (void)state;
    struct world_side side = {"one", lock_main, NULL};
    unsigned deadlocks = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world_verdict verdict;
        if (run((struct world_scenario){.seed = seed, .sides = &side, .side_count = 1}, &verdict))
            continue;
        assert_run_failed(&verdict, "waits for a mutex");
        deadlocks++;
    }
    assert_true(deadlocks > 0);
    assert_true(deadlocks < 60);
}

/* A queue of one consumer. The wrong one clears the flag after it looked at what it announces. */
struct queue {
    struct pr_event work;
    unsigned queued;
    bool wrong;
};

static void produce(void *arg)
{
    struct queue *queue = arg;
    for (int i = 0; i < 5; i++) {
        queue->queued++;
        pr_event_raise(&queue->work);
    }
}

static void consume_main(struct world *world, void *arg)
{
    (void)world;
    struct queue *queue = arg;
    struct pr_thread *thread;
    if (pr_event_open(&queue->work) < 0 || pr_thread_spawn(&thread, "producer", produce, queue) < 0)
        abort();
    for (unsigned taken = 0; taken < 5;) {
        pr_event_wait(&queue->work, PR_NEVER);
        unsigned seen = queue->queued;
        pr_event_clear(&queue->work);
        if (!queue->wrong)
            seen = queue->queued;
        taken += seen;
        queue->queued -= seen;
    }
    pr_thread_join(thread);
    pr_event_close(&queue->work);
}

static unsigned lost_wakeups(bool wrong)
{
    struct queue queue = {.wrong = wrong};
    struct world_side side = {"one", consume_main, &queue};
    unsigned deadlocks = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world_verdict verdict;
        deadlocks +=
            !run((struct world_scenario){.seed = seed, .sides = &side, .side_count = 1}, &verdict);
    }
    return deadlocks;
}

static void test_a_lost_wake_up_shows_and_a_right_one_never_does(void **state)
{
    (void)state;
    assert_true(lost_wakeups(true) > 0);
    assert_int_equal(lost_wakeups(false), 0);
}

static void busy_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    for (;;)
        pr_poll(NULL, 0, 0);
}

static void test_a_livelock_ends_at_the_limit_of_steps(void **state)
{
    (void)state;
    struct world_side side = {"one", busy_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 6, .sides = &side, .side_count = 1, .max_steps = 2000},
        &verdict);
    assert_run_failed(&verdict, "livelock");
    assert_true(verdict.steps == 2000);
}

static void forget_main(struct world *world, void *arg)
{
    (void)world;
    struct pr_thread *thread;
    if (pr_thread_spawn(&thread, "orphan", noise, arg) < 0)
        abort();
}

static void test_a_thread_that_nobody_joins_is_a_failure(void **state)
{
    (void)state;
    struct pr_event event = PR_EVENT_CLOSED;
    struct world_side side = {"one", forget_main, &event};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 7, .sides = &side, .side_count = 1}, &verdict);
    assert_run_failed(&verdict, "orphan was never joined");
}

static void crash_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    _exit(7);
}

static void segfault_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    if (raise(SIGSEGV))
        abort();
}

static void hang_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    int ends[2];
    char byte;
    pr_sim_step("about to hang");
    if (pipe(ends) == 0 && read(ends[0], &byte, 1) == 0)
        abort();
}

static void leak_main(struct world *world, void *arg)
{
    (void)world, (void)arg;
    if (dup(0) < 0)
        abort();
}

static void test_a_child_that_crashes_hangs_or_leaks_is_a_failure(void **state)
{
    (void)state;
    struct world_verdict verdict;
    struct world_side crash = {"one", crash_main, NULL};
    run((struct world_scenario){.seed = 8, .sides = &crash, .side_count = 1}, &verdict);
    assert_run_failed(&verdict, "exited with 7");
    struct world_side segfault = {"one", segfault_main, NULL};
    run((struct world_scenario){.seed = 8, .sides = &segfault, .side_count = 1}, &verdict);
    assert_run_failed(&verdict, "died by signal 11");
    assert_run_failed(&verdict, "segfault_main at test_world.c");
    struct world_side hang = {"one", hang_main, NULL};
    run((struct world_scenario){.seed = 8, .sides = &hang, .side_count = 1, .wall_limit_s = 1},
        &verdict);
    assert_run_failed(&verdict, "hung for 1 s of wall clock in one:main after 'about to hang'");
    struct world_side leak = {"one", leak_main, NULL};
    run((struct world_scenario){.seed = 8, .sides = &leak, .side_count = 1}, &verdict);
    assert_run_failed(&verdict, "left open descriptors behind (1)");
}

static void test_a_failed_check_ends_the_run(void **state)
{
    (void)state;
    struct ping_pong game = {.taken = 1};
    struct world_side sides[] = {{"ping", ping, &game}, {"pong", pong, &game}};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 1,
                                .sides = sides,
                                .side_count = 2,
                                .begin = ping_pong_begin,
                                .end = ping_pong_end,
                                .arg = &game},
        &verdict);
    assert_run_failed(&verdict, "game->taken == 2 * TURNS does not hold");
}

/* ---- what can befall a side ---- */

struct count {
    unsigned done;
    bool dead_ran; /* the killed side ran on */
    bool killed;
};

static void counter_main(struct world *world, void *arg)
{
    struct count *count = arg;
    for (int i = 0; i < 100; i++) {
        if (world_killed(world, 1))
            count->dead_ran = true;
        count->done++;
        pr_sleep_ms(1);
    }
}

static void killer_main(struct world *world, void *arg)
{
    struct count *count = arg;
    pr_sleep_ms(50);
    world_kill(world, 1);
    count->killed = true;
    pr_sleep_ms(100);
    world_report(world, 0, count->done);
    world_report(world, 1, count->dead_ran);
}

static void test_a_killed_side_never_runs_again(void **state)
{
    (void)state;
    struct count count = {0};
    struct world_side sides[] = {{"killer", killer_main, &count}, {"victim", counter_main, &count}};
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world_verdict verdict;
        run((struct world_scenario){.seed = seed, .sides = sides, .side_count = 2}, &verdict);
        assert_run_ok(&verdict);
        assert_in_range(verdict.values[0], 40, 60);
        assert_true(verdict.values[1] == 0);
    }
}

static void suicide_main(struct world *world, void *arg)
{
    (void)arg;
    world_kill(world, (unsigned)world_side_now(world));
    world_report(world, 0, 1);
}

static void test_a_side_that_kills_itself_does_not_return(void **state)
{
    (void)state;
    struct world_side side = {"one", suicide_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 9, .sides = &side, .side_count = 1}, &verdict);
    assert_run_ok(&verdict);
    assert_true(verdict.values[0] == 0);
}

static void arm_kill(struct world *world, void *arg)
{
    world_kill_at_step(world, 1, *(uint64_t *)arg);
}

/* The same seed runs the same way up to the step of the kill. */
static void test_a_kill_strikes_at_its_step(void **state)
{
    (void)state;
    struct count count = {0};
    struct world_side sides[] = {{"a", counter_main, &count}, {"b", counter_main, &count}};
    struct world_verdict whole, cut;
    run((struct world_scenario){.seed = 11, .sides = sides, .side_count = 2}, &whole);
    assert_run_ok(&whole);
    for (uint64_t step = 1; step < whole.steps; step += 7) {
        run(
            (struct world_scenario){
                .seed = 11, .sides = sides, .side_count = 2, .begin = arm_kill, .arg = &step},
            &cut);
        assert_run_ok(&cut);
        assert_true(cut.steps < whole.steps);
        assert_true(cut.steps >= step);
    }
}

static void freezer_main(struct world *world, void *arg)
{
    struct count *count = arg;
    pr_sleep_ms(20);
    world_freeze(world, 1);
    unsigned before = count->done;
    pr_sleep_ms(500);
    world_check(world, count->done == before);
    world_thaw(world, 1);
    pr_sleep_ms(500);
    world_check(world, count->done == 100);
}

static void test_a_frozen_side_stands_still_until_it_is_thawed(void **state)
{
    (void)state;
    struct count count = {0};
    struct world_side sides[] = {{"freezer", freezer_main, &count}, {"b", counter_main, &count}};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 12, .sides = sides, .side_count = 2}, &verdict);
    assert_run_ok(&verdict);
}

static void thaw_later(struct world *world, void *arg)
{
    (void)arg;
    world_thaw(world, 0);
}

static void freeze_self_main(struct world *world, void *arg)
{
    (void)arg;
    uint64_t before_ns = pr_now_ns();
    world_at_ms(world, 700, thaw_later, NULL);
    world_freeze(world, 0);
    world_check(world, pr_now_ns() - before_ns >= 600000000u);
}

static void test_a_side_can_freeze_itself(void **state)
{
    (void)state;
    struct world_side side = {"one", freeze_self_main, NULL};
    struct world_verdict verdict;
    run((struct world_scenario){.seed = 13, .sides = &side, .side_count = 1}, &verdict);
    assert_run_ok(&verdict);
}

/* ---- the library's own threads run in it ---- */

static int square(void *arg, uint64_t i)
{
    ((uint64_t *)arg)[i] = i * i;
    pr_sleep_ms(1);
    return 0;
}

static void pool_main(struct world *world, void *arg)
{
    (void)arg;
    uint64_t squares[50];
    struct pr_pool *pool;
    world_check(world, pr_pool_open(&pool, 4, "pool") == 0);
    world_check(world, pr_pool_each(pool, 50, square, squares) == 0);
    for (uint64_t i = 0; i < 50; i++)
        world_check(world, squares[i] == i * i);
    pr_pool_close(pool);
}

static void test_a_thread_pool_works_under_many_seeds(void **state)
{
    (void)state;
    struct world_side side = {"one", pool_main, NULL};
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct world_verdict verdict;
        run((struct world_scenario){.seed = seed, .sides = &side, .side_count = 1}, &verdict);
        assert_run_ok(&verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_seed_gives_one_trace),
        cmocka_unit_test(test_seeds_differ),
        cmocka_unit_test(test_time_jumps_to_the_next_deadline),
        cmocka_unit_test(test_simulated_time_has_a_limit),
        cmocka_unit_test(test_a_loop_over_the_clock_lets_others_run),
        cmocka_unit_test(test_a_deadlock_names_who_waits_and_where),
        cmocka_unit_test(test_mutexes_in_two_orders_deadlock_under_some_seed),
        cmocka_unit_test(test_a_lost_wake_up_shows_and_a_right_one_never_does),
        cmocka_unit_test(test_a_livelock_ends_at_the_limit_of_steps),
        cmocka_unit_test(test_a_thread_that_nobody_joins_is_a_failure),
        cmocka_unit_test(test_a_child_that_crashes_hangs_or_leaks_is_a_failure),
        cmocka_unit_test(test_a_failed_check_ends_the_run),
        cmocka_unit_test(test_a_killed_side_never_runs_again),
        cmocka_unit_test(test_a_side_that_kills_itself_does_not_return),
        cmocka_unit_test(test_a_kill_strikes_at_its_step),
        cmocka_unit_test(test_a_frozen_side_stands_still_until_it_is_thawed),
        cmocka_unit_test(test_a_side_can_freeze_itself),
        cmocka_unit_test(test_a_thread_pool_works_under_many_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
