/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session without a control thread, over a mock lane, for tests of what a session is made of: the
 * test pumps the control channel itself, and drains the pool when registrations shall be done.
 */
#ifndef PR_TESTS_UNIT_MOCK_SESSION_H
#define PR_TESTS_UNIT_MOCK_SESSION_H

#include "tests/unit/mock_lane.h"
#include "transport/session.h"

struct mock_session {
    struct pr_session session; /* first: cast back */
    struct mock_fabric *fabric;
    struct mock_lane *control;
    uint8_t *memory;
    uint64_t memory_bytes;
};

/* Regions of 4 KiB pages, as long as `lens` says, named "r0", "r1", ... Windows of 64 KiB.
 * pin_budget_bytes: 0 = none. */
void mock_session_open(struct mock_session *ms, const uint64_t *lens, uint32_t count,
                       uint64_t pin_budget_bytes);
void mock_session_close(struct mock_session *ms);

/* Posts what is in the outbox, completes it, and gives the peer's buffers back. */
void mock_session_pump(struct mock_session *ms);

/* How many windows the library has asked for / dropped, in messages that were pumped; the n-th. */
uint32_t mock_session_wanted(struct mock_session *ms);
struct pr_wire_window mock_session_want(struct mock_session *ms, uint32_t n);
uint32_t mock_session_dropped(struct mock_session *ms);
struct pr_wire_window mock_session_drop(struct mock_session *ms, uint32_t n);

#endif
