/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define JOBS 500u

struct numbered {
    struct pr_job job; /* first: cast back */
    unsigned number;
    unsigned *order;
    atomic_uint *ran;
};

static void note_order(struct pr_job *job)
{
    struct numbered *numbered = (struct numbered *)job;
    numbered->order[atomic_fetch_add(numbered->ran, 1)] = numbered->number;
}

/* Submits JOBS jobs and closes; the order in which they ran. */
static unsigned run_jobs(unsigned threads, unsigned order[JOBS])
{
    static struct numbered jobs[JOBS];
    atomic_uint ran = 0;
    struct pr_pool *pool;
    assert_int_equal(pr_pool_open(&pool, threads, "pool"), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct numbered){{.fn = note_order}, i, order, &ran};
        pr_pool_submit(pool, &jobs[i].job);
    }
    pr_pool_close(pool);
    return atomic_load(&ran);
}

static void close_runs_every_job_first(void **state)
{
    unsigned order[JOBS];
    (void)state;
    assert_int_equal(run_jobs(4, order), JOBS);
    for (unsigned number = 0; number < JOBS; number++) {
        unsigned times = 0;
        for (unsigned i = 0; i < JOBS; i++)
            times += order[i] == number;
        assert_int_equal(times, 1);
    }
}

static void one_thread_keeps_the_order(void **state)
{
    unsigned order[JOBS];
    (void)state;
    assert_int_equal(run_jobs(1, order), JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
}

/* A pool asked for no threads still does its work. */
static void no_threads_counts_as_one(void **state)
{
    unsigned order[JOBS];
    (void)state;
    assert_int_equal(run_jobs(0, order), JOBS);
}

static void null_is_closed(void **state)
{
    (void)state;
    pr_pool_close(NULL);
}

struct tally {
    atomic_uint calls[2000];
    atomic_uint total;
    uint64_t fail_at;
};

static int count_call(void *arg, uint64_t i)
{
    struct tally *tally = arg;
    atomic_fetch_add(&tally->calls[i], 1);
    atomic_fetch_add(&tally->total, 1);
    return i == tally->fail_at ? pr_error(ENOMEM, "window %u is too large", (unsigned)i) : 0;
}

static void each_covers_every_index_once(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 3, 4, 5, 63, 2000};
    static const unsigned sizes[] = {1, 3, 64, 1000};
    (void)state;
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        struct pr_pool *pool;
        assert_int_equal(pr_pool_open(&pool, sizes[s], "pool"), 0);
        for (unsigned c = 0; c < COUNT_OF(counts); c++) {
            struct tally tally = {.fail_at = UINT64_MAX};
            assert_int_equal(pr_pool_each(pool, counts[c], count_call, &tally), 0);
            assert_int_equal(atomic_load(&tally.total), counts[c]);
            for (unsigned i = 0; i < counts[c]; i++)
                assert_int_equal(atomic_load(&tally.calls[i]), 1);
        }
        pr_pool_close(pool);
    }
}

static void each_returns_the_failure_with_its_sentence(void **state)
{
    struct pr_pool *pool;
    (void)state;
    assert_int_equal(pr_pool_open(&pool, 3, "pool"), 0);
    pr_error(EIO, "the caller's old sentence");
    struct tally tally = {.fail_at = 17};
    assert_int_equal(pr_pool_each(pool, 2000, count_call, &tally), -ENOMEM);
    assert_string_equal(pr_error_message(), "window 17 is too large");
    /* The pool lives on. */
    struct tally again = {.fail_at = UINT64_MAX};
    assert_int_equal(pr_pool_each(pool, 2000, count_call, &again), 0);
    assert_int_equal(atomic_load(&again.total), 2000);
    pr_pool_close(pool);
}

static void each_skips_the_rest_after_a_failure(void **state)
{
    struct pr_pool *pool;
    struct tally tally = {.fail_at = 5};
    (void)state;
    assert_int_equal(pr_pool_open(&pool, 1, "pool"), 0);
    assert_int_equal(pr_pool_each(pool, 2000, count_call, &tally), -ENOMEM);
    assert_int_equal(atomic_load(&tally.total), 6);
    pr_pool_close(pool);
}

static int positive(void *arg, uint64_t i)
{
    (void)arg;
    return (int)i + 1;
}

static void a_positive_result_is_no_failure(void **state)
{
    struct pr_pool *pool;
    (void)state;
    assert_int_equal(pr_pool_open(&pool, 2, "pool"), 0);
    assert_int_equal(pr_pool_each(pool, 100, positive, NULL), 0);
    pr_pool_close(pool);
}

struct caller {
    struct pr_pool *pool;
    unsigned wrong;
};

static void call_each_often(void *opaque)
{
    struct caller *caller = opaque;
    for (unsigned round = 0; round < 300; round++) {
        struct tally tally = {.fail_at = round % 3 ? UINT64_MAX : 0};
        int err = pr_pool_each(caller->pool, 10, count_call, &tally);
        caller->wrong += err != (round % 3 ? 0 : -ENOMEM);
        caller->wrong += round % 3 && atomic_load(&tally.total) != 10;
    }
}

/* Several threads share a pool; each gets its own result. `struct each` lies on the caller's stack:
 * a job that outlives its call shows under a sanitizer. */
static void callers_do_not_disturb_each_other(void **state)
{
    struct caller callers[3] = {{0}};
    struct pr_thread *threads[3];
    struct pr_pool *pool;
    (void)state;
    assert_int_equal(pr_pool_open(&pool, 4, "pool"), 0);
    for (unsigned i = 0; i < 3; i++) {
        callers[i].pool = pool;
        assert_int_equal(pr_thread_spawn(&threads[i], "caller", call_each_often, &callers[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        pr_thread_join(threads[i]);
        assert_int_equal(callers[i].wrong, 0);
    }
    pr_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_runs_every_job_first),
        cmocka_unit_test(one_thread_keeps_the_order),
        cmocka_unit_test(no_threads_counts_as_one),
        cmocka_unit_test(null_is_closed),
        cmocka_unit_test(each_covers_every_index_once),
        cmocka_unit_test(each_returns_the_failure_with_its_sentence),
        cmocka_unit_test(each_skips_the_rest_after_a_failure),
        cmocka_unit_test(a_positive_result_is_no_failure),
        cmocka_unit_test(callers_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
