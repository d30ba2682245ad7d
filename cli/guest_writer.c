/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_writer.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u
#define CREDIT_SHIFT 20
#define CREDIT_PER_PAGE ((uint64_t)PR_GUEST_PAGE_BYTES << CREDIT_SHIFT)
#define BURST_NS 4000000u

void pr_heartbeat_beat(struct pr_heartbeat *heartbeat, uint64_t now_ns)
{
    uint64_t gap = now_ns > heartbeat->last_ns ? now_ns - heartbeat->last_ns : 0;
    if (!heartbeat->last_ns)
        gap = 0;
    heartbeat->last_ns = now_ns;
    if (heartbeat->moved) {
        heartbeat->move_ns = gap;
        heartbeat->moved = false;
    } else if (gap > heartbeat->largest_ns) {
        heartbeat->largest_ns = gap;
        heartbeat->largest_at_ns = now_ns;
    }
}

static uint64_t worth(uint64_t rate_Bps, uint64_t elapsed_ns)
{
    return (uint64_t)(((unsigned __int128)rate_Bps * elapsed_ns << CREDIT_SHIFT) / NS_PER_S);
}

void pr_pace_refill(struct pr_pace *pace, uint64_t now_ns, uint32_t throttle_percent)
{
    uint64_t elapsed = now_ns - pace->refilled_ns;
    if (elapsed > NS_PER_S)
        elapsed = NS_PER_S;
    pace->refilled_ns = now_ns;
    pace->credit += worth(pace->rate_Bps * (100 - throttle_percent) / 100, elapsed);
    uint64_t most = worth(pace->rate_Bps, BURST_NS);
    if (most < CREDIT_PER_PAGE)
        most = CREDIT_PER_PAGE;
    if (pace->credit > most)
        pace->credit = most;
}

bool pr_pace_ready(const struct pr_pace *pace)
{
    return pace->credit >= CREDIT_PER_PAGE;
}

bool pr_pace_take(struct pr_pace *pace)
{
    if (!pr_pace_ready(pace))
        return false;
    pace->credit -= CREDIT_PER_PAGE;
    return true;
}

int pr_guest_writer_open(struct pr_guest_writer *writer, uint32_t thread, uint32_t threads,
                         enum pr_guest_pattern pattern)
{
    writer->first_page = writer->pages * thread / threads;
    writer->part_pages = writer->pages * (thread + 1) / threads - writer->first_page;
    writer->counts = calloc(writer->part_pages, sizeof(*writer->counts));
    if (!writer->counts)
        return pr_error(ENOMEM, "no memory to count the writes of the guest's pages");
    pr_guest_sequence_start(&writer->sequence, pattern, writer->model->seed, thread,
                            writer->part_pages);
    return 0;
}

void pr_guest_writer_close(struct pr_guest_writer *writer)
{
    free(writer->counts);
    writer->counts = NULL;
}

static uint8_t *address(const struct pr_guest_writer *writer, uint64_t page)
{
    return writer->memory + (writer->first_page + page) * PR_GUEST_PAGE_BYTES;
}

void pr_guest_writer_fill(struct pr_guest_writer *writer)
{
    for (uint64_t page = 0; page < writer->part_pages; page++) {
        uint64_t number = writer->first_page + page;
        if (!pr_guest_model_is_zero(writer->model, number, 0))
            pr_guest_model_write(writer->model, number, 0, address(writer, page));
    }
}

static int check(struct pr_guest_writer *writer, uint64_t page)
{
    uint64_t number = writer->first_page + page;
    uint32_t count = writer->counts[page];
    const uint8_t *at = address(writer, page);
    size_t offset = pr_guest_model_check(writer->model, number, count, at);
    if (offset == PR_GUEST_PAGE_BYTES)
        return 0;
    writer->wrong_pages++;
    char text[256];
    pr_guest_model_describe(writer->model, writer->pages, number, count, at, offset, text,
                            sizeof(text));
    return pr_error(EIO, "%s", text);
}

int pr_guest_writer_write(struct pr_guest_writer *writer)
{
    uint64_t page = pr_guest_sequence_next(&writer->sequence);
    int err = check(writer, page);
    if (err)
        return err;
    writer->counts[page]++;
    pr_guest_model_write(writer->model, writer->first_page + page, writer->counts[page],
                         address(writer, page));
    return 0;
}

int pr_guest_writer_verify(struct pr_guest_writer *writer, uint64_t first, uint64_t count)
{
    int result = 0;
    char message[PAGERAIL_ERROR_MAX];
    for (uint64_t page = first; page < first + count; page++) {
        int err = check(writer, page);
        if (err && !result) {
            result = err;
            memcpy(message, pr_error_message(), sizeof(message));
        }
    }
    return result ? pr_error(-result, "%s", message) : 0;
}
