/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transport/applier.h over mock lanes: an epoch is complete when every lane has ended it and all
 * zero ranges are cleared, whichever threads the lanes belong to.
 */
#include "tests/unit/mock_session.h"
#include "transport/applier.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LANES 5
#define PAGE UINT64_C(4096)

/* The source's regions stand the other way round. */
static const uint32_t local_of[] = {1, 0};
static const uint64_t lens[] = {16 * PAGE, 8 * PAGE};

struct under_test {
    struct mock_session ms;
    struct mock_lane *lanes[LANES];
    struct pr_appliers appliers;
};

static void open_appliers(struct under_test *t)
{
    struct pr_lane *lanes[LANES];
    const struct pr_wire_hello hello = {.recv_depth = 16, .message_bytes = PR_WIRE_MAX_MESSAGE};
    mock_session_open(&t->ms, lens, 2, 0);
    t->ms.fabric->base.limits.recv_depth = 256;
    memset(t->ms.memory, 1, t->ms.memory_bytes);
    for (int i = 0; i < LANES; i++) {
        t->lanes[i] = mock_lane_new(t->ms.fabric);
        lanes[i] = &t->lanes[i]->base;
    }
    assert_int_equal(pr_appliers_open(&t->appliers, &t->ms.session, local_of, lanes, LANES, &hello),
                     0);
    for (int i = 0; i < LANES; i++)
        assert_null(lanes[i]); /* taken */
}

static void close_appliers(struct under_test *t)
{
    pr_appliers_close(&t->appliers);
    pr_appliers_close(&t->appliers);
    mock_session_close(&t->ms);
}

static void end_epoch(struct under_test *t, int lane, uint64_t epoch)
{
    uint8_t message[64];
    const struct pr_wire_epoch_end end = {epoch, 3, 3 * PAGE};
    mock_deliver(t->lanes[lane], message, pr_wire_epoch_end_encode(&end, message, sizeof(message)));
}

static void zero(struct under_test *t, int lane, uint64_t epoch, uint32_t region, uint64_t offset,
                 uint64_t len)
{
    uint8_t message[PR_WIRE_MIN_MESSAGE];
    const struct pr_wire_zero m = {.epoch = epoch, .count = 1, .range = {{region, offset, len}}};
    mock_deliver(t->lanes[lane], message, pr_wire_zero_encode(&m, message, sizeof(message)));
}

static void wait_complete(struct under_test *t, uint64_t epoch)
{
    for (int ms = 0; atomic_load(&t->appliers.complete) < epoch; ms++) {
        assert_true(ms < 10000);
        pr_sleep_ms(1);
    }
    mock_session_pump(&t->ms); /* the acknowledgement leaves */
}

static void an_epoch_needs_every_lane(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        for (int lane = 0; lane < LANES; lane++) {
            mock_session_pump(&t.ms);
            assert_int_equal(t.appliers.complete, epoch - 1);
            assert_int_equal(mock_messages(t.ms.control, PR_WIRE_EPOCH_ACK), epoch - 1);
            end_epoch(&t, (int)((lane + epoch) % LANES), epoch);
            mock_wait_polled(t.lanes[(lane + epoch) % LANES]);
        }
        wait_complete(&t, epoch);
        assert_int_equal(mock_messages(t.ms.control, PR_WIRE_EPOCH_ACK), epoch);
    }
    close_appliers(&t);
}

static bool all_are(const uint8_t *bytes, uint64_t len, uint8_t value)
{
    for (uint64_t i = 0; i < len; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

static void zero_ranges_are_cleared_where_they_belong(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    uint8_t *ours = t.ms.memory, *second = t.ms.memory + lens[0];
    memset(ours + 3 * PAGE, 0, PAGE);      /* is zero already: not written */
    zero(&t, 2, 1, 0, 2 * PAGE, PAGE);     /* the source's region 0 is our 1 */
    zero(&t, 4, 1, 1, 2 * PAGE, 4 * PAGE); /* and its 1 our 0 */
    zero(&t, 4, 1, 1, 15 * PAGE, PAGE);    /* its last page */
    for (int lane = 0; lane < LANES; lane++)
        end_epoch(&t, lane, 1);
    wait_complete(&t, 1);
    assert_true(all_are(second, 2 * PAGE, 1));
    assert_true(all_are(second + 2 * PAGE, PAGE, 0));
    assert_true(all_are(second + 3 * PAGE, 5 * PAGE, 1));
    assert_true(all_are(ours, 2 * PAGE, 1));
    assert_true(all_are(ours + 2 * PAGE, 4 * PAGE, 0));
    assert_true(all_are(ours + 6 * PAGE, 9 * PAGE, 1));
    assert_true(all_are(ours + 15 * PAGE, PAGE, 0));
    assert_int_equal(t.appliers.zeroed_bytes, 5 * PAGE);
    close_appliers(&t);
}

/* Not even a page table is made for it: neither where a range is cleared in one piece nor beside
 * pages that are there. */
static void memory_that_is_not_there_stays_so(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    const uint64_t len = 4 * PR_ABSENT_PAGES * PAGE;
    struct pr_region *region = &t.ms.session.regions.list[local_of[0]];
    const struct pr_region was = *region;
    region->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)region->addr != MAP_FAILED);
    assert_int_equal(madvise(region->addr, len, MADV_NOHUGEPAGE), 0);
    region->len = len;
    region->flags = PAGERAIL_REGION_NO_LAZY_FILL;
    region->addr[2 * len / 4] = region->addr[3 * len / 4 - 1] = 1;
    pr_regions_find_absent(&t.ms.session.regions);
    zero(&t, 0, 1, 0, 0, len);
    for (int lane = 0; lane < LANES; lane++)
        end_epoch(&t, lane, 1);
    wait_complete(&t, 1);
    assert_int_equal(t.appliers.zeroed_bytes, 2 * PAGE);
    for (uint64_t at = 0; at < len; at += len / 4)
        assert_int_equal(pr_absent_all(region->absent, region->addr + at), at != 2 * len / 4);
    assert_true(all_are(region->addr, len, 0));
    munmap(region->addr, len);
    *region = was;
    close_appliers(&t);
}

static void wait_failed(struct under_test *t, int wanted, const char *words)
{
    int err;
    for (int ms = 0; !(err = pr_session_failed(&t->ms.session)); ms++) {
        assert_true(ms < 10000);
        pr_sleep_ms(1);
    }
    assert_int_equal(err, wanted);
    assert_non_null(strstr(pr_error_message(), words));
}

static void what_is_out_of_turn_or_place_fails_the_session(void **state)
{
    (void)state;
    for (int row = 0; row < 7; row++) {
        struct under_test t;
        open_appliers(&t);
        const char *words = "another epoch";
        if (row == 0)
            zero(&t, 0, 2, 0, 0, PAGE);
        else if (row == 1)
            zero(&t, 0, 0, 0, 0, PAGE);
        else if (row == 2)
            end_epoch(&t, 3, 2), words = "out of order";
        else if (row == 3)
            zero(&t, 1, 1, 0, 8 * PAGE, PAGE), words = "outside of region 'r1'";
        else if (row == 4)
            zero(&t, 1, 1, 1, 15 * PAGE, 2 * PAGE), words = "outside of region 'r0'";
        else if (row == 5)
            zero(&t, 1, 1, 2, 0, PAGE), words = "does not exist";
        else
            mock_deliver_empty(t.lanes[4], PR_WIRE_READY, 0), words = "on a data lane";
        wait_failed(&t, -EPROTO, words);
        assert_true(all_are(t.ms.memory, t.ms.memory_bytes, 1));
        close_appliers(&t);
    }
}

/* A lane that has ended an epoch may not go on before the others have, and before that was told. */
static void no_lane_runs_ahead(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    for (int lane = 0; lane < LANES; lane++)
        end_epoch(&t, lane, 1);
    for (int ms = 0; t.appliers.complete < 1 && ms < 10000; ms++)
        pr_sleep_ms(1);
    zero(&t, 0, 2, 0, 0, PAGE); /* the acknowledgement is still in the outbox */
    wait_failed(&t, -EPROTO, "another epoch");
    close_appliers(&t);
}

static void a_lost_lane_is_no_failure_yet(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    mock_fail(t.lanes[1], -ECONNRESET);
    for (int ms = 0; !t.ms.session.lane_lost_ns && ms < 10000; ms++)
        pr_sleep_ms(1);
    assert_int_equal(pr_session_failed(&t.ms.session), 0);
    assert_int_equal(pr_failure_get(&t.ms.session.lane_loss), -ECONNRESET);
    close_appliers(&t);
}

static void after_the_stop_the_figures_stay(void **state)
{
    (void)state;
    struct under_test t;
    open_appliers(&t);
    for (int lane = 0; lane < LANES; lane++)
        end_epoch(&t, lane, 1);
    wait_complete(&t, 1);
    pr_appliers_stop(&t.appliers);
    for (int lane = 0; lane < LANES; lane++)
        assert_true(t.lanes[lane]->shut && !t.lanes[lane]->closed);
    assert_int_equal(t.appliers.complete, 1);
    assert_true(pr_appliers_cpu_ns(&t.appliers) > 0);
    pr_appliers_stop(&t.appliers);
    close_appliers(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_needs_every_lane),
        cmocka_unit_test(zero_ranges_are_cleared_where_they_belong),
        cmocka_unit_test(memory_that_is_not_there_stays_so),
        cmocka_unit_test(what_is_out_of_turn_or_place_fails_the_session),
        cmocka_unit_test(no_lane_runs_ahead),
        cmocka_unit_test(a_lost_lane_is_no_failure_yet),
        cmocka_unit_test(after_the_stop_the_figures_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
