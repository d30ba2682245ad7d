// SPDX-License-Identifier: BSD-2-Clause
#include "tests/rig/agent/frame.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rig_die(const char *format, ...)
{
    fputs("rig: ", stderr);
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\n", stderr);
    exit(125);
}

void *rig_alloc(size_t len_bytes)
{
    void *memory = calloc(1, len_bytes);
    if (!memory)
        rig_die("out of memory: give the host more with --memory");
    return memory;
}

// Room for len_bytes more at the end.
static char *queue_room(struct queue *queue, size_t len_bytes)
{
    if (queue->start == queue->end)
        queue->start = queue->end = 0;
    if (queue->capacity - queue->end < len_bytes && queue->start > 0) {
        memmove(queue->data, queue->data + queue->start, queue_len_bytes(queue));
        queue->end -= queue->start;
        queue->start = 0;
    }
    if (queue->capacity - queue->end < len_bytes) {
        queue->capacity = 2 * queue->capacity + len_bytes;
        queue->data = realloc(queue->data, queue->capacity);
        if (!queue->data)
            rig_die("out of memory: give the host more with --memory");
    }
    return queue->data + queue->end;
}

void queue_add(struct queue *queue, const void *data, size_t len_bytes)
{
    if (len_bytes == 0)
        return;
    memcpy(queue_room(queue, len_bytes), data, len_bytes);
    queue->end += len_bytes;
}

void queue_free(struct queue *queue)
{
    free(queue->data);
    *queue = (struct queue){0};
}

static long moved_bytes(ssize_t got)
{
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

long queue_read(struct queue *queue, int fd, size_t max_bytes)
{
    long got = moved_bytes(read(fd, queue_room(queue, max_bytes), max_bytes));
    if (got > 0)
        queue->end += (size_t)got;
    return got;
}

long queue_write(struct queue *queue, int fd)
{
    if (queue_len_bytes(queue) == 0)
        return 0;
    long got = moved_bytes(write(fd, queue->data + queue->start, queue_len_bytes(queue)));
    if (got > 0)
        queue->start += (size_t)got;
    return got;
}

void frame_put(struct queue *queue, struct frame frame, const void *payload, size_t len_bytes)
{
    frame.len_bytes = (uint32_t)len_bytes;
    queue_add(queue, &frame, sizeof(frame));
    queue_add(queue, payload, len_bytes);
}

void frame_put_u32(struct queue *queue, struct frame frame, uint32_t value)
{
    frame_put(queue, frame, &value, sizeof(value));
}

bool frame_take(struct queue *queue, struct frame *frame, const char **payload)
{
    if (queue_len_bytes(queue) < sizeof(*frame))
        return false;
    memcpy(frame, queue->data + queue->start, sizeof(*frame));
    if (frame->len_bytes > FRAME_PAYLOAD_MAX_BYTES)
        rig_die("a frame of %u bytes: the command's arguments and environment may have 4 MiB",
                frame->len_bytes);
    if (queue_len_bytes(queue) < sizeof(*frame) + frame->len_bytes)
        return false;
    *payload = queue->data + queue->start + sizeof(*frame);
    queue->start += sizeof(*frame) + frame->len_bytes;
    return true;
}

uint32_t frame_u32(const struct frame *frame, const char *payload)
{
    uint32_t value = 0;
    if (frame->len_bytes >= sizeof(value))
        memcpy(&value, payload, sizeof(value));
    return value;
}

bool frame_for_worker(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_DATA:
        return frame->stream == 0;
    case FRAME_CREDIT:
        return frame->stream != 0;
    default:
        return frame->type != FRAME_EXIT;
    }
}
