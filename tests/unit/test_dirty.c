/* SPDX-License-Identifier: BSD-2-Clause */
/* migrate/dirty.h: ranges, several threads, and what is handed over. */
#include "migrate/dirty.h"
#include "tests/unit/mock_destination.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define RANGE PR_DIRTY_RANGE_PAGES
#define MIB (UINT64_C(1) << 20)

/* A log: `found` of the first pages of each range are dirty. */
struct log {
    uint64_t found;
    int64_t fails; /* what the call for `fails_at` returns */
    uint64_t fails_at;
    _Atomic unsigned calls;
    _Atomic uint64_t pages; /* asked for */
    uint64_t seen[64];      /* first pages, by call */
};

static int64_t sync_log(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                        uint64_t *bits)
{
    struct log *log = opaque;
    unsigned call = atomic_fetch_add(&log->calls, 1);
    if (call < COUNT_OF(log->seen))
        log->seen[call] = (uint64_t)region << 48 | first_page;
    atomic_fetch_add(&log->pages, pages);
    if (log->fails && first_page == log->fails_at)
        return log->fails;
    uint64_t found = log->found < pages ? log->found : pages;
    for (uint64_t i = 0; i < found; i++)
        bits[i / 64] |= UINT64_C(1) << (i % 64);
    return (int64_t)found;
}

static const struct pagerail_vmm_ops ops = {.size = sizeof(ops), .dirty_sync = sync_log};

struct under_test {
    struct log log;
    struct pagerail_vmm vmm;
    struct pr_pool *pool;
    struct pr_dirty dirty;
};

static void open_dirty(struct under_test *t, const struct pagerail_region *regions, uint32_t count)
{
    memset(t, 0, sizeof(*t));
    t->vmm = (struct pagerail_vmm){&ops, &t->log, regions, count};
    assert_int_equal(pr_pool_open(&t->pool, 4, "sync"), 0);
    assert_int_equal(pr_dirty_open(&t->dirty, &t->vmm, &ops), 0);
}

static void close_dirty(struct under_test *t)
{
    pr_dirty_close(&t->dirty);
    pr_dirty_close(&t->dirty);
    pr_pool_close(t->pool);
}

static void regions_are_cut_into_ranges(void **state)
{
    (void)state;
    static const struct pagerail_region regions[] = {
        {"a", (void *)0x1000, 4096, 4096, 0},
        {"b", (void *)0x1000, RANGE * 4096, 4096, 0},
        {"c", (void *)0x1000, (2 * RANGE + 5) * 4096, 4096, 0},
        {"d", (void *)0x1000, (RANGE + 1) * 2 * MIB, 2 * MIB, 0},
        {"e", (void *)0x1000, UINT64_C(3) << 30, UINT64_C(1) << 30, 0},
    };
    static const struct {
        uint32_t region;
        uint64_t first, pages;
    } wanted[] = {
        {0, 0, 1},         {1, 0, RANGE}, {2, 0, RANGE}, {2, RANGE, RANGE},
        {2, 2 * RANGE, 5}, {3, 0, RANGE}, {3, RANGE, 1}, {4, 0, 3},
    };
    struct under_test t;
    open_dirty(&t, regions, COUNT_OF(regions));
    assert_int_equal(t.dirty.range_count, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_int_equal(t.dirty.ranges[i].region, wanted[i].region);
        assert_int_equal(t.dirty.ranges[i].first_page, wanted[i].first);
        assert_int_equal(t.dirty.ranges[i].pages, wanted[i].pages);
    }
    assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), 0);
    assert_int_equal(t.log.calls, COUNT_OF(wanted));
    assert_int_equal(t.log.pages, 1 + RANGE + 2 * RANGE + 5 + RANGE + 1 + 3);
    assert_int_equal(t.dirty.bytes, 0);
    close_dirty(&t);
}

/* Every range once, by whichever thread; bytes are pages of the region's own size. */
static void what_is_found_is_summed_up(void **state)
{
    (void)state;
    static const struct pagerail_region regions[] = {
        {"a", (void *)0x1000, 40 * RANGE * 4096, 4096, 0},
        {"b", (void *)0x1000, 10 * 2 * MIB, 2 * MIB, 0},
    };
    struct under_test t;
    open_dirty(&t, regions, COUNT_OF(regions));
    t.log.found = 3;
    assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), 0);
    assert_int_equal(t.log.calls, 41);
    for (unsigned i = 0; i < 41; i++) {
        for (unsigned j = i + 1; j < 41; j++)
            assert_int_not_equal(t.log.seen[i], t.log.seen[j]);
    }
    assert_int_equal(t.dirty.bytes, 40 * 3 * 4096 + 3 * 2 * MIB);
    assert_int_equal(pr_bitmap_count(&t.dirty.bitmaps[0], 0, 40 * RANGE), 120);
    assert_true(pr_bitmap_test(&t.dirty.bitmaps[0], 39 * RANGE + 2));
    /* The same pages again, not pushed in between: an upper bound, and never more than there are.
     */
    assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), 0);
    assert_int_equal(t.dirty.bytes, 40 * 6 * 4096 + 6 * 2 * MIB);
    t.log.found = UINT64_MAX;
    assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), 0);
    assert_int_equal(t.dirty.bytes, 40 * RANGE * 4096 + 10 * 2 * MIB);
    close_dirty(&t);
}

static void a_log_that_fails_or_lies_is_an_error(void **state)
{
    (void)state;
    static const struct {
        int64_t fails;
        int err;
        const char *words;
    } rows[] = {
        {-ENOSPC, -ENOSPC, "the VMM's dirty_sync callback failed: No space left on device"},
        {-(INT64_C(1) << 32), -EIO, "dirty_sync"},
        {INT64_MIN, -EIO, "dirty_sync"},
        {(int64_t)RANGE + 1, -EINVAL, "more pages than it was asked for"},
    };
    static const struct pagerail_region region = {"a", (void *)0x1000, 8 * RANGE * 4096, 4096, 0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct under_test t;
        open_dirty(&t, &region, 1);
        t.log.fails = rows[i].fails;
        t.log.fails_at = 2 * RANGE;
        assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), rows[i].err);
        assert_non_null(strstr(pr_error_message(), rows[i].words));
        close_dirty(&t);
    }
}

/* Only ranges that have any are handed over, and the bytes left go down as they are. */
static void found_pages_are_handed_over_once(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    assert_int_equal(mock_destination_connect(&d, NULL), 0);
    const struct pagerail_region region = {"ram", d.memory, MOCK_REGION_BYTES, 4096, 0};
    struct under_test t;
    open_dirty(&t, &region, 1);
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        t.log.found = epoch == 2 ? 0 : 5;
        assert_int_equal(pr_dirty_sync(&t.dirty, t.pool), 0);
        assert_int_equal(t.dirty.bytes, t.log.found * 4096);
        assert_int_equal(pr_dirty_push(&t.dirty, 0, d.source), 0);
        assert_int_equal(t.dirty.bytes, 0);
        assert_int_equal(pagerail_source_epoch_end(d.source, NULL), 0);
        assert_int_equal(pagerail_source_epoch_wait(d.source, epoch, 10000), 0);
        assert_int_equal(pr_bitmap_count(&t.dirty.bitmaps[0], 0, 256), 0);
    }
    struct pagerail_stats stats;
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.bytes_sent, 10 * 4096);
    mock_destination_close(&d);
    close_dirty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_cut_into_ranges),
        cmocka_unit_test(what_is_found_is_summed_up),
        cmocka_unit_test(a_log_that_fails_or_lies_is_an_error),
        cmocka_unit_test(found_pages_are_handed_over_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
