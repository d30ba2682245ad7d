/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/stream.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Letters in the outbox at which a writer waits: enough to keep every lane's receive buffers busy,
 * little enough that a window's worth is not copied twice. */
#define BACKLOG_LIMIT 32

void pr_stream_in_open(struct pr_stream_in *in)
{
    *in = (struct pr_stream_in){.end = UINT64_MAX};
    pthread_mutex_init(&in->lock, NULL);
}

void pr_stream_in_close(struct pr_stream_in *in)
{
    if (in->ring)
        munmap(in->ring, PR_STREAM_WINDOW_BYTES);
    in->ring = NULL;
    pthread_mutex_destroy(&in->lock);
}

static uint32_t piece_bytes(const struct pr_channel *channel)
{
    return channel->message_bytes - PR_WIRE_HEADER_BYTES - 12;
}

ssize_t pr_stream_write(struct pr_stream_out *out, struct pr_channel *channel, const void *bytes,
                        size_t len)
{
    if (out->ended)
        return pr_error(EINVAL, "the stream was ended already");
    const uint8_t *from = bytes;
    size_t done = 0;
    while (done < len && pr_channel_backlog(channel) < BACKLOG_LIMIT) {
        uint64_t room = atomic_load(&out->limit) - out->sent;
        uint64_t piece = len - done;
        piece = piece < piece_bytes(channel) ? piece : piece_bytes(channel);
        piece = piece < room ? piece : room;
        if (!piece)
            break;
        struct pr_wire_stream message = {out->sent, (uint32_t)piece, from + done};
        uint8_t buffer[PR_WIRE_MAX_MESSAGE];
        int err = pr_channel_send(channel, buffer,
                                  pr_wire_stream_encode(&message, buffer, sizeof(buffer)), NULL);
        if (err)
            return err;
        out->sent += piece;
        done += piece;
    }
    return (ssize_t)done;
}

int pr_stream_write_end(struct pr_stream_out *out, struct pr_channel *channel)
{
    if (out->ended)
        return 0;
    out->ended = true;
    struct pr_wire_stream_end message = {out->sent};
    uint8_t buffer[64];
    return pr_channel_send(channel, buffer,
                           pr_wire_stream_end_encode(&message, buffer, sizeof(buffer)), NULL);
}

int pr_stream_limit(struct pr_stream_out *out, const struct pr_wire_stream_limit *message)
{
    if (message->limit < atomic_load(&out->limit))
        return pr_error(EPROTO, "the peer took back room it had offered for the stream");
    atomic_store(&out->limit, message->limit);
    return 0;
}

static int announce(struct pr_stream_in *in, struct pr_channel *channel)
{
    in->announced = in->consumed + PR_STREAM_WINDOW_BYTES;
    struct pr_wire_stream_limit message = {in->announced};
    uint8_t buffer[64];
    return pr_channel_send(channel, buffer,
                           pr_wire_stream_limit_encode(&message, buffer, sizeof(buffer)), NULL);
}

int pr_stream_announce(struct pr_stream_in *in, struct pr_channel *channel)
{
    pthread_mutex_lock(&in->lock);
    int err = announce(in, channel);
    pthread_mutex_unlock(&in->lock);
    return err;
}

/* Copies between the ring and a flat buffer, in at most two pieces. */
static void ring_copy(struct pr_stream_in *in, uint64_t at, void *flat, size_t len, bool into_ring)
{
    uint64_t start = at % PR_STREAM_WINDOW_BYTES;
    size_t first = PR_STREAM_WINDOW_BYTES - start < len ? PR_STREAM_WINDOW_BYTES - start : len;
    uint8_t *bytes = flat;
    if (into_ring) {
        memcpy(in->ring + start, bytes, first);
        memcpy(in->ring, bytes + first, len - first);
    } else {
        memcpy(bytes, in->ring + start, first);
        memcpy(bytes + first, in->ring, len - first);
    }
}

/* Not by malloc: what it is given back by one thread it may keep for that thread's next time. */
static int map_ring(struct pr_stream_in *in)
{
    void *ring = mmap(NULL, PR_STREAM_WINDOW_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED)
        return pr_error(ENOMEM, "no memory for the stream's buffer");
    in->ring = ring;
    return 0;
}

static int store(struct pr_stream_in *in, const struct pr_wire_stream *message)
{
    if (message->offset != in->received || in->end != UINT64_MAX)
        return pr_error(EPROTO, "the peer's stream has a gap or goes on after its end");
    if (message->len > in->announced - in->received)
        return pr_error(EPROTO, "the peer sent more of the stream than it was given room for");
    int err = in->ring ? 0 : map_ring(in);
    if (err)
        return err;
    ring_copy(in, in->received, (void *)message->bytes, message->len, true);
    in->received += message->len;
    return 0;
}

int pr_stream_receive(struct pr_stream_in *in, const struct pr_wire_stream *message)
{
    pthread_mutex_lock(&in->lock);
    int err = store(in, message);
    pthread_mutex_unlock(&in->lock);
    return err;
}

uint64_t pr_stream_received(struct pr_stream_in *in)
{
    pthread_mutex_lock(&in->lock);
    uint64_t received = in->received;
    pthread_mutex_unlock(&in->lock);
    return received;
}

int pr_stream_receive_end(struct pr_stream_in *in, const struct pr_wire_stream_end *message)
{
    pthread_mutex_lock(&in->lock);
    int err = 0;
    if (message->len != in->received || in->end != UINT64_MAX)
        err = pr_error(EPROTO, "the peer's stream ends at another place than its bytes");
    else
        in->end = message->len;
    pthread_mutex_unlock(&in->lock);
    return err;
}

ssize_t pr_stream_read(struct pr_stream_in *in, struct pr_channel *channel, void *to, size_t size,
                       bool *ended)
{
    pthread_mutex_lock(&in->lock);
    uint64_t ready = in->received - in->consumed;
    size_t take = ready < size ? (size_t)ready : size;
    if (take)
        ring_copy(in, in->consumed, to, take, false);
    in->consumed += take;
    *ended = in->consumed == in->end;
    int err = 0;
    /* A quarter at a time: often enough to keep the writer going, seldom enough not to chatter. */
    if (!*ended &&
        in->consumed + PR_STREAM_WINDOW_BYTES - in->announced >= PR_STREAM_WINDOW_BYTES / 4)
        err = announce(in, channel);
    pthread_mutex_unlock(&in->lock);
    return err ? err : (ssize_t)take;
}
