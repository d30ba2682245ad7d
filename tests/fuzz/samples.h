/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every message of the wire as a row of one table, with legal random values: what the codec's unit
 * tests, the fuzz targets and the seed corpus walk through.
 */
#ifndef PR_TESTS_FUZZ_SAMPLES_H
#define PR_TESTS_FUZZ_SAMPLES_H

#include "wire/codec.h"

#include <stddef.h>
#include <stdint.h>

/* splitmix64. Any state is a good seed; the same seed gives the same messages on every machine. */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *r);

/* A value in [min, max]; the two ends come often. */
uint64_t random_between(struct random *r, uint64_t min, uint64_t max);

/* Large enough and aligned for any message. */
union any_message {
    struct pr_wire_knock knock;
    struct pr_wire_hello hello;
    struct pr_wire_region region;
    struct pr_wire_welcome welcome;
    struct pr_wire_accept accept;
    struct pr_wire_abort abort;
    struct pr_wire_want want;
    struct pr_wire_grant grant;
    struct pr_wire_drop drop;
    struct pr_wire_zero zero;
    struct pr_wire_epoch_end epoch_end;
    struct pr_wire_epoch_ack epoch_ack;
    struct pr_wire_stream stream;
    struct pr_wire_stream_end stream_end;
    struct pr_wire_stream_limit stream_limit;
    struct pr_wire_ping ping;
    struct pr_wire_running running;
};

struct sample {
    const char *name;
    unsigned type;       /* enum pr_wire_type; 0 = the knock, which has no header */
    size_t struct_bytes; /* 0 = a message without a body */
    size_t max_body;     /* the longest legal body (of the knock: its length) */
    void (*fill)(union any_message *out, struct random *r);
    int (*encode)(const union any_message *message, void *to, size_t size);
    int (*decode)(union any_message *out, const void *body, size_t len);
};

/* The knock first, then every type in order. */
extern const struct sample samples[PR_WIRE_TYPES];

/* NULL when there is no such message. */
const struct sample *sample_named(const char *name);

/* All zero, then filled with legal values: equal messages are equal in memory. */
void sample_fill(const struct sample *s, union any_message *out, struct random *r);

/* Bytes that stand before the body in what encode wrote. */
size_t sample_header_bytes(const struct sample *s);

#endif
