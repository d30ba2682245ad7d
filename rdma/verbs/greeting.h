/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two ends say in the private data of connection messages. The connection manager pads it
 * with zeroes, so it carries its length; and a first word that nobody else uses, so that something
 * other than pagerail is refused by name.
 *
 *   bytes 0-3  "PgRl"
 *         4    version, 1
 *         5    kind
 *         6    bytes that follow the head
 *         7    in a request, the MTU of the source's port as InfiniBand numbers it (1 is 256
 *              bytes, 5 is 4096); 0: not told
 */
#ifndef PR_RDMA_VERBS_GREETING_H
#define PR_RDMA_VERBS_GREETING_H

#include <stddef.h>
#include <stdint.h>

#define PR_VERBS_GREETING_HEAD 8
#define PR_VERBS_GREETING_VERSION 1

/* What rdma_cm carries in the port space RDMA_PS_TCP: 56 bytes in a request, 148 in a rejection. */
#define PR_VERBS_MAX_PRIVATE (56 - PR_VERBS_GREETING_HEAD)
#define PR_VERBS_MAX_SENTENCE (148 - PR_VERBS_GREETING_HEAD)
#define PR_VERBS_MAX_GREETING 148

enum pr_verbs_greeting {
    PR_VERBS_REQUEST = 1, /* the caller's private data follows */
    PR_VERBS_WELCOME = 2, /* nothing follows */
    PR_VERBS_REFUSAL = 3, /* a sentence follows */
};

/* to: PR_VERBS_MAX_GREETING bytes. What is longer than fits is cut. Returns the length. */
uint8_t pr_verbs_greeting_encode(enum pr_verbs_greeting kind, uint8_t mtu, const void *bytes,
                                 size_t len, uint8_t *to);

/*
 * Takes private data apart. *bytes points into `from`.
 * ERRORS: -EPROTO it is no such greeting of pagerail; the sentence names what it looks like.
 */
int pr_verbs_greeting_decode(const uint8_t *from, size_t size, enum pr_verbs_greeting kind,
                             const uint8_t **bytes, uint32_t *len);

/* The MTU in a greeting that could be decoded. */
uint8_t pr_verbs_greeting_mtu(const uint8_t *from);

#endif
