/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one reader and writer for bytes that come from or go to a peer. Little-endian. A cursor that
 * ran over its end is spent: every later call is harmless (reads give 0, writes do nothing) and
 * pr_reader_end / pr_writer_end report it, so a codec reads like a schema and checks once.
 */
#ifndef PR_BASE_CURSOR_H
#define PR_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pr_reader {
    const uint8_t *at;
    size_t left;
    bool spent;
};

struct pr_reader pr_reader_over(const void *bytes, size_t len);
uint8_t pr_read_u8(struct pr_reader *r);
uint16_t pr_read_u16(struct pr_reader *r);
uint32_t pr_read_u32(struct pr_reader *r);
uint64_t pr_read_u64(struct pr_reader *r);
void pr_read_bytes(struct pr_reader *r, void *to, size_t len); /* zeroes `to` when spent */

/* A view of the next len bytes without copying; NULL when fewer are left. */
const void *pr_read_view(struct pr_reader *r, size_t len);

/* A length-prefixed (u16) string into a buffer of `size` bytes, always terminated. Longer than
 * size - 1, or anything but clean text (base/text.h): the cursor is spent. */
void pr_read_string(struct pr_reader *r, char *to, size_t size);

/* 0 when everything was read and nothing more, else -EPROTO with a sentence naming `what`. */
int pr_reader_end(const struct pr_reader *r, const char *what);

struct pr_writer {
    uint8_t *start;
    uint8_t *at;
    size_t left;
    bool spent;
};

struct pr_writer pr_writer_over(void *bytes, size_t size);
void pr_write_u8(struct pr_writer *w, uint8_t value);
void pr_write_u16(struct pr_writer *w, uint16_t value);
void pr_write_u32(struct pr_writer *w, uint32_t value);
void pr_write_u64(struct pr_writer *w, uint64_t value);
void pr_write_bytes(struct pr_writer *w, const void *from, size_t len);
void pr_write_string(struct pr_writer *w, const char *text); /* u16 length, no terminator */

/* The bytes written, or -EMSGSIZE with a sentence naming `what` when they did not fit. */
int pr_writer_end(const struct pr_writer *w, const char *what);

#endif
