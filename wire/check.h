/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every codec of this folder is made of: the frame of a message, and the checks of its limits.
 *
 * A limit is written once, in a message's check function, and used by both sides: by the encoder
 * with EINVAL (our own mistake), by the decoder with EPROTO (the peer's). A check keeps the first
 * violation, like a spent cursor, so that check functions read like a table of limits.
 */
#ifndef PR_WIRE_CHECK_H
#define PR_WIRE_CHECK_H

#include "base/cursor.h"
#include "wire/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pr_wire_check {
    const char *message; /* its name */
    int err;             /* EINVAL or EPROTO: whose mistake a violation is */
    const char *array;   /* the array whose element is being checked, or NULL */
    unsigned at;         /* index of that element */
    int failed;          /* 0, or the negative errno whose sentence is recorded */
};

struct pr_wire_check pr_wire_check_of(const char *message, int err);

/* The fields that follow are those of array[at]; with NULL, of the message again. */
void pr_wire_check_item(struct pr_wire_check *c, const char *array, unsigned at);

void pr_wire_check_range(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t min,
                         uint64_t max);
void pr_wire_check_power(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t min,
                         uint64_t max);
void pr_wire_check_multiple(struct pr_wire_check *c, const char *field, uint64_t value,
                            uint64_t unit);
void pr_wire_check_bits(struct pr_wire_check *c, const char *field, uint64_t value, uint64_t known);

/* A name: terminated inside its `size` bytes, not empty, printable. */
void pr_wire_check_name(struct pr_wire_check *c, const char *field, const char *text, size_t size);

/* Any other limit: `expected` says what the field must be. */
void pr_wire_check_that(struct pr_wire_check *c, bool holds, const char *field,
                        const char *expected);

/* Of a token: nobody has filled it in. */
bool pr_wire_all_zero(const uint8_t *bytes, size_t len);

/* Reads a string into a buffer of `size`; too long or with a NUL inside is a violation in c. */
void pr_wire_read_text(struct pr_reader *r, struct pr_wire_check *c, const char *field, char *to,
                       size_t size);

/* 0, or the first of: a violation in c, bytes missing, bytes left over. */
int pr_wire_read_end(const struct pr_reader *r, const struct pr_wire_check *c);

/* Starts a message of at most PR_WIRE_MAX_MESSAGE with its header; end fills in body_len and
 * returns the total length, or -EMSGSIZE with a sentence. */
struct pr_writer pr_wire_begin(enum pr_wire_type type, void *to, size_t size);
int pr_wire_end(struct pr_writer *w, enum pr_wire_type type);

#endif
