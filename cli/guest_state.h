/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device state of a synthetic guest: all that a destination must know to go on writing, and to
 * check every page, beside the memory itself. Pure data and its codec.
 */
#ifndef PR_CLI_GUEST_STATE_H
#define PR_CLI_GUEST_STATE_H

#include "cli/guest_model.h"
#include "cli/guest_pattern.h"

#include <stdint.h>

#define PR_GUEST_THREADS_MAX 256u

/* More writes than a thread makes in two weeks at 100 Gb/s; a peer that says more would only keep
 * the destination busy replaying. */
#define PR_GUEST_WRITES_MAX (1ull << 36)

#define PR_BOOT_ID_BYTES 37 /* with its terminator */

/* What kind of guest. */
struct pr_guest_plan {
    uint64_t seed;
    enum pr_guest_pattern pattern;
    enum pr_guest_fill fill;
    uint32_t threads;
    uint64_t rate_Bps; /* of page writes, all threads together; 0 = idle */
};

struct pr_guest_thread_state {
    uint64_t made;    /* writes */
    uint64_t beat_ns; /* last heartbeat, by the source's CLOCK_MONOTONIC */
};

struct pr_guest_state {
    struct pr_guest_plan plan;
    uint64_t len_bytes;             /* of memory */
    uint64_t stopped_ns;            /* when the stop was asked for, same clock */
    char boot_id[PR_BOOT_ID_BYTES]; /* tells whether that clock is this machine's too; may be "" */
    struct pr_guest_thread_state thread[PR_GUEST_THREADS_MAX];
};

#define PR_GUEST_STATE_BYTES_MAX (128 + 16 * PR_GUEST_THREADS_MAX)

/* Bytes written, or -EMSGSIZE. */
int pr_guest_state_encode(const struct pr_guest_state *state, void *to, size_t size);

/* Every field of *out is in its range when it returns 0. -EPROTO with a sentence otherwise. */
int pr_guest_state_decode(struct pr_guest_state *out, const void *from, size_t len);

/* This boot's name; "" when the kernel does not tell. */
void pr_boot_id(char out[PR_BOOT_ID_BYTES]);

#endif
