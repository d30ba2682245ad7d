/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No write is ever lost: threads write at random while other threads sync and copy what was found,
 * as a migration does; once the writers have stopped and a last sync was copied, the copy must be
 * equal to the memory. Both trackers, where the kernel has them.
 */
#include "base/error.h"
#include "cli/tracker_ops.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define PAGES 8192u
#define WRITERS 3u
#define SYNCERS 2u
#define BITS_WORDS (PAGES / 64)

static struct seeded rng;
static enum pr_tracker_kind kind;

/* Writers hold it for reading around each write, the gate and the standstill for writing. */
static pthread_rwlock_t barrier;
static _Atomic uint64_t standstill;

static struct {
    uint8_t *memory;
    struct pr_tracker *dirty;
    _Atomic bool stop;
    _Atomic uint64_t writes;
    uint64_t copy[PAGES]; /* each page's first word, as copied after the sync that reported it */
    uint64_t found;
} rig;

static void gate_close(void *opaque)
{
    (void)opaque;
    pthread_rwlock_wrlock(&barrier);
}

static void gate_open(void *opaque)
{
    (void)opaque;
    pthread_rwlock_unlock(&barrier);
}

static uint64_t gate_standstill(void *opaque)
{
    (void)opaque;
    return standstill;
}

static _Atomic uint64_t *word_of(uint64_t page)
{
    return (_Atomic uint64_t *)(void *)(rig.memory + page * PAGE);
}

static bool setup(void)
{
    static const struct pr_tracker_gate gate = {NULL, gate_close, gate_open, gate_standstill};
    memset(&rig, 0, sizeof(rig));
    standstill = 0;
    rig.memory =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(rig.memory, MAP_FAILED);
    madvise(rig.memory, PAGES * PAGE, MADV_NOHUGEPAGE); /* else soft-dirty speaks of 2 MiB */
    struct pr_tracker_range range = {rig.memory, PAGES * PAGE, PAGE};
    int err = pr_tracker_open(&rig.dirty, kind, &range, &gate);
    if (!err)
        return true;
    assert_int_equal(err, -ENOTSUP);
    munmap(rig.memory, PAGES * PAGE);
    return false;
}

static void teardown(void)
{
    pr_tracker_close(rig.dirty);
    munmap(rig.memory, PAGES * PAGE);
}

static void test_reports_exactly_what_was_written(void **state)
{
    (void)state;
    assert_true(setup());
    for (uint64_t page = 0; page < PAGES; page += 3) /* some populated before the start */
        *word_of(page) = 1;
    assert_int_equal(pr_tracker_start(rig.dirty), 0);
    for (unsigned round = 0; round < 20; round++) {
        uint64_t expected[BITS_WORDS] = {0}, bits[BITS_WORDS] = {0};
        int64_t count = 0;
        for (unsigned i = 0; i < 500; i++) {
            uint64_t page = seeded_below(&rng, PAGES);
            *word_of(page) = round + 2;
            count += !(expected[page / 64] >> page % 64 & 1);
            expected[page / 64] |= 1ull << page % 64;
        }
        standstill++; /* the writer, this thread, stands still now */
        assert_int_equal(pr_tracker_sync(rig.dirty, 0, PAGES, bits), count);
        assert_memory_equal(bits, expected, sizeof(bits));
        memset(bits, 0, sizeof(bits));
        assert_int_equal(pr_tracker_sync(rig.dirty, 0, PAGES, bits), 0);
    }
    teardown();
}

static void test_a_part_leaves_the_rest(void **state)
{
    (void)state;
    assert_true(setup());
    assert_int_equal(pr_tracker_start(rig.dirty), 0);
    *word_of(64) = *word_of(127) = *word_of(63) = *word_of(128) = 1;
    uint64_t bits[BITS_WORDS] = {0};
    standstill++;
    assert_int_equal(pr_tracker_sync(rig.dirty, 64, 64, bits), 2);
    assert_int_equal(bits[0], 1ull << 63 | 1);
    assert_int_equal(bits[1], 0);
    assert_int_equal(pr_tracker_sync(rig.dirty, 0, PAGES, bits), 2);
    assert_int_equal(bits[0] >> 63, 1);
    assert_int_equal(bits[2], 1);
    teardown();
}

static void test_bits_are_ored(void **state)
{
    (void)state;
    assert_true(setup());
    assert_int_equal(pr_tracker_start(rig.dirty), 0);
    *word_of(3) = 1;
    standstill++;
    uint64_t bits[1] = {1ull << 40};
    assert_int_equal(pr_tracker_sync(rig.dirty, 0, 64, bits), 1);
    assert_int_equal(bits[0], 1ull << 40 | 1ull << 3);
    teardown();
}

/* A page written before the start and not after is clean; and a second start begins anew. */
static void test_start_and_stop(void **state)
{
    (void)state;
    assert_true(setup());
    uint64_t bits[BITS_WORDS] = {0};
    for (unsigned i = 0; i < 3; i++) {
        *word_of(10) = i + 1;
        assert_int_equal(pr_tracker_start(rig.dirty), 0);
        standstill++;
        assert_int_equal(pr_tracker_sync(rig.dirty, 0, PAGES, bits), 0);
        pr_tracker_stop(rig.dirty);
        *word_of(11) = i + 1;
    }
    assert_int_equal(*word_of(10), 3);
    teardown();
}

static void *write_at_random(void *arg)
{
    struct seeded own = {(uintptr_t)arg};
    while (!rig.stop) {
        pthread_rwlock_rdlock(&barrier);
        for (unsigned i = 0; i < 20; i++) {
            uint64_t page = seeded_below(&own, PAGES);
            atomic_fetch_add(word_of(page), 1);
        }
        pthread_rwlock_unlock(&barrier);
        rig.writes += 20;
    }
    return NULL;
}

static uint64_t sync_and_copy(uint64_t first, uint64_t pages)
{
    uint64_t bits[BITS_WORDS] = {0};
    int64_t found = pr_tracker_sync(rig.dirty, first, pages, bits);
    assert_true(found >= 0);
    uint64_t copied = 0;
    for (uint64_t i = 0; i < pages; i++) {
        if (bits[i / 64] >> i % 64 & 1) {
            rig.copy[first + i] = *word_of(first + i);
            copied++;
        }
    }
    assert_int_equal(copied, found);
    return copied;
}

/* Each syncer has its part, and takes it in pieces of changing sizes. */
static void *sync_a_part(void *arg)
{
    uint64_t index = (uintptr_t)arg;
    struct seeded own = {index + 1000};
    uint64_t first = index * (PAGES / SYNCERS), end = first + PAGES / SYNCERS;
    for (unsigned round = 0; round < 30 || rig.writes < 8 * PAGES; round++) {
        for (uint64_t at = first; at < end;) {
            uint64_t pages = 64 * (1 + seeded_below(&own, 20));
            pages = pages > end - at ? end - at : pages;
            sync_and_copy(at, pages);
            at += pages;
        }
    }
    return NULL;
}

static void start_all(pthread_t *threads, unsigned count, void *(*fn)(void *), uint64_t seed)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(uintptr_t)(seed + i)), 0);
}

static void join_all(pthread_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void test_no_write_is_lost(void **state)
{
    (void)state;
    assert_true(setup());
    pthread_t writers[WRITERS], syncers[SYNCERS];
    assert_int_equal(pr_tracker_start(rig.dirty), 0);
    start_all(writers, WRITERS, write_at_random, seeded_next(&rng) >> 1);
    start_all(syncers, SYNCERS, sync_a_part, 0);
    join_all(syncers, SYNCERS);
    rig.stop = true;
    join_all(writers, WRITERS);
    standstill++;
    sync_and_copy(0, PAGES);
    printf("# %s: %" PRIu64 " writes\n", pr_tracker_kind_name(kind), rig.writes);
    for (uint64_t page = 0; page < PAGES; page++) {
        if (rig.copy[page] != *word_of(page))
            fail_msg("page %" PRIu64 ": the copy has write %" PRIu64 " of %" PRIu64, page,
                     rig.copy[page], *word_of(page));
    }
    teardown();
}

static void test_set_bits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t bits[8], expected[8];
        uint64_t first = seeded_below(&rng, 512), count = seeded_below(&rng, 513 - first);
        for (unsigned w = 0; w < 8; w++)
            bits[w] = expected[w] = seeded_next(&rng);
        for (uint64_t b = first; b < first + count; b++)
            expected[b / 64] |= 1ull << b % 64;
        pr_tracker_set_bits(bits, first, count);
        assert_memory_equal(bits, expected, sizeof(bits));
    }
}

static void test_auto_takes_what_works_or_says_why_not(void **state)
{
    (void)state;
    kind = PR_TRACKER_AUTO;
    if (setup()) {
        assert_non_null(pr_tracker_describe(rig.dirty));
        teardown();
    } else {
        assert_non_null(strstr(pr_error_message(), "no dirty tracking"));
    }
}

static int run_all(enum pr_tracker_kind which)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports_exactly_what_was_written),
        cmocka_unit_test(test_a_part_leaves_the_rest),
        cmocka_unit_test(test_bits_are_ored),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_no_write_is_lost),
    };
    kind = which;
    if (!setup()) {
        printf("skip: %s: %s\n", pr_tracker_kind_name(which), pr_error_message());
        return 0;
    }
    teardown();
    return cmocka_run_group_tests_name(pr_tracker_kind_name(which), tests, NULL, NULL);
}

int main(void)
{
    rng = seeded_start();
    /* The gate must not starve behind the writers. */
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&barrier, &attr);
    const struct CMUnitTest common[] = {
        cmocka_unit_test(test_set_bits),
        cmocka_unit_test(test_auto_takes_what_works_or_says_why_not),
    };
    int failed = cmocka_run_group_tests_name("common", common, NULL, NULL);
    failed += run_all(PR_TRACKER_UFFD);
    failed += run_all(PR_TRACKER_SOFTDIRTY);
    return failed;
}
