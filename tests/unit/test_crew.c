/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workers together, in a session with a mock destination: what is handed over is written once,
 * whole and within its windows, and the figures tell exactly that. The size of a crew by table.
 */
#include "tests/unit/mock_destination.h"

#include "base/runtime.h"
#include "tests/unit/check.h"
#include "transport/crew.h"
#include "transport/source.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static void ok(int err)
{
    if (err)
        fail_msg("%d: %s", err, pagerail_error_message());
}

static void size_of_a_crew(void **state)
{
    (void)state;
    static const uint32_t rows[][3] = {
        {1, 1, 1}, {4, 2, 2}, {2, 4, 2}, {256, 896, 256}, {256, 1, 1}, {3, 0, 1}, {1, 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pr_crew_size(rows[i][0], rows[i][1]), rows[i][2]);
}

/* How often each page was written; no write may leave its window. */
static void count_pages(struct mock_destination *d, const uint8_t *memory, uint64_t window,
                        uint8_t *times, uint64_t pages)
{
    memset(times, 0, pages);
    pthread_mutex_lock(&d->fabric->lock);
    for (unsigned lane = 0; lane < MOCK_LANES; lane++) {
        for (uint32_t i = 0; d->data[lane] && i < d->data[lane]->posted; i++) {
            const struct mock_post *post = &d->data[lane]->posts[i];
            if (post->op != PR_OP_WRITE)
                continue;
            uint64_t at = (uint64_t)((uint8_t *)post->rma.local - memory);
            assert_true(at % PAGE == 0 && post->len % PAGE == 0 && post->len);
            assert_int_equal(at / window, (at + post->len - 1) / window);
            assert_int_equal(post->rma.remote - post->rma.key->addr, at % window);
            for (uint64_t p = at / PAGE; p < (at + post->len) / PAGE; p++)
                times[p]++;
        }
    }
    pthread_mutex_unlock(&d->fabric->lock);
}

static void a_pushed_range_is_written_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, len;
    } rows[] = {
        {0, MOCK_REGION_BYTES},           {0, PAGE},
        {MOCK_REGION_BYTES - PAGE, PAGE}, {15 * PAGE, 2 * PAGE} /* over a window's edge */,
        {3 * PAGE, 100 * PAGE},
    };
    uint8_t times[MOCK_REGION_BYTES / PAGE];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_destination d;
        struct pagerail_stats stats;
        mock_destination_open(&d);
        ok(mock_destination_connect(&d, NULL));
        ok(pagerail_source_push(d.source, 0, rows[i].offset, rows[i].len));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, 1, 10000));
        pagerail_source_stats(d.source, &stats);
        assert_int_equal(stats.bytes_sent, rows[i].len);
        assert_int_equal(stats.pages_sent, rows[i].len / PAGE);
        assert_int_equal(stats.pending_bytes, 0);
        count_pages(&d, d.memory, 64 * KIB, times, sizeof(times));
        for (uint64_t p = 0; p < sizeof(times); p++)
            assert_int_equal(times[p], p >= rows[i].offset / PAGE &&
                                           p < (rows[i].offset + rows[i].len) / PAGE);
        mock_destination_close(&d);
    }
}

static void ranges_that_are_none_are_refused(void **state)
{
    (void)state;
    struct mock_destination d;
    uint64_t bits[8] = {1};
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    assert_int_equal(pagerail_source_push(d.source, 1, 0, PAGE), -EINVAL);
    assert_int_equal(pagerail_source_push(d.source, 0, 0, 0), -EINVAL);
    assert_int_equal(pagerail_source_push(d.source, 0, 1, PAGE), -EINVAL);
    assert_int_equal(pagerail_source_push(d.source, 0, MOCK_REGION_BYTES, PAGE), -EINVAL);
    assert_int_equal(pagerail_source_push(d.source, 0, PAGE, UINT64_MAX - PAGE + 1), -EINVAL);
    assert_int_equal(pagerail_source_push_dirty(d.source, 0, PAGE, PAGE, bits, 1), -EINVAL);
    assert_int_equal(pagerail_source_push_dirty(d.source, 0, 0, PAGE, bits, 2), -EINVAL);
    assert_int_equal(pagerail_source_epoch_wait(d.source, 1, 0), -EINVAL);
    assert_int_equal(pagerail_source_epoch_wait(d.source, 0, 0), -EINVAL);
    assert_int_equal(bits[0], 1);
    ok(pagerail_source_push(d.source, 0, 0, PAGE)); /* nothing was changed */
    mock_destination_close(&d);
}

/* A source of one region with pages of that size; windows of 64 KiB, so smaller than those. */
static pagerail_source *connect_large(struct mock_destination *d, uint8_t *memory, uint64_t len,
                                      uint64_t page, uint32_t lanes)
{
    const struct pagerail_options options = {.size = sizeof(options),
                                             .lanes = lanes,
                                             .window_bytes = 64 * KIB,
                                             .silence_timeout_ms = 60000};
    const struct pagerail_region region = {"ram", memory, len, page, 0};
    ok(pagerail_source_new(&options, &d->source));
    ok(pagerail_source_connect(d->source, "mock:x", &region, 1));
    return d->source;
}

/* A bit of a large page is work for several workers, over many windows. */
static void pages_larger_than_windows_are_cut(void **state)
{
    (void)state;
    const uint64_t page = 2 * MIB, len = 6 * page;
    uint8_t *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static uint8_t times[6 * 512];
    struct mock_destination d;
    uint64_t bits = 0x12; /* pages 1 and 4 */
    assert_true(memory != MAP_FAILED);
    memset(memory, 7, len);
    mock_destination_open(&d);
    connect_large(&d, memory, len, page, MOCK_LANES);
    ok(pagerail_source_push_dirty(d.source, 0, 0, len, &bits, 2));
    ok(pagerail_source_epoch_end(d.source, NULL));
    ok(pagerail_source_epoch_wait(d.source, 1, 10000));
    assert_int_equal(bits, 0);
    count_pages(&d, memory, 64 * KIB, times, sizeof(times));
    for (uint64_t p = 0; p < sizeof(times); p++)
        assert_int_equal(times[p], p / 512 == 1 || p / 512 == 4);
    mock_destination_close(&d);
    munmap(memory, len);
}

/* A page of 1 GiB that is zero but for its ends. */
static void a_page_of_a_gibibyte(void **state)
{
    (void)state;
    const uint64_t page = 1024 * MIB;
    uint8_t *memory = mmap(NULL, page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct mock_destination d;
    struct pagerail_stats stats;
    uint64_t bits = 1;
    assert_true(memory != MAP_FAILED);
    memory[0] = memory[page - 1] = 1;
    mock_destination_open(&d);
    connect_large(&d, memory, page, page, MOCK_LANES);
    ok(pagerail_source_push_dirty(d.source, 0, 0, page, &bits, 1));
    ok(pagerail_source_epoch_end(d.source, NULL));
    ok(pagerail_source_epoch_wait(d.source, 1, 60000));
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.bytes_sent, 2 * PAGE);
    assert_int_equal(stats.zero_pages, page / PAGE - 2);
    assert_int_equal(stats.pending_bytes, 0);
    mock_destination_close(&d);
    munmap(memory, page);
}

/* A destination that is not zero is told of zero pages while the round goes on, all of them once.
 */
static void zero_pages_are_told_as_they_are_found(void **state)
{
    (void)state;
    const uint64_t len = 512 * MIB;
    uint8_t *memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct mock_destination d;
    uint64_t told = 0;
    assert_true(memory != MAP_FAILED);
    mock_destination_open(&d);
    d.accept_flags = 0;
    connect_large(&d, memory, len, PAGE, 1); /* one worker finds them one after the other */
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        ok(pagerail_source_push(d.source, 0, 0, len));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, epoch, 60000));
    }
    uint32_t messages = mock_messages(d.data[0], PR_WIRE_ZERO);
    for (uint32_t i = 0; i < messages; i++) {
        const void *body;
        struct pr_wire_zero zero;
        struct pr_wire_header header = mock_message(d.data[0], PR_WIRE_ZERO, i, &body);
        ok(pr_wire_zero_decode(&zero, body, header.body_len));
        assert_int_equal(zero.epoch, 1); /* in the second they are known to be zero */
        for (uint32_t r = 0; r < zero.count; r++)
            told += zero.range[r].len;
    }
    assert_int_equal(told, len);
    assert_true(messages >= 512 / 64);
    mock_destination_close(&d);
    munmap(memory, len);
}

/* Bitmaps begin in the middle of a chunk, with 64 pages for a word; each its own part. */
static void bitmaps_need_not_begin_with_a_chunk(void **state)
{
    (void)state;
    struct draw draw = draw_open(3);
    struct mock_destination d;
    uint8_t times[MOCK_REGION_BYTES / PAGE], wanted[MOCK_REGION_BYTES / PAGE] = {0};
    uint64_t bits[4];
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    for (unsigned part = 0; part < 4; part++) {
        uint64_t pages = part == 3 ? 63 : 64; /* the last range ends within a word */
        bits[part] = draw_u64(&draw) >> (64 - pages);
        for (unsigned i = 0; i < 64; i++)
            wanted[part * 64 + i] = bits[part] >> i & 1;
        ok(pagerail_source_push_dirty(d.source, 0, part * 64 * PAGE, pages * PAGE, &bits[part],
                                      (uint64_t)__builtin_popcountll(bits[part])));
    }
    ok(pagerail_source_epoch_end(d.source, NULL));
    ok(pagerail_source_epoch_wait(d.source, 1, 10000));
    count_pages(&d, d.memory, 64 * KIB, times, sizeof(times));
    assert_memory_equal(times, wanted, sizeof(times));
    mock_destination_close(&d);
}

/* dirty_pages may be too high: what is pending is right again after each epoch. */
static void pending_bytes_do_not_drift(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_stats stats;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        uint64_t bits = 0x7;
        ok(pagerail_source_push_dirty(d.source, 0, 0, 64 * PAGE, &bits, 60));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, epoch, 10000));
        pagerail_source_stats(d.source, &stats);
        assert_int_equal(stats.bytes_sent, epoch * 3 * PAGE);
        assert_int_equal(stats.pending_bytes, 0);
    }
    d.hold_completions = true;
    ok(pagerail_source_push(d.source, 0, 0, 5 * PAGE));
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.pending_bytes, 5 * PAGE);
    assert_int_equal(stats.bytes_sent, 9 * PAGE); /* counted when it completes */
    mock_destination_close(&d);
}

/* Measured at a completion, not at a post, and once. */
static void the_first_write_is_noted_when_it_completed(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_stats stats;
    uint64_t start = pr_now_ns(), first = 0;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.first_write_ns, 0);
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        ok(pagerail_source_push(d.source, 0, 0, PAGE));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, epoch, 10000));
        pagerail_source_stats(d.source, &stats);
        first = first ? first : stats.first_write_ns;
        assert_int_equal(stats.first_write_ns, first);
    }
    assert_in_range(first, 1, pr_now_ns() - start);
    mock_destination_close(&d);
}

/* How long the longest write on the lane is, and how much was posted on it. */
static uint64_t longest_write(struct mock_destination *d, unsigned lane, uint64_t *sum)
{
    uint64_t longest = 0;
    pthread_mutex_lock(&d->fabric->lock);
    for (uint32_t i = 0; i < d->data[lane]->posted; i++) {
        const struct mock_post *post = &d->data[lane]->posts[i];
        if (post->op != PR_OP_WRITE)
            continue;
        longest = post->len > longest ? post->len : longest;
        *sum += post->len;
    }
    pthread_mutex_unlock(&d->fabric->lock);
    return longest;
}

/* Where only so much of a lane is under way at once, the round trip is measured before the number
 * of lanes is told, and writes are short enough for completions to say how it goes. */
static void lanes_with_a_bound(void **state)
{
    (void)state;
    static const struct {
        uint32_t asked, lanes;
        uint32_t pings; /* before the control thread's own */
    } rows[] = {{0, 2, 4}, {3, 3, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mock_destination d;
        struct pagerail_stats stats;
        uint64_t sum = 0;
        uint8_t times[MOCK_REGION_BYTES / PAGE];
        const struct pagerail_options options = {.size = sizeof(options),
                                                 .lanes = rows[i].asked,
                                                 .window_bytes = MOCK_REGION_BYTES,
                                                 .silence_timeout_ms = 60000};
        mock_destination_open(&d);
        d.answer_pings = true;
        d.fabric->base.limits.suggested_lanes = 2;
        d.fabric->base.limits.lane_flight_bytes = 32 * KIB;
        ok(mock_destination_connect(&d, &options));
        pagerail_source_stats(d.source, &stats);
        assert_int_equal(stats.lanes, rows[i].lanes);
        assert_true(mock_messages(d.control, PR_WIRE_PING) >= rows[i].pings);
        ok(pagerail_source_push(d.source, 0, 0, MOCK_REGION_BYTES));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, 1, 10000));
        for (unsigned lane = 0; lane < rows[i].lanes; lane++)
            assert_true(longest_write(&d, lane, &sum) <= 16 * KIB);
        assert_int_equal(sum, MOCK_REGION_BYTES);
        count_pages(&d, d.memory, MOCK_REGION_BYTES, times, sizeof(times));
        for (size_t p = 0; p < sizeof(times); p++)
            assert_int_equal(times[p], 1);
        mock_destination_close(&d);
    }
}

/* A lane that completes nothing gets four times what it can have under way, and the epoch's end
 * only when all was posted. */
static void no_more_is_posted_than_lanes_need(void **state)
{
    (void)state;
    struct mock_destination d;
    uint64_t sum = 0;
    const struct pagerail_options options = {
        .size = sizeof(options), .window_bytes = MOCK_REGION_BYTES, .silence_timeout_ms = 60000};
    mock_destination_open(&d);
    d.answer_pings = true;
    d.fabric->base.limits.lane_flight_bytes = 32 * KIB;
    ok(mock_destination_connect(&d, &options));
    d.hold_completions = true;
    ok(pagerail_source_push(d.source, 0, 0, MOCK_REGION_BYTES));
    ok(pagerail_source_epoch_end(d.source, NULL));
    while (mock_writes(d.data[0]) < 8)
        sched_yield();
    assert_int_equal(pagerail_source_epoch_wait(d.source, 1, 50), -EAGAIN);
    longest_write(&d, 0, &sum);
    assert_int_equal(sum, 4 * 32 * KIB);
    assert_int_equal(mock_messages(d.data[0], PR_WIRE_EPOCH_END), 0);
    mock_destination_close(&d);
}

static void waiting_until_all_is_registered(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_stats stats;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, NULL));
    ok(pagerail_source_registered_wait(d.source, 10000));
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.registered_bytes, MOCK_REGION_BYTES);
    mock_destination_close(&d);
    mock_destination_open(&d);
    d.hold_grants = true;
    ok(mock_destination_connect(&d, NULL));
    assert_int_equal(pagerail_source_registered_wait(d.source, 1), -EAGAIN);
    mock_destination_close(&d);
}

/* Zero pages need no registration, data does, and who wants all registered gets it. */
static void empty_memory_is_registered_when_data_is_found(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_stats stats;
    uint8_t times[MOCK_REGION_BYTES / PAGE];
    mock_destination_open(&d);
    d.fabric->all_empty = true;
    memset(d.memory, 0, MOCK_REGION_BYTES);
    ok(mock_destination_connect(&d, NULL));
    ok(pagerail_source_push(d.source, 0, 0, MOCK_REGION_BYTES));
    ok(pagerail_source_epoch_end(d.source, NULL));
    ok(pagerail_source_epoch_wait(d.source, 1, 10000));
    assert_int_equal(d.fabric->reg_calls, 0);
    d.memory[3 * PAGE] = 1;
    ok(pagerail_source_push(d.source, 0, 0, MOCK_REGION_BYTES));
    ok(pagerail_source_epoch_end(d.source, NULL));
    ok(pagerail_source_epoch_wait(d.source, 2, 10000));
    assert_int_equal(d.fabric->reg_calls, 1);
    count_pages(&d, d.memory, MOCK_REGION_BYTES, times, sizeof(times));
    for (size_t p = 0; p < sizeof(times); p++)
        assert_int_equal(times[p], p == 3);
    ok(pagerail_source_registered_wait(d.source, 10000));
    pagerail_source_stats(d.source, &stats);
    assert_int_equal(stats.registered_bytes, MOCK_REGION_BYTES);
    mock_destination_close(&d);
}

static void a_budget_that_cannot_hold_all_is_told(void **state)
{
    (void)state;
    const struct pagerail_options options = {
        .size = sizeof(options), .lanes = MOCK_LANES, .pin_budget_bytes = MOCK_REGION_BYTES - PAGE};
    struct mock_destination d;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, &options));
    assert_int_equal(pagerail_source_registered_wait(d.source, 1000), -EINVAL);
    ok(pagerail_source_push(d.source, 0, 0, PAGE)); /* the session is well */
    mock_destination_close(&d);
}

/* Zero pages need no completion, data does. */
static void waiting_until_little_is_pending(void **state)
{
    (void)state;
    struct mock_destination d;
    mock_destination_open(&d);
    d.hold_completions = true;
    ok(mock_destination_connect(&d, NULL));
    memset(d.memory + 8 * PAGE, 0, 8 * PAGE);
    ok(pagerail_source_push(d.source, 0, 0, 16 * PAGE));
    assert_int_equal(pagerail_source_pending_wait(d.source, 16 * PAGE, 0), 0);
    ok(pagerail_source_pending_wait(d.source, 8 * PAGE, 10000));
    assert_int_equal(pagerail_source_pending_wait(d.source, 8 * PAGE - 1, 0), -EAGAIN);
    while (pagerail_source_pending_wait(d.source, 0, 1) == -EAGAIN) {
        for (int i = 0; i < MOCK_LANES; i++)
            mock_complete(d.data[i], UINT32_MAX);
    }
    ok(pagerail_source_pending_wait(d.source, 0, 0));
    ok(pagerail_source_abort(d.source, "enough"));
    assert_int_equal(pagerail_source_pending_wait(d.source, 0, 0), -ECANCELED);
    mock_destination_close(&d);
}

/* A pin budget of four windows for a region of sixteen: all of it goes through. */
static void a_small_budget_is_enough(void **state)
{
    (void)state;
    const struct pagerail_options options = {.size = sizeof(options),
                                             .lanes = MOCK_LANES,
                                             .pin_budget_bytes = 256 * KIB,
                                             .silence_timeout_ms = 60000};
    struct mock_destination d;
    struct pagerail_stats stats;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, &options));
    for (uint64_t epoch = 1; epoch <= 5; epoch++) {
        ok(pagerail_source_push(d.source, 0, 0, MOCK_REGION_BYTES));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, epoch, 20000));
        pagerail_source_stats(d.source, &stats);
        assert_int_equal(stats.bytes_sent, epoch * MOCK_REGION_BYTES);
        assert_true(stats.registered_bytes <= 256 * KIB);
    }
    assert_true(mock_messages(d.control, PR_WIRE_DROP) >= 5 * 12);
    mock_destination_close(&d);
}

/* What is not dirty needs no window: a few pages do not turn the whole pin budget over. */
static void clean_chunks_need_no_window(void **state)
{
    (void)state;
    const struct pagerail_options options = {.size = sizeof(options),
                                             .lanes = MOCK_LANES,
                                             .pin_budget_bytes = 256 * KIB,
                                             .silence_timeout_ms = 60000};
    struct mock_destination d;
    struct pagerail_stats stats;
    mock_destination_open(&d);
    ok(mock_destination_connect(&d, &options));
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        uint64_t bits[4] = {0x8001}; /* in the first of sixteen windows */
        ok(pagerail_source_push_dirty(d.source, 0, 0, MOCK_REGION_BYTES, bits, 2));
        ok(pagerail_source_epoch_end(d.source, NULL));
        ok(pagerail_source_epoch_wait(d.source, epoch, 20000));
        pagerail_source_stats(d.source, &stats);
        assert_int_equal(stats.bytes_sent, epoch * 2 * PAGE);
    }
    assert_int_equal(mock_messages(d.control, PR_WIRE_DROP), 0);
    mock_destination_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_of_a_crew),
        cmocka_unit_test(a_pushed_range_is_written_once),
        cmocka_unit_test(ranges_that_are_none_are_refused),
        cmocka_unit_test(pages_larger_than_windows_are_cut),
        cmocka_unit_test(a_page_of_a_gibibyte),
        cmocka_unit_test(zero_pages_are_told_as_they_are_found),
        cmocka_unit_test(bitmaps_need_not_begin_with_a_chunk),
        cmocka_unit_test(pending_bytes_do_not_drift),
        cmocka_unit_test(the_first_write_is_noted_when_it_completed),
        cmocka_unit_test(lanes_with_a_bound),
        cmocka_unit_test(no_more_is_posted_than_lanes_need),
        cmocka_unit_test(waiting_until_little_is_pending),
        cmocka_unit_test(waiting_until_all_is_registered),
        cmocka_unit_test(empty_memory_is_registered_when_data_is_found),
        cmocka_unit_test(a_budget_that_cannot_hold_all_is_told),
        cmocka_unit_test(a_small_budget_is_enough),
        cmocka_unit_test(clean_chunks_need_no_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
