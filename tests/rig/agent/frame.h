// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the parts of the lab say to each other: frames on byte streams. rig-on speaks to its host's
 * agent over a Unix socket, an agent to the hub outside (tests/rig/lab/hub.py) over a virtio port.
 *
 * A job is a command with three streams: 0 its input, 1 its output, 2 its errors. It has a client,
 * on the host that wants it run, and a worker, on the host that runs it. The client's host and a
 * number given there name the job everywhere.
 *
 * Each stream starts with a credit of FRAME_WINDOW_BYTES; its sender may not have more than that on
 * the way, and whoever consumed bytes gives them back with FRAME_CREDIT. So nobody in between needs
 * more memory than that for a stream, nor has to keep one stream waiting for another.
 *
 * A header is 12 bytes, little-endian as the only processor of the lab is, and len_bytes of payload
 * follow.
 */
#ifndef TESTS_RIG_AGENT_FRAME_H
#define TESTS_RIG_AGENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_WINDOW_BYTES = 128 * 1024,
    FRAME_CHUNK_BYTES = 32 * 1024,     // the most DATA in one frame
    FRAME_PAYLOAD_MAX_BYTES = 4 << 20, // the most of any frame: EXEC has arguments and environment
    FRAME_OUTSIDE = 255,               // the hub, as a host
};

enum frame_type {
    // From the client to the worker.
    FRAME_EXEC = 'X',   // texts, each with its NUL: "1" for a terminal, rows, columns, folder,
                        // count of arguments, arguments, environment
    FRAME_END = 'E',    // of stream 0
    FRAME_SIGNAL = 'S', // u32
    FRAME_SIZE = 'W',   // of the terminal: u32 rows, u32 columns
    FRAME_HANGUP = 'H', // the client is gone: the job is killed
    // From the worker to the client.
    FRAME_EXIT = 'Q', // u32, as a shell's $?
    // Both ways, by the stream.
    FRAME_DATA = 'D',
    FRAME_CREDIT = 'C', // u32
    // Between the hub and an agent.
    FRAME_READY = 'R', // the agent runs
    FRAME_STOP = 'Z',  // kill everything and write it all back; the answer is the same
};

struct frame {
    uint32_t len_bytes;
    uint32_t job;
    uint8_t type;
    uint8_t to;    // host
    uint8_t owner; // host of the client
    uint8_t stream;
};

// Bytes that wait: filled at the end, consumed from the start. All zero is an empty one.
struct queue {
    char *data;
    size_t start, end, capacity;
};

static inline size_t queue_len_bytes(const struct queue *queue)
{
    return queue->end - queue->start;
}

void queue_add(struct queue *queue, const void *data, size_t len_bytes);
void queue_free(struct queue *queue);

// One read() from fd to the queue's end, one write() of its start to fd. Returns the bytes moved, 0
// if that would block, -1 at the stream's end or on an error.
long queue_read(struct queue *queue, int fd, size_t max_bytes);
long queue_write(struct queue *queue, int fd);

// The frame's len_bytes is that of the payload.
void frame_put(struct queue *queue, struct frame frame, const void *payload, size_t len_bytes);
void frame_put_u32(struct queue *queue, struct frame frame, uint32_t value);

// Takes the next whole frame off the queue; the payload is valid until the queue is next touched.
bool frame_take(struct queue *queue, struct frame *frame, const char **payload);

// The u32 at the payload's start; 0 if it is shorter.
uint32_t frame_u32(const struct frame *frame, const char *payload);

// Whether the frame is meant for the worker of its job, not for the client.
bool frame_for_worker(const struct frame *frame);

// Zeroed memory, to be freed with free(); there is none: the process ends.
void *rig_alloc(size_t len_bytes);

// Ends the process with a sentence on stderr: what the lab cannot do without went wrong.
_Noreturn void rig_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
