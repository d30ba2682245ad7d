/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes <-> messages. Encoders write header and body into `to` and return the total length, or
 * -EMSGSIZE / -EINVAL when the message breaks a limit of wire/messages.h. Decoders take the body
 * alone (pr_wire_header_decode has checked its length) and check every limit that does not depend
 * on the session; they return 0, or -EPROTO with a sentence and `out` untouched or half-filled. The
 * `credits` of a header are 0 after encoding; pr_wire_set_credits fills them in at the last moment.
 * All are pure and thread-safe.
 */
#ifndef PR_WIRE_CODEC_H
#define PR_WIRE_CODEC_H

#include "wire/messages.h"

#include <stddef.h>

/* "hello", "region", ...; "unknown" outside the enum. */
const char *pr_wire_name(unsigned type);

/* Checks type, flags, PR_WIRE_MAX_MESSAGE and that body_len matches; *body points into bytes. */
int pr_wire_header_decode(struct pr_wire_header *out, const void **body, const void *bytes,
                          size_t len);
void pr_wire_set_credits(void *message, uint16_t credits);

/* The highest version in both ranges, or -EPROTONOSUPPORT with a sentence that names both ranges
 * and which side to upgrade. */
int pr_wire_version_choose(uint16_t our_min, uint16_t our_max, uint16_t peer_min,
                           uint16_t peer_max);

/* Messages without a body: credit, ready, release, bye. -EINVAL for any other type. */
int pr_wire_empty_encode(enum pr_wire_type type, void *to, size_t size);
int pr_wire_empty_decode(enum pr_wire_type type, const void *body, size_t len);

/* The knock is private data, not a message: no header, PR_WIRE_KNOCK_BYTES. Zeroes may follow it,
 * as rdma_cm pads private data. */
int pr_wire_knock_encode(const struct pr_wire_knock *knock, void *to, size_t size);
int pr_wire_knock_decode(struct pr_wire_knock *out, const void *bytes, size_t len);

#define PR_WIRE_CODEC(name)                                                                        \
    int pr_wire_##name##_encode(const struct pr_wire_##name *message, void *to, size_t size);      \
    int pr_wire_##name##_decode(struct pr_wire_##name *out, const void *body, size_t len)

PR_WIRE_CODEC(hello);
PR_WIRE_CODEC(region);
PR_WIRE_CODEC(welcome);
PR_WIRE_CODEC(accept);
PR_WIRE_CODEC(abort);
PR_WIRE_CODEC(want);
PR_WIRE_CODEC(grant);
PR_WIRE_CODEC(drop);
PR_WIRE_CODEC(zero);
PR_WIRE_CODEC(epoch_end);
PR_WIRE_CODEC(epoch_ack);
PR_WIRE_CODEC(stream);
PR_WIRE_CODEC(stream_end);
PR_WIRE_CODEC(stream_limit);
PR_WIRE_CODEC(ping);
PR_WIRE_CODEC(running);

/* pong: as ping, with its own type. */
int pr_wire_pong_encode(const struct pr_wire_ping *message, void *to, size_t size);

#undef PR_WIRE_CODEC

#endif
