/* SPDX-License-Identifier: BSD-2-Clause */
/* Registrations and keys: what was not granted cannot be reached, and nothing once it is withdrawn
 * or the lane is shut. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB (1u << 20)
#define ALL (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

struct scene {
    struct ends ends;
    struct window local;
    struct window remote;
};

static void scene_open(struct scene *scene, unsigned access)
{
    ends_open(&scene->ends);
    window_open(&scene->local, scene->ends.source, MIB, PR_ACCESS_LOCAL_WRITE);
    window_open(&scene->remote, scene->ends.destination, MIB, access);
    memset(scene->local.bytes, 0xa5, MIB);
}

static void scene_close(struct scene *scene)
{
    window_close(&scene->local);
    window_close(&scene->remote);
    ends_close(&scene->ends);
}

static void assert_untouched(const struct window *window)
{
    for (uint64_t i = 0; i < window->len; i++)
        if (window->bytes[i])
            fail_msg("byte %llu was written", (unsigned long long)i);
}

/* Writes with this key at this address; the lane must fail, with a sentence, at both ends. */
static void assert_write_fails(struct scene *scene, struct pr_key key, uint64_t remote)
{
    struct pr_rma rma = window_rma(&scene->local, &scene->remote, 0, 4096, 1);
    rma.key = &key;
    rma.remote = remote;
    assert_ok(pr_lane_post_write(scene->ends.from, &rma));
    pr_lane_flush(scene->ends.from);
    int err = lane_until_failed(scene->ends.from);
    assert_true(err < 0 && err != -ETIMEDOUT);
    assert_true(pr_error_message()[0]);
    assert_true(pr_lane_post_write(scene->ends.from, &rma) < 0);
    assert_true(pr_lane_flush(scene->ends.from) < 0);
    assert_int_equal(lane_until_failed(scene->ends.from), err);
    assert_true(lane_until_failed(scene->ends.to) < 0);
}

static void withdrawn_key_fails(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, ALL);
    struct pr_key key = scene.remote.mr->key;
    pr_fabric_dereg(scene.remote.mr);
    scene.remote.mr = NULL;
    struct pr_mr stand_in = {.key = key};
    scene.remote.mr = &stand_in;
    assert_write_fails(&scene, key, key.addr);
    scene.remote.mr = NULL;
    assert_untouched(&scene.remote);
    scene_close(&scene);
}

static void key_works_until_it_is_withdrawn(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, ALL);
    struct pr_key key = scene.remote.mr->key;
    struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, 4096, 1);
    assert_ok(pr_lane_post_write(scene.ends.from, &rma));
    assert_ok(pr_lane_flush(scene.ends.from));
    lane_expect(scene.ends.from, PR_OP_WRITE);
    pr_fabric_dereg(scene.remote.mr);
    /* The same memory again: what the old key opened, it opens no more. */
    assert_ok(
        pr_fabric_reg(scene.ends.destination, scene.remote.bytes, MIB, ALL, &scene.remote.mr));
    memset(scene.remote.bytes, 0, MIB);
    assert_write_fails(&scene, key, key.addr);
    assert_untouched(&scene.remote);
    scene_close(&scene);
}

static void invented_keys_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct scene scene;
        scene_open(&scene, ALL);
        struct pr_key key = scene.remote.mr->key;
        if (i == 0)
            key.rkey = 0;
        else if (i == 1)
            key.rkey = ~key.rkey;
        else if (i < 9)
            key.rkey ^= UINT64_C(1) << harness_random() % 32;
        else
            key.rkey = (uint32_t)harness_random();
        if (key.rkey != scene.remote.mr->key.rkey)
            assert_write_fails(&scene, key, key.addr);
        assert_untouched(&scene.remote);
        scene_close(&scene);
    }
}

/* A peer that lies about the window's place to its own library gets no further than the owner says.
 */
static void a_key_opens_its_own_window_only(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct scene scene;
        struct window other;
        scene_open(&scene, ALL);
        window_open(&other, scene.ends.destination, MIB, ALL);
        struct pr_key key = scene.remote.mr->key;
        uint64_t at = i == 0 ? other.mr->key.addr : i == 1 ? key.addr - 1 : key.addr + MIB - 4095;
        struct pr_key lie = {.addr = at, .len = 4096, .rkey = key.rkey};
        assert_write_fails(&scene, lie, at);
        assert_untouched(&other);
        assert_untouched(&scene.remote);
        window_close(&other);
        scene_close(&scene);
    }
}

static void writes_need_remote_write(void **state)
{
    (void)state;
    unsigned access[] = {PR_ACCESS_LOCAL_READ, PR_ACCESS_LOCAL_WRITE,
                         PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_READ};
    for (unsigned i = 0; i < 3; i++) {
        struct scene scene;
        scene_open(&scene, access[i]);
        assert_write_fails(&scene, scene.remote.mr->key, scene.remote.mr->key.addr);
        assert_untouched(&scene.remote);
        scene_close(&scene);
    }
}

static void reads_need_remote_read(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE);
    memset(scene.remote.bytes, 0x11, MIB);
    struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, 4096, 1);
    assert_ok(pr_lane_post_read(scene.ends.from, &rma));
    pr_lane_flush(scene.ends.from);
    assert_true(lane_until_failed(scene.ends.from) < 0);
    assert_int_equal(scene.local.bytes[0], 0xa5);
    scene_close(&scene);
}

static void a_failure_stops_the_chain_where_it_is(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_completion c;
    scene_open(&scene, ALL);
    for (unsigned i = 0; i < 10; i++) {
        struct pr_key key = scene.remote.mr->key;
        struct pr_rma rma = window_rma(&scene.local, &scene.remote, 8192 * i, 4096, i);
        rma.key = &key;
        key.rkey ^= i == 6 ? 1u << 30 : 0;
        assert_ok(pr_lane_post_write(scene.ends.from, &rma));
    }
    assert_ok(pr_lane_post_send(scene.ends.from, "late", 4, 10, true));
    pr_lane_flush(scene.ends.from);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(lane_expect(scene.ends.from, PR_OP_WRITE).tag, i);
    assert_true(lane_next(scene.ends.from, &c) < 0);
    assert_true(lane_next(scene.ends.to, &c) < 0); /* the message after it never came */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(scene.remote.bytes[8192 * i], i < 6 ? 0xa5 : 0);
    scene_close(&scene);
}

static void every_lane_may_use_a_key(void **state)
{
    (void)state;
    struct scene scene;
    struct pr_lane *from, *to;
    scene_open(&scene, ALL);
    ends_connect(&scene.ends, &from, &to);
    struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, 4096, 1);
    assert_ok(pr_lane_post_write(from, &rma));
    assert_ok(pr_lane_flush(from));
    lane_expect(from, PR_OP_WRITE);
    /* And the accepting end may post as well. */
    struct window mine, theirs;
    window_open(&mine, scene.ends.destination, MIB, PR_ACCESS_LOCAL_READ);
    window_open(&theirs, scene.ends.source, MIB, ALL);
    mine.bytes[0] = 0x77;
    rma = window_rma(&mine, &theirs, 0, 4096, 2);
    assert_ok(pr_lane_post_write(to, &rma));
    assert_ok(pr_lane_flush(to));
    lane_expect(to, PR_OP_WRITE);
    assert_int_equal(theirs.bytes[0], 0x77);
    window_close(&mine);
    window_close(&theirs);
    pr_lane_close(from);
    pr_lane_close(to);
    scene_close(&scene);
}

static int compare_rkeys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void many_windows(void **state)
{
    (void)state;
    enum { WINDOWS = 2000, BYTES = 4096 };
    struct scene scene;
    scene_open(&scene, ALL);
    struct pr_mr **mrs = calloc(WINDOWS, sizeof(struct pr_mr *));
    uint64_t *rkeys = calloc(WINDOWS, sizeof(*rkeys));
    uint8_t *memory =
        mmap(NULL, WINDOWS * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    for (unsigned i = 0; i < WINDOWS; i++) {
        assert_ok(pr_fabric_reg(scene.ends.destination, memory + i * BYTES, BYTES, ALL, &mrs[i]));
        rkeys[i] = mrs[i]->key.rkey;
    }
    qsort(rkeys, WINDOWS, sizeof(*rkeys), compare_rkeys);
    for (unsigned i = 1; i < WINDOWS; i++)
        assert_true(rkeys[i] != rkeys[i - 1]);
    for (unsigned i = 0; i < harness_times(300); i++) {
        unsigned w = (unsigned)(harness_random() % WINDOWS);
        struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, BYTES, w);
        rma.key = &mrs[w]->key;
        rma.remote = mrs[w]->key.addr;
        assert_ok(pr_lane_post_write(scene.ends.from, &rma));
        assert_ok(pr_lane_flush(scene.ends.from));
        assert_int_equal(lane_expect(scene.ends.from, PR_OP_WRITE).tag, w);
        assert_int_equal(memory[w * BYTES + BYTES - 1], 0xa5);
    }
    for (unsigned i = 0; i < WINDOWS; i++)
        pr_fabric_dereg(mrs[i]);
    munmap(memory, WINDOWS * BYTES);
    free(mrs);
    free(rkeys);
    scene_close(&scene);
}

static void bad_registrations_are_refused(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_mr *mr = NULL;
    uint8_t *memory =
        mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    munmap(memory + 4096, 4096);
    assert_int_equal(pr_fabric_reg(fabric, memory, 0, ALL, &mr), -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, memory, 4096, 1u << 20, &mr), -EINVAL);
    assert_int_equal(pr_fabric_reg(fabric, memory, 4 * 4096, ALL, &mr), -EFAULT);
    assert_int_equal(pr_fabric_reg(fabric, memory + 4096, 4096, ALL, &mr), -EFAULT);
    assert_null(mr);
    assert_ok(pr_fabric_reg(fabric, memory + 100, 3, ALL, &mr)); /* any alignment */
    pr_fabric_dereg(mr);
    pr_fabric_dereg(NULL);
    munmap(memory, 4096);
    munmap(memory + 2 * 4096, 2 * 4096);
    pr_fabric_close(fabric);
}

/* Far more than a test lets it have, so that a lane that never fails does not hang it. */
#define MAX_HAMMER_ROUNDS 4000

/* Writes to the window without pause until its lane fails. */
struct hammer {
    struct pr_thread *thread;
    struct pr_lane *lane;
    struct pr_rma rma;
    struct pr_key key;
    _Atomic unsigned written;
    int err;
};

static void hammer_main(void *opaque)
{
    struct hammer *h = opaque;
    for (unsigned round = 0; round < MAX_HAMMER_ROUNDS && !h->err; round++) {
        struct pr_completion c[8];
        for (unsigned i = 0; i < 8 && !h->err; i++) {
            h->rma.signaled = i == 7;
            h->rma.key = &h->key;
            h->err = pr_lane_post_write(h->lane, &h->rma);
        }
        if (!h->err)
            h->err = pr_lane_flush(h->lane);
        int count = 0;
        while (!h->err && !count) {
            count = pr_lane_poll(h->lane, c, 8);
            h->err = count < 0 ? count : 0;
        }
        atomic_fetch_add(&h->written, 1);
    }
}

static void hammer_start(struct hammer *hammer, struct scene *scene)
{
    scene_open(scene, ALL);
    *hammer = (struct hammer){.lane = scene->ends.from,
                              .rma = window_rma(&scene->local, &scene->remote, 0, MIB, 1),
                              .key = scene->remote.mr->key};
    assert_ok(pr_thread_spawn(&hammer->thread, "hammer", hammer_main, hammer));
}

static void hammer_fails(struct hammer *hammer)
{
    pr_thread_join(hammer->thread);
    assert_true(hammer->err < 0);
}

/* The owner uses its memory again. The end first: a transfer under way would reach it last. */
static void use_again(const struct window *window)
{
    memset(window->bytes + MIB - 4096, 0, 4096);
    memset(window->bytes, 0, MIB - 4096);
}

/* Until it has written a few times, and then to anywhere in the transfers under way. */
static void await_writes(struct hammer *hammer, unsigned round)
{
    while (atomic_load(&hammer->written) < 1 + round % 5)
        ;
    for (uint64_t end = pr_now_ns() + harness_random() % 3000000; pr_now_ns() < end;)
        ;
}

/* The moment a deregistration returns, the memory is the owner's alone. */
static void nothing_lands_after_dereg(void **state)
{
    (void)state;
    for (unsigned round = 0; round < harness_times(25); round++) {
        struct scene scene;
        struct hammer hammer;
        hammer_start(&hammer, &scene);
        await_writes(&hammer, round);
        pr_fabric_dereg(scene.remote.mr);
        scene.remote.mr = NULL;
        use_again(&scene.remote);
        hammer_fails(&hammer);
        assert_untouched(&scene.remote);
        scene_close(&scene);
    }
}

/* Nor by a lane that was shut, though the key is good. */
static void nothing_lands_after_shut(void **state)
{
    (void)state;
    for (unsigned round = 0; round < harness_times(25); round++) {
        struct scene scene;
        struct hammer hammer;
        hammer_start(&hammer, &scene);
        await_writes(&hammer, round);
        pr_lane_shut(scene.ends.to);
        use_again(&scene.remote);
        pr_sleep_ms(2);
        assert_untouched(&scene.remote);
        pr_lane_close(scene.ends.to);
        scene.ends.to = NULL;
        hammer_fails(&hammer);
        assert_untouched(&scene.remote);
        scene_close(&scene);
    }
}

static void dereg_of_another_window_disturbs_nobody(void **state)
{
    (void)state;
    struct scene scene;
    struct hammer hammer;
    hammer_start(&hammer, &scene);
    for (unsigned i = 0; i < 200; i++) {
        struct window other;
        window_open(&other, scene.ends.destination, 65536, ALL);
        window_close(&other);
    }
    unsigned written = atomic_load(&hammer.written);
    while (atomic_load(&hammer.written) <= written + 2)
        ; /* it still writes */
    pr_lane_close(scene.ends.to);
    scene.ends.to = NULL;
    hammer_fails(&hammer);
    scene_close(&scene);
}

/* Registers and gives back, over and over, keeping a few. */
struct registrar {
    struct pr_fabric *fabric;
    uint8_t *bytes;
    int err;
};

static void registrar_main(void *opaque)
{
    struct registrar *r = opaque;
    struct pr_mr *kept[8] = {0};
    for (unsigned i = 0; i < harness_times(2000) && !r->err; i++) {
        pr_fabric_dereg(kept[i % 8]);
        kept[i % 8] = NULL;
        r->err = pr_fabric_reg(r->fabric, r->bytes + i % 16 * 256, 256, ALL, &kept[i % 8]);
    }
    for (unsigned i = 0; i < 8; i++)
        pr_fabric_dereg(kept[i]);
}

static void any_thread_may_register(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    struct scene scene;
    struct registrar registrars[THREADS];
    struct pr_thread *threads[THREADS];
    scene_open(&scene, ALL);
    for (unsigned i = 0; i < THREADS; i++) {
        registrars[i] = (struct registrar){.fabric = scene.ends.destination,
                                           .bytes = scene.remote.bytes + i * 65536};
        assert_ok(pr_thread_spawn(&threads[i], "register", registrar_main, &registrars[i]));
    }
    for (unsigned i = 0; i < harness_times(500); i++) {
        struct pr_rma rma = window_rma(&scene.local, &scene.remote, 0, 4096, i);
        assert_ok(pr_lane_post_write(scene.ends.from, &rma));
        assert_ok(pr_lane_flush(scene.ends.from));
        assert_int_equal(lane_expect(scene.ends.from, PR_OP_WRITE).tag, i);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pr_thread_join(threads[i]);
        assert_ok(registrars[i].err);
    }
    scene_close(&scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(withdrawn_key_fails),
        cmocka_unit_test(key_works_until_it_is_withdrawn),
        cmocka_unit_test(invented_keys_fail),
        cmocka_unit_test(a_key_opens_its_own_window_only),
        cmocka_unit_test(writes_need_remote_write),
        cmocka_unit_test(reads_need_remote_read),
        cmocka_unit_test(a_failure_stops_the_chain_where_it_is),
        cmocka_unit_test(every_lane_may_use_a_key),
        cmocka_unit_test(many_windows),
        cmocka_unit_test(bad_registrations_are_refused),
        cmocka_unit_test(any_thread_may_register),
        cmocka_unit_test(nothing_lands_after_dereg),
        cmocka_unit_test(nothing_lands_after_shut),
        cmocka_unit_test(dereg_of_another_window_disturbs_nobody),
    };
    return harness_main(argc, argv, "keys", tests, sizeof(tests) / sizeof(tests[0]));
}
