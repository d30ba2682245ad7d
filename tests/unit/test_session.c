/* SPDX-License-Identifier: BSD-2-Clause */
/* Both sides of a session in one process, over the local fabric; and one side that has failed. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/unit/check.h"
#include "tests/unit/mock_session.h"

#include <errno.h>
#include <pagerail/transport.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGIONS 100
#define PAGE 4096

static char folder[] = "/tmp/pagerail-unit-XXXXXX";
static char uri[64];

struct side {
    struct pagerail_region regions[REGIONS];
    char names[REGIONS][16];
    uint8_t *memory;
    uint64_t len;
};

static void open_side(struct side *side, uint32_t regions, uint64_t region_bytes)
{
    side->len = regions * region_bytes;
    side->memory =
        mmap(NULL, side->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(side->memory != MAP_FAILED);
    for (uint32_t i = 0; i < regions; i++) {
        snprintf(side->names[i], sizeof(side->names[i]), "region%u", i);
        side->regions[i] = (struct pagerail_region){side->names[i], side->memory + i * region_bytes,
                                                    region_bytes, PAGE, 0};
    }
}

static void close_side(struct side *side)
{
    munmap(side->memory, side->len);
}

struct reception {
    struct side side;
    pagerail_destination *destination;
    uint32_t regions;
    int err;
    char message[PAGERAIL_ERROR_MAX];
    struct pagerail_stats stats; /* after the hand-over */
};

static int receive(struct reception *r)
{
    int err = pagerail_destination_accept(r->destination, r->side.regions, r->regions, 10000);
    if (!err)
        err = pagerail_destination_fence(r->destination);
    if (!err)
        err = pagerail_destination_ready(r->destination);
    if (!err)
        err = pagerail_destination_running(r->destination);
    return err;
}

static void receive_main(void *opaque)
{
    struct reception *r = opaque;
    r->err = receive(r);
    snprintf(r->message, sizeof(r->message), "%s", pagerail_error_message());
    pagerail_destination_stats(r->destination, &r->stats);
    pagerail_destination_free(r->destination);
}

static void ok(int err)
{
    if (err)
        fail_msg("%d: %s", err, pagerail_error_message());
}

static void move(pagerail_source *source, const struct side *side, uint32_t regions)
{
    uint64_t epoch;
    ok(pagerail_source_connect(source, uri, side->regions, regions));
    for (uint32_t i = 0; i < regions; i++)
        ok(pagerail_source_push(source, i, 0, side->regions[i].len_bytes));
    ok(pagerail_source_fence(source, &epoch));
    ok(pagerail_source_write_end(source));
    ok(pagerail_source_epoch_wait(source, epoch, 10000));
    ok(pagerail_source_wait_ready(source, 10000));
    ok(pagerail_source_release(source));
    ok(pagerail_source_wait_running(source, 10000, NULL));
}

/* More regions than a peer that was told nothing has receive buffers. */
static void a_guest_of_many_regions_moves(void **state)
{
    (void)state;
    struct side side;
    struct reception r = {.regions = REGIONS};
    struct pr_thread *thread;
    pagerail_source *source;
    open_side(&side, REGIONS, 2 * PAGE);
    open_side(&r.side, REGIONS, 2 * PAGE);
    for (uint64_t i = 0; i < side.len; i += PAGE)
        side.memory[i] = (uint8_t)(i / PAGE % 3);
    ok(pagerail_destination_new(NULL, &r.destination));
    ok(pagerail_destination_listen(r.destination, uri));
    ok(pr_thread_spawn(&thread, "destination", receive_main, &r));
    ok(pagerail_source_new(NULL, &source));
    struct pagerail_rail none;
    assert_int_equal(pagerail_source_rail(source, 0, &none), -ENOENT);
    move(source, &side, REGIONS);
    struct pagerail_stats stats;
    struct pagerail_rail rail;
    pagerail_source_stats(source, &stats);
    ok(pagerail_source_rail(source, 0, &rail));
    assert_string_equal(rail.name, "local");
    assert_int_equal(rail.state, PAGERAIL_RAIL_UP);
    assert_int_equal(rail.bytes_sent, stats.bytes_sent);
    assert_int_equal(rail.lanes, stats.lanes);
    assert_int_equal(pagerail_source_rail(source, 1, &rail), -ENOENT);
    pagerail_source_free(source);
    pr_thread_join(thread);
    if (r.err)
        fail_msg("destination: %d: %s", r.err, r.message);
    assert_memory_equal(side.memory, r.side.memory, side.len);
    assert_int_equal(stats.pages_sent + stats.zero_pages, side.len / PAGE);
    assert_int_equal(stats.pending_bytes, 0);
    assert_int_equal(stats.epoch, 1);
    assert_int_equal(r.stats.epoch, 1);
    assert_int_equal(r.stats.stream_bytes, stats.stream_bytes);
    close_side(&side);
    close_side(&r.side);
}

/* However late its caller's thread learns of it: after the last word nothing can be queued, and
 * that is not what the caller wants to know. */
static void a_failed_session_tells_why_it_takes_nothing_more(void **state)
{
    (void)state;
    static const uint64_t lens[] = {PAGE};
    struct mock_session ms;
    mock_session_open(&ms, lens, 1, 0);
    pr_session_fail(&ms.session, pr_error(EPROTO, "what broke"));
    pr_channel_last_word(&ms.session.control, NULL, 0);
    pr_error(EIO, "something else");
    assert_int_equal(pr_session_send_empty(&ms.session, PR_WIRE_READY, NULL), -EPROTO);
    assert_string_equal(pr_error_message(), "what broke");
    pr_error(EIO, "something else");
    assert_int_equal(pr_session_write_end(&ms.session), -EPROTO);
    assert_string_equal(pr_error_message(), "what broke");
    assert_int_equal(pr_session_write(&ms.session, "x", 1, -1), -EPROTO);
    mock_session_close(&ms);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(uri, sizeof(uri), "local:%s/sock", mkdtemp(folder) ? folder : "");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_of_many_regions_moves),
        cmocka_unit_test(a_failed_session_tells_why_it_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
