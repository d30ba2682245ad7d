/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A destination that answers a real source at once, on the thread that posts
 * (tests/unit/mock_lane.h): it agrees to everything, grants every window, completes
 * every write, acknowledges every epoch, is ready behind the fence and runs the guest when it is
 * released. A test holds parts of that back, or lets it say something that no destination would.
 */
#ifndef PR_TESTS_UNIT_MOCK_DESTINATION_H
#define PR_TESTS_UNIT_MOCK_DESTINATION_H

#include "tests/unit/mock_lane.h"

#include <pagerail/transport.h>

#define MOCK_LANES 4

struct mock_destination {
    /* Set at any time. */
    _Atomic bool hold_grants, hold_completions, hold_acks, hold_room, hold_ready, hold_running;
    _Atomic bool answer_pings;
    /* Set before the source connects. */
    struct pr_wire_welcome welcome;
    uint32_t accept_flags;           /* of every region: fresh, unless changed */
    int refuse_lane;                 /* this data lane (from 1) is refused; 0 = none */
    const char *abort_when_refusing; /* said first, if not NULL */
    /* Called first with each message of the source, on its thread; true: no answer to this one. */
    bool (*hook)(struct mock_destination *d, struct mock_lane *lane, enum pr_wire_type type);

    struct mock_fabric *fabric;
    struct mock_lane *control, *data[MOCK_LANES];
    uint32_t regions; /* that hello announced */
    uint64_t acked;
    uint32_t ended;  /* lanes that ended epoch acked + 1 */
    uint64_t marked; /* the fence's epoch; 0 = it did not come yet */
    bool stream_ended, said_ready;
    pthread_mutex_t lock;
    uint8_t *memory;
    pagerail_source *source;
};

#define MOCK_REGION_BYTES (UINT64_C(1) << 20)

/* Listens at "mock:" with MOCK_LANES lanes. */
void mock_destination_open(struct mock_destination *d);

/* Makes a source with these options (NULL = MOCK_LANES lanes, windows of 64 KiB) and connects it
 * with one region of MOCK_REGION_BYTES; returns what connect returned. */
int mock_destination_connect(struct mock_destination *d, const struct pagerail_options *options);

/* Frees the source, and fails the test if it left anything behind. */
void mock_destination_close(struct mock_destination *d);

/* Says something on the control lane. */
void mock_destination_say(struct mock_destination *d, enum pr_wire_type empty);
void mock_destination_ack(struct mock_destination *d, uint64_t epoch);
void mock_destination_abort(struct mock_destination *d, const char *reason);
void mock_destination_welcome(struct mock_destination *d);

#endif
