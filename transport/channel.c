/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/channel.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETIONS_AT_ONCE 32
#define POLLS_AT_ONCE 8 /* then the caller looks at its other duties */

void pr_channel_open(struct pr_channel *channel, struct pr_lane *lane, const struct pr_event *wake)
{
    *channel = (struct pr_channel){
        .lane = lane,
        .peer_depth = PR_WIRE_MIN_RECV_DEPTH,
        .credits = PR_WIRE_MIN_RECV_DEPTH,
        .our_depth = lane->fabric->limits.recv_depth,
        .told_depth = PR_WIRE_MIN_RECV_DEPTH,
        .message_bytes = PR_WIRE_MIN_MESSAGE,
        .heard_ns = pr_now_ns(),
        .spoke_ns = pr_now_ns(),
        .wake = wake,
    };
    pthread_mutex_init(&channel->lock, NULL);
}

void pr_channel_agree(struct pr_channel *channel, uint32_t peer_depth, uint32_t peer_message_bytes)
{
    uint32_t ours = channel->lane->fabric->limits.max_message_bytes;
    uint32_t bytes = peer_message_bytes < ours ? peer_message_bytes : ours;
    channel->message_bytes = bytes < PR_WIRE_MAX_MESSAGE ? bytes : PR_WIRE_MAX_MESSAGE;
    channel->credits += peer_depth - channel->peer_depth;
    channel->peer_depth = peer_depth;
}

void pr_channel_told(struct pr_channel *channel)
{
    channel->told_depth = channel->our_depth;
}

static void drop_letters(struct pr_channel *channel)
{
    while (channel->first) {
        struct pr_letter *letter = channel->first;
        channel->first = letter->next;
        free(letter);
    }
    atomic_store(&channel->backlog, 0);
}

void pr_channel_close(struct pr_channel *channel)
{
    if (!channel->lane)
        return;
    pr_lane_close(channel->lane);
    channel->lane = NULL;
    drop_letters(channel);
    pthread_mutex_destroy(&channel->lock);
}

static struct pr_letter *write_letter(const void *message, int len)
{
    struct pr_letter *letter = malloc(sizeof(*letter) + (size_t)len);
    if (!letter)
        return NULL;
    letter->next = NULL;
    letter->len = (uint32_t)len;
    memcpy(letter->bytes, message, (size_t)len);
    return letter;
}

static void append_locked(struct pr_channel *channel, struct pr_letter *letter)
{
    if (channel->first)
        channel->last->next = letter;
    else
        channel->first = letter;
    channel->last = letter;
    atomic_fetch_add(&channel->backlog, 1);
}

int pr_channel_send(struct pr_channel *channel, const void *message, int len, uint64_t *ticket)
{
    if (len < 0)
        return len;
    struct pr_letter *letter = write_letter(message, len);
    if (!letter)
        return pr_error(ENOMEM, "no memory for a message");
    pthread_mutex_lock(&channel->lock);
    bool shut = channel->shut;
    if (!shut)
        append_locked(channel, letter);
    uint64_t number = ++channel->queued;
    pthread_mutex_unlock(&channel->lock);
    if (shut) {
        free(letter);
        return pr_error(ESHUTDOWN, "the session has ended already");
    }
    if (ticket)
        *ticket = number;
    if (channel->wake)
        pr_event_raise(channel->wake);
    return 0;
}

int pr_channel_last_word(struct pr_channel *channel, const void *message, int len)
{
    struct pr_letter *letter = len > 0 ? write_letter(message, len) : NULL;
    pthread_mutex_lock(&channel->lock);
    channel->shut = true;
    drop_letters(channel);
    if (letter)
        append_locked(channel, letter);
    pthread_mutex_unlock(&channel->lock);
    return letter || len <= 0 ? 0 : pr_error(ENOMEM, "no memory for a message");
}

bool pr_channel_posted(const struct pr_channel *channel, uint64_t ticket)
{
    return atomic_load(&channel->posted) >= ticket;
}

static int take_credits(struct pr_channel *channel, uint16_t credits)
{
    if (credits > channel->peer_depth - channel->credits)
        return pr_error(EPROTO, "the peer gave back more receive buffers than it has");
    channel->credits += credits;
    return 0;
}

static int receive(struct pr_channel *channel, const struct pr_channel_handler *handler,
                   const struct pr_completion *c)
{
    struct pr_wire_header header = {0};
    const void *body = NULL;
    int err = channel->owed < channel->our_depth
                  ? pr_wire_header_decode(&header, &body, c->bytes, c->len)
                  : pr_error(EPROTO, "the peer sent more messages than it was given buffers for");
    if (!err)
        err = take_credits(channel, header.credits);
    if (!err && header.type == PR_WIRE_CREDIT)
        err = pr_wire_empty_decode(PR_WIRE_CREDIT, body, header.body_len);
    else if (!err)
        err = handler->message(handler->opaque, header.type, body, header.body_len);
    pr_lane_recv_done(channel->lane, c->bytes);
    channel->owed++;
    channel->heard_ns = pr_now_ns();
    return err;
}

static int complete(struct pr_channel *channel, const struct pr_channel_handler *handler,
                    const struct pr_completion *c)
{
    switch (c->op) {
    case PR_OP_RECV:
        return receive(channel, handler, c);
    case PR_OP_WRITE:
        return handler->written ? handler->written(handler->opaque, c->tag) : 0;
    case PR_OP_SEND:
        if (!channel->in_flight)
            return pr_error(EIO, "the fabric completed a message that was not sent");
        channel->in_flight--;
        return 0;
    case PR_OP_READ:
        return 0;
    case PR_OP_RECV_IMM:
        return pr_error(EPROTO, "the peer sent immediate data, which this protocol does not use");
    }
    return pr_error(EIO, "the fabric reported an unknown completion");
}

static int take_in(struct pr_channel *channel, const struct pr_channel_handler *handler)
{
    struct pr_completion done[COMPLETIONS_AT_ONCE];
    int moved = 0;
    for (int polls = 0; polls < POLLS_AT_ONCE; polls++) {
        int n = pr_lane_poll(channel->lane, done, COMPLETIONS_AT_ONCE);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            int err = complete(channel, handler, &done[i]);
            if (err)
                return err;
        }
        moved |= n > 0;
        if (n < COMPLETIONS_AT_ONCE)
            break;
    }
    return moved;
}

/* 1 posted, 0 no place on the lane now. */
static int post(struct pr_channel *channel, void *message, uint32_t len)
{
    uint16_t credits = channel->owed < UINT16_MAX ? (uint16_t)channel->owed : UINT16_MAX;
    pr_wire_set_credits(message, credits);
    int err = pr_lane_post_send(channel->lane, message, len, 0, true);
    if (err == -EAGAIN)
        return 0;
    if (err)
        return err;
    channel->owed -= credits;
    channel->credits--;
    channel->in_flight++;
    channel->spoke_ns = pr_now_ns();
    return 1;
}

static int post_first_letter(struct pr_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    struct pr_letter *letter = channel->first;
    pthread_mutex_unlock(&channel->lock);
    if (!letter)
        return 0;
    int posted = post(channel, letter->bytes, letter->len);
    if (posted <= 0)
        return posted;
    pthread_mutex_lock(&channel->lock);
    channel->first = letter->next;
    atomic_fetch_sub(&channel->backlog, 1);
    if (!channel->shut)
        atomic_fetch_add(&channel->posted, 1);
    pthread_mutex_unlock(&channel->lock);
    free(letter);
    return 1;
}

static int post_credit(struct pr_channel *channel)
{
    uint8_t message[PR_WIRE_HEADER_BYTES];
    int len = pr_wire_empty_encode(PR_WIRE_CREDIT, message, sizeof(message));
    return len < 0 ? len : post(channel, message, (uint32_t)len);
}

static int post_out(struct pr_channel *channel)
{
    int moved = 0, posted;
    while (channel->credits > 1 && (posted = post_first_letter(channel)) != 0) {
        if (posted < 0)
            return posted;
        moved = 1;
    }
    if (channel->credits && channel->owed >= channel->told_depth / 2) {
        posted = post_credit(channel);
        if (posted < 0)
            return posted;
        moved |= posted;
    }
    return moved;
}

/* A peer may have said its last words, or released its guest, between our last look and the post
 * that found it gone: that comes first. */
static int hear_out(struct pr_channel *channel, const struct pr_channel_handler *handler, int err)
{
    char own[PAGERAIL_ERROR_MAX];
    snprintf(own, sizeof(own), "%s", pr_error_message());
    int in = take_in(channel, handler);
    return in < 0 ? in : pr_error(-err, "%s", own);
}

int pr_channel_pump(struct pr_channel *channel, const struct pr_channel_handler *handler)
{
    int in = take_in(channel, handler);
    if (in < 0)
        return in;
    int out = post_out(channel);
    int err = out < 0 ? out : pr_lane_flush(channel->lane);
    return err ? hear_out(channel, handler, err) : in | out;
}

bool pr_channel_sleep(struct pr_channel *channel, struct pollfd *fd)
{
    *fd = (struct pollfd){.fd = pr_lane_fd(channel->lane), .events = POLLIN};
    return pr_lane_arm(channel->lane) == 0;
}
