/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest itself, moved by a small pre-copy loop over its own dirty log inside one process: what
 * arrives is right, goes on, and is right in the end; and every way of losing something is noticed.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "cli/guest.h"
#include "cli/guest_writer.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#define PAGE PR_GUEST_PAGE_BYTES
#define PAGES 4096u
#define LEN ((uint64_t)PAGES * PAGE)

static struct seeded rng;

static struct pr_guest_plan some_plan(enum pr_guest_pattern pattern, enum pr_guest_fill fill)
{
    return (struct pr_guest_plan){.seed = seeded_next(&rng),
                                  .pattern = pattern,
                                  .fill = fill,
                                  .threads = 1 + (uint32_t)seeded_below(&rng, 4),
                                  .rate_Bps = 400u << 20};
}

struct host {
    struct pr_guest_memory memory;
    struct pr_guest *guest;
};

static struct host host_open(const struct pr_guest_plan *plan)
{
    struct host host;
    assert_int_equal(pr_guest_memory_map(&host.memory, LEN, PAGE), 0);
    assert_int_equal(pr_guest_open(&host.guest, &host.memory, plan), 0);
    return host;
}

static void host_close(struct host *host)
{
    pr_guest_close(host->guest);
    pr_guest_memory_unmap(&host->memory);
}

static uint64_t writes_of(struct pr_guest *guest)
{
    struct pr_guest_figures figures;
    pr_guest_figures(guest, &figures);
    return figures.writes;
}

/* Until it has made so many writes more. Not a wait for time: a slow machine takes longer. */
static void run_for(struct pr_guest *guest, uint64_t writes)
{
    uint64_t end = writes_of(guest) + writes;
    while (writes_of(guest) < end) {
        pr_guest_run(guest);
        pr_sleep_ms(1);
        pr_guest_stop(guest);
    }
}

static void copy_dirty(struct host *from, struct host *to, const uint64_t *bits)
{
    for (uint64_t page = 0; page < PAGES; page++) {
        if (bits[page / 64] >> page % 64 & 1)
            memcpy(to->memory.addr + page * PAGE, from->memory.addr + page * PAGE, PAGE);
    }
}

/* One round; the guest stands still while pages are copied, so that no sanitizer sees a race that
 * the library has by design. */
static void round_trip(struct host *from, struct host *to, struct pr_tracker *dirty)
{
    uint64_t bits[PAGES / 64] = {0};
    run_for(from->guest, 300);
    assert_true(pr_tracker_sync(dirty, 0, PAGES, bits) >= 0);
    copy_dirty(from, to, bits);
}

static struct pr_tracker *track(struct host *host)
{
    struct pr_tracker *dirty;
    struct pr_tracker_range range = {host->memory.addr, LEN, PAGE};
    struct pr_tracker_gate gate = pr_guest_gate(host->guest);
    if (pr_tracker_open(&dirty, PR_TRACKER_AUTO, &range, &gate)) {
        printf("skip: %s\n", pr_error_message());
        skip();
    }
    assert_int_equal(pr_tracker_start(dirty), 0);
    return dirty;
}

/* Moves the guest, after it has run. */
static void move(struct host *from, struct host *to)
{
    struct pr_tracker *dirty = track(from);
    memcpy(to->memory.addr, from->memory.addr, LEN);
    for (unsigned round = 0; round < 4; round++)
        round_trip(from, to, dirty);
    pr_tracker_close(dirty);
}

static void carry_state(struct host *from, struct host *to, bool same_clock)
{
    static struct pr_guest_state sent, received;
    static uint8_t bytes[PR_GUEST_STATE_BYTES_MAX];
    pr_guest_save(from->guest, &sent);
    int len = pr_guest_state_encode(&sent, bytes, sizeof(bytes));
    assert_true(len > 0);
    assert_int_equal(pr_guest_state_decode(&received, bytes, (size_t)len), 0);
    assert_int_equal(pr_guest_restore(to->guest, &received, same_clock), 0);
}

static void test_every_pattern_and_fill_survives_a_move(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_GUEST_PATTERNS * PR_GUEST_FILLS; i++) {
        struct pr_guest_plan plan = some_plan((enum pr_guest_pattern)(i / PR_GUEST_FILLS),
                                              (enum pr_guest_fill)(i % PR_GUEST_FILLS));
        struct host from = host_open(&plan), to = host_open(&plan);
        pr_guest_fill(from.guest);
        run_for(from.guest, 1000);
        move(&from, &to);
        carry_state(&from, &to, true);
        assert_int_equal(pr_guest_verify(to.guest), 0);
        run_for(to.guest, 1000);
        if (pr_guest_verify(to.guest))
            fail_msg("%s", pr_error_message());
        assert_int_equal(pr_guest_verify(from.guest), 0);
        host_close(&from);
        host_close(&to);
    }
}

static void test_gaps_are_carried_across(void **state)
{
    (void)state;
    for (int same_clock = 0; same_clock < 2; same_clock++) {
        struct pr_guest_plan plan = some_plan(PR_GUEST_SEQ, PR_GUEST_FILL_ZERO);
        struct host from = host_open(&plan), to = host_open(&plan);
        run_for(from.guest, 10);
        memcpy(to.memory.addr, from.memory.addr, LEN);
        carry_state(&from, &to, same_clock);
        run_for(to.guest, 10);
        struct pr_guest_figures figures;
        pr_guest_figures(to.guest, &figures);
        assert_true(figures.move_gap_ns != 0);
        host_close(&from);
        host_close(&to);
    }
}

/* Of another machine's clock, only the time from its last heartbeat to its stop counts here. */
static void test_a_gap_between_two_clocks(void **state)
{
    (void)state;
    static struct pr_guest_state sent;
    const uint64_t lead_ns = 7000000;
    struct pr_guest_plan plan = some_plan(PR_GUEST_SEQ, PR_GUEST_FILL_ZERO);
    struct host from = host_open(&plan), to = host_open(&plan);
    run_for(from.guest, 10);
    memcpy(to.memory.addr, from.memory.addr, LEN);
    pr_guest_save(from.guest, &sent);
    sent.stopped_ns = UINT64_MAX / 2;
    for (uint32_t i = 0; i < plan.threads; i++)
        sent.thread[i].beat_ns = sent.stopped_ns - lead_ns + i;
    assert_int_equal(pr_guest_restore(to.guest, &sent, false), 0);
    uint64_t start = pr_now_ns();
    run_for(to.guest, 100);
    struct pr_guest_figures figures;
    pr_guest_figures(to.guest, &figures);
    assert_true(figures.move_gap_ns >= lead_ns);
    assert_true(figures.move_gap_ns <= lead_ns + (pr_now_ns() - start));
    host_close(&from);
    host_close(&to);
}

/* The page that the first thread writes next, so that its check before the write must notice. */
static uint64_t next_page(const struct pr_guest_plan *plan, const struct host *host)
{
    static struct pr_guest_state state;
    pr_guest_save(host->guest, &state);
    struct pr_guest_sequence sequence;
    pr_guest_sequence_start(&sequence, plan->pattern, plan->seed, 0, PAGES / plan->threads);
    uint32_t *counts = calloc(PAGES, sizeof(*counts));
    assert_non_null(counts);
    pr_guest_sequence_replay(&sequence, state.thread[0].made, counts);
    free(counts);
    return pr_guest_sequence_next(&sequence);
}

static void test_writers_notice_a_lost_page(void **state)
{
    (void)state;
    struct pr_guest_plan plan = some_plan(PR_GUEST_SEQ, PR_GUEST_FILL_RANDOM);
    struct host host = host_open(&plan);
    pr_guest_fill(host.guest);
    run_for(host.guest, 2 * PAGES);
    memset(host.memory.addr + next_page(&plan, &host) * PAGE, 0, PAGE);
    pr_guest_run(host.guest);
    while (!pr_guest_failure(host.guest))
        sched_yield();
    pr_guest_stop(host.guest);
    assert_non_null(strstr(pr_error_message(), "found zeroes"));
    host_close(&host);
}

static void test_verification_notices_each_wrong_page(void **state)
{
    (void)state;
    struct pr_guest_plan plan = some_plan(PR_GUEST_UNIFORM, PR_GUEST_FILL_MIXED);
    struct host host = host_open(&plan);
    pr_guest_fill(host.guest);
    run_for(host.guest, 1000);
    assert_int_equal(pr_guest_verify(host.guest), 0);
    host.memory.addr[17 * PAGE + 4095] ^= 1;
    host.memory.addr[(PAGES - 1) * PAGE] ^= 1;
    assert_int_equal(pr_guest_verify(host.guest), -EIO);
    assert_non_null(strstr(pr_error_message(), "guest page"));
    struct pr_guest_figures figures;
    pr_guest_figures(host.guest, &figures);
    assert_int_equal(figures.wrong_pages, 2);
    host_close(&host);
}

static void test_a_skipped_round_is_noticed(void **state)
{
    (void)state;
    struct pr_guest_plan plan = some_plan(PR_GUEST_HOT, PR_GUEST_FILL_RANDOM);
    struct host from = host_open(&plan), to = host_open(&plan);
    pr_guest_fill(from.guest);
    run_for(from.guest, 1000);
    move(&from, &to);
    run_for(from.guest, 50);
    carry_state(&from, &to, true);
    assert_int_equal(pr_guest_verify(to.guest), -EIO);
    assert_non_null(strstr(pr_error_message(), "old"));
    host_close(&from);
    host_close(&to);
}

static void test_state_of_another_guest_is_refused(void **state)
{
    (void)state;
    struct pr_guest_plan plan = some_plan(PR_GUEST_SEQ, PR_GUEST_FILL_ZERO);
    struct host host = host_open(&plan);
    struct pr_guest_state other;
    pr_guest_save(host.guest, &other);
    other.len_bytes += PAGE;
    assert_int_equal(pr_guest_restore(host.guest, &other, true), -EINVAL);
    other.len_bytes -= PAGE;
    other.plan.seed++;
    assert_int_equal(pr_guest_restore(host.guest, &other, true), -EINVAL);
    host_close(&host);
}

static void test_too_small_a_guest_is_refused(void **state)
{
    (void)state;
    struct pr_guest_memory memory;
    assert_int_equal(pr_guest_memory_map(&memory, 4 * PAGE, PAGE), 0);
    struct pr_guest_plan plan = {.threads = 5};
    struct pr_guest *guest;
    assert_int_equal(pr_guest_open(&guest, &memory, &plan), -EINVAL);
    pr_guest_memory_unmap(&memory);
}

static void test_the_gate_holds_the_writers(void **state)
{
    (void)state;
    struct pr_guest_plan plan = some_plan(PR_GUEST_SEQ, PR_GUEST_FILL_ZERO);
    struct host host = host_open(&plan);
    struct pr_tracker_gate gate = pr_guest_gate(host.guest);
    uint64_t first = gate.standstill(gate.opaque);
    assert_int_not_equal(first, 0);
    pr_guest_run(host.guest);
    assert_int_equal(gate.standstill(gate.opaque), 0);
    gate.close(gate.opaque);
    assert_int_equal(gate.standstill(gate.opaque), 0);
    uint64_t writes = writes_of(host.guest);
    for (unsigned i = 0; i < 1000; i++)
        sched_yield();
    assert_int_equal(writes_of(host.guest), writes);
    pr_guest_stop(host.guest);
    assert_int_not_equal(gate.standstill(gate.opaque), first);
    gate.open(gate.opaque);
    assert_int_equal(writes_of(host.guest), writes);
    run_for(host.guest, 1);
    host_close(&host);
}

static void test_regions_cover_the_memory(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {PAGE, 255 * PAGE, 256 * PAGE, 1000 * PAGE, LEN};
    for (unsigned i = 0; i < 5; i++) {
        struct pr_guest_memory memory = {(uint8_t *)PAGE, sizes[i], PAGE};
        struct pagerail_region regions[PR_GUEST_REGIONS];
        uint32_t count = pr_guest_memory_regions(&memory, regions);
        uint64_t sum = 0;
        for (uint32_t r = 0; r < count; r++) {
            assert_ptr_equal(regions[r].addr, memory.addr + sum);
            assert_int_equal(sum % (64 * PAGE), 0);
            assert_true(regions[r].len_bytes > 0);
            sum += regions[r].len_bytes;
        }
        assert_int_equal(sum, sizes[i]);
        assert_int_equal(count, sizes[i] < 256 * PAGE ? 1 : 2);
    }
}

static unsigned take_all(struct pr_pace *pace)
{
    unsigned taken = 0;
    while (pr_pace_take(pace))
        taken++;
    return taken;
}

static void test_pace(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate_Bps, elapsed_ns;
        uint32_t throttle;
        unsigned pages;
    } table[] = {
        {0, 1000000000, 0, 0},          {4096, 999999999, 0, 0},
        {4096, 1000000000, 0, 1},       {4096000, 1000000, 0, 1},
        {409600000, 1000000, 0, 100},   {409600000, 1000000, 50, 50},
        {409600000, 1000000, 99, 1},    {409600000, 4000000, 0, 400},
        {409600000, 900000000, 0, 400}, /* held up: four milliseconds' worth, no flood */
        {4096, 3600000000000, 0, 1},
    };
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct pr_pace pace = {.rate_Bps = table[i].rate_Bps, .refilled_ns = 5};
        pr_pace_refill(&pace, 5 + table[i].elapsed_ns, table[i].throttle);
        assert_int_equal(take_all(&pace), table[i].pages);
    }
}

/* Many short refills are worth as much as a long one. */
static void test_pace_keeps_fractions(void **state)
{
    (void)state;
    struct pr_pace pace = {.rate_Bps = 10 * PAGE};
    unsigned taken = 0;
    for (uint64_t now = 0; now <= 10000000000; now += 777777) {
        pr_pace_refill(&pace, now, 0);
        taken += take_all(&pace);
    }
    assert_in_range(taken, 99, 100);
}

static void test_heartbeat(void **state)
{
    (void)state;
    struct pr_heartbeat beat = {0};
    pr_heartbeat_beat(&beat, 1000);
    assert_int_equal(beat.largest_ns, 0);
    pr_heartbeat_beat(&beat, 1500);
    pr_heartbeat_beat(&beat, 1600);
    assert_int_equal(beat.largest_ns, 500);
    assert_int_equal(beat.largest_at_ns, 1500);
    beat.moved = true;
    pr_heartbeat_beat(&beat, 9600);
    assert_int_equal(beat.move_ns, 8000);
    assert_int_equal(beat.largest_ns, 500);
    pr_heartbeat_beat(&beat, 9000); /* a clock that went back gives no gap */
    assert_int_equal(beat.largest_ns, 500);
}

static void test_huge_pages_that_are_not_there_name_the_setting(void **state)
{
    (void)state;
    assert_int_equal(pr_hugepages_check(1ull << 50, 2u << 20), -ENOMEM);
    assert_non_null(strstr(pr_error_message(), "sysctl vm.nr_hugepages=536870912"));
    assert_int_equal(pr_hugepages_check(1ull << 50, 1u << 30), -ENOMEM);
    assert_non_null(strstr(pr_error_message(), "hugepages=1048576"));
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pattern_and_fill_survives_a_move),
        cmocka_unit_test(test_gaps_are_carried_across),
        cmocka_unit_test(test_a_gap_between_two_clocks),
        cmocka_unit_test(test_writers_notice_a_lost_page),
        cmocka_unit_test(test_verification_notices_each_wrong_page),
        cmocka_unit_test(test_a_skipped_round_is_noticed),
        cmocka_unit_test(test_state_of_another_guest_is_refused),
        cmocka_unit_test(test_too_small_a_guest_is_refused),
        cmocka_unit_test(test_the_gate_holds_the_writers),
        cmocka_unit_test(test_regions_cover_the_memory),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_pace_keeps_fractions),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_huge_pages_that_are_not_there_name_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
