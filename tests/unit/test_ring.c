/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/ring.h"

#include "tests/unit/check.h"

#include <pthread.h>
#include <sched.h>

static uint32_t front(struct pr_ring *ring)
{
    const uint32_t *item = pr_ring_front(ring);
    assert_non_null(item);
    return *item;
}

static void holds_all_its_slots_in_order(void **state)
{
    struct pr_ring ring;
    (void)state;
    assert_int_equal(pr_ring_open(&ring, 4, sizeof(uint32_t)), 0);
    assert_null(pr_ring_front(&ring));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pr_ring_count(&ring), i);
        assert_true(pr_ring_push(&ring, &i));
    }
    uint32_t fifth = 99;
    assert_false(pr_ring_push(&ring, &fifth));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(front(&ring), i);
        assert_int_equal(front(&ring), i); /* it stays until dropped */
        pr_ring_drop(&ring);
    }
    assert_null(pr_ring_front(&ring));
    assert_int_equal(pr_ring_count(&ring), 0);
    pr_ring_close(&ring);
}

static void one_slot_is_enough(void **state)
{
    struct pr_ring ring;
    (void)state;
    assert_int_equal(pr_ring_open(&ring, 1, sizeof(uint32_t)), 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(pr_ring_push(&ring, &i));
        assert_false(pr_ring_push(&ring, &i));
        assert_int_equal(front(&ring), i);
        pr_ring_drop(&ring);
        assert_null(pr_ring_front(&ring));
    }
    pr_ring_close(&ring);
}

/* The indices run through 2^32 in a long migration. */
static void indices_wrap(void **state)
{
    struct pr_ring ring;
    (void)state;
    assert_int_equal(pr_ring_open(&ring, 4, sizeof(uint32_t)), 0);
    atomic_store(&ring.head, UINT32_MAX - 1);
    atomic_store(&ring.tail, UINT32_MAX - 1);
    ring.head_seen = ring.tail_seen = UINT32_MAX - 1;
    for (uint32_t i = 0; i < 4; i++)
        assert_true(pr_ring_push(&ring, &i));
    uint32_t fifth = 99;
    assert_false(pr_ring_push(&ring, &fifth));
    assert_int_equal(pr_ring_count(&ring), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(front(&ring), i);
        pr_ring_drop(&ring);
    }
    assert_null(pr_ring_front(&ring));
    pr_ring_close(&ring);
}

static void items_of_any_size_are_copied_whole(void **state)
{
    struct pr_ring ring;
    struct odd {
        char text[7];
    } item = {"abcdef"};
    (void)state;
    assert_int_equal(pr_ring_open(&ring, 2, sizeof(item)), 0);
    assert_true(pr_ring_push(&ring, &item));
    item.text[0] = 'X'; /* the caller's again */
    assert_true(pr_ring_push(&ring, &item));
    assert_string_equal(pr_ring_front(&ring), "abcdef");
    pr_ring_drop(&ring);
    assert_string_equal(pr_ring_front(&ring), "Xbcdef");
    pr_ring_close(&ring);
}

/* Against a plain model, one thread, random pushes and drops. */
static void behaves_like_a_queue(void **state)
{
    struct draw draw = draw_open(3);
    struct pr_ring ring;
    uint32_t pushed = 0, dropped = 0;
    (void)state;
    assert_int_equal(pr_ring_open(&ring, 8, sizeof(uint32_t)), 0);
    for (unsigned step = 0; step < 100000; step++) {
        if (draw_below(&draw, 2)) {
            bool fits = pushed - dropped < 8;
            assert_int_equal(pr_ring_push(&ring, &pushed), fits);
            pushed += fits;
        } else if (pushed != dropped) {
            assert_int_equal(front(&ring), dropped);
            pr_ring_drop(&ring);
            dropped++;
        } else {
            assert_null(pr_ring_front(&ring));
        }
        assert_int_equal(pr_ring_count(&ring), pushed - dropped);
    }
    pr_ring_close(&ring);
}

#define STRESS_ITEMS 400000u

struct parcel {
    uint32_t number;
    uint32_t check[3]; /* derived from number: a torn or early read shows */
};

struct stress {
    struct pr_ring ring;
    uint32_t bad;
};

static struct parcel parcel(uint32_t number)
{
    return (struct parcel){number, {~number, number * 2654435761u, number ^ 0x5a5a5a5a}};
}

static void *produce(void *opaque)
{
    struct stress *stress = opaque;
    for (uint32_t i = 0; i < STRESS_ITEMS; i++) {
        struct parcel item = parcel(i);
        while (!pr_ring_push(&stress->ring, &item))
            sched_yield();
    }
    return NULL;
}

static void *consume(void *opaque)
{
    struct stress *stress = opaque;
    for (uint32_t i = 0; i < STRESS_ITEMS; i++) {
        const struct parcel *item;
        while (!(item = pr_ring_front(&stress->ring)))
            sched_yield();
        struct parcel expected = parcel(i);
        stress->bad += memcmp(item, &expected, sizeof(expected)) != 0;
        pr_ring_drop(&stress->ring);
    }
    return NULL;
}

static void two_threads_lose_and_tear_nothing(void **state)
{
    static const uint32_t depths[] = {1, 2, 64};
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(depths); i++) {
        struct stress stress = {.bad = 0};
        pthread_t producer, consumer;
        assert_int_equal(pr_ring_open(&stress.ring, depths[i], sizeof(struct parcel)), 0);
        assert_int_equal(pthread_create(&producer, NULL, produce, &stress), 0);
        assert_int_equal(pthread_create(&consumer, NULL, consume, &stress), 0);
        pthread_join(producer, NULL);
        pthread_join(consumer, NULL);
        assert_int_equal(stress.bad, 0);
        assert_null(pr_ring_front(&stress.ring));
        pr_ring_close(&stress.ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_all_its_slots_in_order),
        cmocka_unit_test(one_slot_is_enough),
        cmocka_unit_test(indices_wrap),
        cmocka_unit_test(items_of_any_size_are_copied_whole),
        cmocka_unit_test(behaves_like_a_queue),
        cmocka_unit_test(two_threads_lose_and_tear_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
