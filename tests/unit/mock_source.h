/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source made of prepared messages, for a real destination (tests/unit/mock_lane.h). What it says
 * on the control lane before the welcome lies there when the destination accepts; then its data
 * lanes come, then the test goes on.
 */
#ifndef PR_TESTS_UNIT_MOCK_SOURCE_H
#define PR_TESTS_UNIT_MOCK_SOURCE_H

#include "tests/unit/mock_lane.h"

#include <pagerail/transport.h>

#define MOCK_SOURCE_LANES 2
#define MOCK_SOURCE_KNOCKS 32

enum mock_knock {
    MOCK_KNOCK_RIGHT,       /* the lane that comes next, with the right token */
    MOCK_KNOCK_WRONG_TOKEN, /* a stranger who knows the lane */
    MOCK_KNOCK_AGAIN,       /* a lane that is there already */
    MOCK_KNOCK_NONSENSE,    /* bytes that are no knock */
    MOCK_KNOCK_NEWER,       /* speaks newer versions only */
    MOCK_KNOCK_RESET,       /* left in the middle */
};

struct mock_source {
    struct mock_fabric *fabric;
    struct mock_lane *control, *data[MOCK_SOURCE_LANES];
    pagerail_destination *destination;
    uint8_t *memory;
    struct pr_wire_hello hello;
    struct pr_wire_region region;
    /* Who knocks, in this order; behind them everybody is right. */
    enum mock_knock knocks[MOCK_SOURCE_KNOCKS];
    unsigned knock_count, knocked;
    int lane; /* the next right one; 0 = control */
    unsigned refused;
    /* What is said on the control lane before the destination reads it. */
    void (*introduce)(struct mock_source *s);
    /* What is said when the destination's abort is posted, while that is under way; may be NULL. */
    void (*protest)(struct mock_source *s);
};

#define MOCK_SOURCE_BYTES (UINT64_C(1) << 20)

/* Without a destination: whoever listens at "mock:" next gets this source. */
void mock_source_prepare(struct mock_source *s);

/* With one. Options may be NULL. */
void mock_source_open(struct mock_source *s, const struct pagerail_options *options);

/* Lets the destination accept; returns what it returned. */
int mock_source_accept(struct mock_source *s, int timeout_ms);

void mock_source_close(struct mock_source *s);

/* The same where the destination is the test's own business. */
void mock_source_release(struct mock_source *s);

/* The usual introduction: hello and one region. */
void mock_source_introduce(struct mock_source *s);
void mock_source_say_hello(struct mock_source *s);
void mock_source_say_region(struct mock_source *s);

/* On the control lane. */
void mock_source_want(struct mock_source *s, uint32_t window, uint32_t count);
void mock_source_drop(struct mock_source *s, uint32_t window);
void mock_source_stream(struct mock_source *s, uint64_t offset, const void *bytes, uint32_t len);
void mock_source_end_stream(struct mock_source *s, uint64_t len);

/* On a data lane. */
void mock_source_end_epoch(struct mock_source *s, unsigned lane, uint64_t epoch);
void mock_source_zero(struct mock_source *s, unsigned lane, uint64_t epoch,
                      struct pr_wire_range range);

#endif
