/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mock_session.h"

#include "tests/unit/check.h"

#include <string.h>
#include <sys/mman.h>

#define WINDOW_BYTES (UINT64_C(64) << 10)

static void open_regions(struct mock_session *ms, const uint64_t *lens, uint32_t count)
{
    struct pagerail_region regions[8];
    char names[8][8];
    uint64_t at = 0;
    assert_true(count <= COUNT_OF(regions));
    for (uint32_t i = 0; i < count; i++)
        ms->memory_bytes += lens[i];
    ms->memory =
        mmap(NULL, ms->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ms->memory != MAP_FAILED);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "r%u", i);
        regions[i] = (struct pagerail_region){names[i], ms->memory + at, lens[i], 4096, 0};
        at += lens[i];
    }
    assert_int_equal(pr_regions_copy(regions, count, &ms->session.regions), 0);
}

void mock_session_open(struct mock_session *ms, const uint64_t *lens, uint32_t count,
                       uint64_t pin_budget_bytes)
{
    const struct pagerail_options options = {.size = sizeof(options),
                                             .pin_budget_bytes = pin_budget_bytes};
    memset(ms, 0, sizeof(*ms));
    ms->fabric = mock_fabric_new();
    ms->control = mock_lane_new(ms->fabric);
    ms->session.peer_name = "the peer";
    assert_int_equal(pr_session_open(&ms->session, &options), 0);
    pr_session_set_fabric(&ms->session, &ms->fabric->base);
    ms->session.window_bytes = WINDOW_BYTES;
    open_regions(ms, lens, count);
    pr_channel_open(&ms->session.control, &ms->control->base, NULL);
    pr_channel_agree(&ms->session.control, 1 << 20, PR_WIRE_MAX_MESSAGE);
    pr_channel_told(&ms->session.control);
}

void mock_session_close(struct mock_session *ms)
{
    pr_session_close(&ms->session);
    mock_fabric_free(ms->fabric);
    munmap(ms->memory, ms->memory_bytes);
}

static int ignore(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)opaque, (void)type, (void)body, (void)len;
    return 0;
}

void mock_session_pump(struct mock_session *ms)
{
    const struct pr_channel_handler handler = {.message = ignore};
    while (pr_channel_pump(&ms->session.control, &handler) > 0)
        mock_complete(ms->control, UINT32_MAX);
}

uint32_t mock_session_wanted(struct mock_session *ms)
{
    uint32_t count = 0, messages = mock_messages(ms->control, PR_WIRE_WANT);
    for (uint32_t i = 0; i < messages; i++) {
        const void *body;
        struct pr_wire_want want;
        struct pr_wire_header header = mock_message(ms->control, PR_WIRE_WANT, i, &body);
        assert_int_equal(pr_wire_want_decode(&want, body, header.body_len), 0);
        count += want.count;
    }
    return count;
}

struct pr_wire_window mock_session_want(struct mock_session *ms, uint32_t n)
{
    for (uint32_t i = 0;; i++) {
        const void *body;
        struct pr_wire_want want;
        struct pr_wire_header header = mock_message(ms->control, PR_WIRE_WANT, i, &body);
        assert_int_equal(pr_wire_want_decode(&want, body, header.body_len), 0);
        if (n < want.count)
            return want.window[n];
        n -= want.count;
    }
}

uint32_t mock_session_dropped(struct mock_session *ms)
{
    return mock_messages(ms->control, PR_WIRE_DROP);
}

struct pr_wire_window mock_session_drop(struct mock_session *ms, uint32_t n)
{
    const void *body;
    struct pr_wire_drop drop;
    struct pr_wire_header header = mock_message(ms->control, PR_WIRE_DROP, n, &body);
    assert_int_equal(pr_wire_drop_decode(&drop, body, header.body_len), 0);
    return drop.window;
}
