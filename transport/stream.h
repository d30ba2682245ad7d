/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a byte stream over the control channel. The reader announces up to which offset
 * it has room, so the writer keeps a whole window under way and never waits for a single message's
 * answer.
 *
 * THREADS. Two: the caller's (write, read) and the control thread's (what messages bring). Neither
 * function blocks; the session waits between tries.
 */
#ifndef PR_TRANSPORT_STREAM_H
#define PR_TRANSPORT_STREAM_H

#include "transport/channel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Room that a reader offers: covers 150 ms of round trip at 27 MB/s, far more than device state
 * needs, and costs this much memory a session. */
#define PR_STREAM_WINDOW_BYTES (UINT64_C(4) << 20)

struct pr_stream_out {
    _Atomic uint64_t sent;  /* the caller's thread sets it */
    _Atomic uint64_t limit; /* control thread sets it */
    bool ended;
};

struct pr_stream_in {
    pthread_mutex_t lock;
    uint8_t *ring;             /* PR_STREAM_WINDOW_BYTES; mapped with the first byte */
    _Atomic uint64_t received; /* statistics read it without the lock */
    uint64_t consumed, announced;
    uint64_t end; /* UINT64_MAX until stream_end came */
};

void pr_stream_in_open(struct pr_stream_in *in);
void pr_stream_in_close(struct pr_stream_in *in);

/* Queues as much as the window and the outbox take now: bytes taken (0 = wait), or negative. */
ssize_t pr_stream_write(struct pr_stream_out *out, struct pr_channel *channel, const void *bytes,
                        size_t len);
int pr_stream_write_end(struct pr_stream_out *out, struct pr_channel *channel);

/* Control thread: the peer's reader has room. */
int pr_stream_limit(struct pr_stream_out *out, const struct pr_wire_stream_limit *message);

/* Tells the peer how far it may send. Once at the start; afterwards reading does it. */
int pr_stream_announce(struct pr_stream_in *in, struct pr_channel *channel);

/* Control thread: bytes came, the end came. -EPROTO when they break the peer's own limit. */
int pr_stream_receive(struct pr_stream_in *in, const struct pr_wire_stream *message);
int pr_stream_receive_end(struct pr_stream_in *in, const struct pr_wire_stream_end *message);

/* Bytes that have come so far. Any thread. */
uint64_t pr_stream_received(struct pr_stream_in *in);

/* Takes up to size bytes: how many; 0 with *ended set at the end; 0 without: none now. */
ssize_t pr_stream_read(struct pr_stream_in *in, struct pr_channel *channel, void *to, size_t size,
                       bool *ended);

#endif
