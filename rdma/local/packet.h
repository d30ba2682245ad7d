/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that crosses the socket, on one page. Little-endian; one packet is one message of the
 * SOCK_SEQPACKET socket.
 *
 * The handshake (C connects, A accepts):
 *   C -> A  HELLO    fds: C's table of keys, the lane's page; C's proof; private data
 *   A -> C  WELCOME  fds: A's table of keys; A's proof         or REFUSAL
 *   C -> A  READY                                              or REFUSAL
 * A proof is an address in the sender's memory and the secret that is there. The other side reads
 * it from there and writes an answer beside it: so both know that they reach the right process.
 *
 *   every greeting:  u32 magic, u16 version, u8 kind
 *   HELLO            u64 proof address, 16 bytes secret, u16 length, private data
 *   WELCOME          u64 proof address, 16 bytes secret
 *   REFUSAL          u32 errno, u16 length, sentence
 *
 * Then messages:     u32 kind, u32 immediate; for PR_LOCAL_MESSAGE the bytes follow.
 */
#ifndef PR_RDMA_LOCAL_PACKET_H
#define PR_RDMA_LOCAL_PACKET_H

#include "base/event.h"

#include <stdint.h>

#define PR_LOCAL_MAGIC 0x4c525250u /* "PRRL" */
#define PR_LOCAL_VERSION 1
#define PR_LOCAL_MAX_PRIVATE 256
#define PR_LOCAL_SECRET_BYTES 16
#define PR_LOCAL_MAX_SENTENCE 400
#define PR_LOCAL_MAX_GREETING 512
#define PR_LOCAL_MAX_FDS 2

enum pr_local_greeting_kind {
    PR_LOCAL_HELLO = 1,
    PR_LOCAL_WELCOME = 2,
    PR_LOCAL_REFUSAL = 3,
    PR_LOCAL_READY = 4,
};

struct pr_local_greeting {
    enum pr_local_greeting_kind kind;
    uint64_t proof;                        /* HELLO, WELCOME */
    uint8_t secret[PR_LOCAL_SECRET_BYTES]; /* HELLO, WELCOME */
    uint8_t private_data[PR_LOCAL_MAX_PRIVATE];
    uint32_t private_len;                     /* HELLO */
    uint32_t err;                             /* REFUSAL: a positive errno */
    char sentence[PR_LOCAL_MAX_SENTENCE + 1]; /* REFUSAL */
    int fds[PR_LOCAL_MAX_FDS];                /* received ones are the receiver's to close */
    unsigned fd_count;
};

/* Sends it with its fds, which stay the caller's. ERRORS: -ECONNRESET the peer is gone. */
int pr_local_greeting_send(int sock, const struct pr_local_greeting *greeting);

/*
 * Takes the next greeting; fds that do not fit its kind are closed.
 * RETURN VALUE: 0; 1 the peer left without a word.
 * ERRORS: -ETIMEDOUT, -ECANCELED, -EPROTO it is no greeting of this version.
 */
int pr_local_greeting_receive(int sock, uint64_t deadline_ns, const struct pr_event *cancel,
                              struct pr_local_greeting *out);

void pr_local_greeting_close_fds(struct pr_local_greeting *greeting);

enum pr_local_message_kind { PR_LOCAL_MESSAGE = 1, PR_LOCAL_IMM = 2 };

struct pr_local_message_head {
    uint32_t kind;
    uint32_t imm;
};

#endif
