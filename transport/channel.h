/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages over one lane.
 *
 * CREDITS. A message needs a receive buffer at the peer. Each side knows how many the other has and
 * counts them down as it sends; a buffer that was given back is announced in the header of the next
 * message that goes the other way, or in a credit message when half of those that the peer knows of
 * are owed. An ordinary message leaves the last credit untouched, so a credit message can always
 * go: of the two sides, the one whose credit message came later has refilled the other, and that
 * one can answer.
 *
 * THREADS. One thread owns a channel and pumps it; any thread may queue a message.
 */
#ifndef PR_TRANSPORT_CHANNEL_H
#define PR_TRANSPORT_CHANNEL_H

#include "rdma/fabric.h"
#include "wire/codec.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* A message that waits to be posted. */
struct pr_letter {
    struct pr_letter *next;
    uint32_t len;
    uint8_t bytes[];
};

struct pr_channel {
    struct pr_lane *lane; /* owned */
    uint32_t peer_depth;  /* receive buffers of the peer */
    uint32_t credits;     /* of them free */
    uint32_t our_depth;
    uint32_t told_depth;    /* as many of ours as the peer knows of */
    uint32_t owed;          /* buffers of ours that were freed and not announced */
    uint32_t in_flight;     /* messages posted and not completed */
    uint32_t message_bytes; /* the longest message that both sides can take */
    uint64_t heard_ns;      /* last message from the peer */
    uint64_t spoke_ns;      /* last message to the peer */
    pthread_mutex_t lock;   /* the outbox */
    bool shut;              /* the last word was said */
    struct pr_letter *first, *last;
    _Atomic uint32_t backlog;    /* letters in the outbox */
    uint64_t queued;             /* letters ever queued: tickets */
    _Atomic uint64_t posted;     /* letters ever posted */
    const struct pr_event *wake; /* the owner waits for it; NULL = the owner queues by itself */
};

/* What the owner makes of what comes in. Each returns 0 or a negative errno, which ends the pump.
 */
struct pr_channel_handler {
    int (*message)(void *opaque, enum pr_wire_type type, const void *body, uint32_t len);
    int (*written)(void *opaque, uint64_t tag); /* completion of a signalled write; may be NULL */
    void *opaque;
};

/* Takes the lane over. Before the handshake a peer is known to have PR_WIRE_MIN_RECV_DEPTH buffers
 * and to take PR_WIRE_MIN_MESSAGE bytes; pr_channel_agree says what it told later. */
void pr_channel_open(struct pr_channel *channel, struct pr_lane *lane, const struct pr_event *wake);
void pr_channel_agree(struct pr_channel *channel, uint32_t peer_depth, uint32_t peer_message_bytes);

/* The peer knows how many buffers we have from here on, so it can wait longer for its credits. */
void pr_channel_told(struct pr_channel *channel);

/* Closes the lane and drops what was not posted. Safe on a zeroed struct and twice. */
void pr_channel_close(struct pr_channel *channel);

/*
 * Queues a message. len: what the encoder returned; a negative one is passed through.
 * ticket: receives its number, for pr_channel_posted; may be NULL.
 * THREAD-SAFETY: any thread. ERRORS: -ENOMEM; -ESHUTDOWN after the last word.
 */
int pr_channel_send(struct pr_channel *channel, const void *message, int len, uint64_t *ticket);

/* True when the letter of that ticket has been posted to the lane. Any thread. */
bool pr_channel_posted(const struct pr_channel *channel, uint64_t ticket);

/*
 * Owner: drops every letter that was not posted (their tickets never will be) and takes no more;
 * the message, if len is above 0, is the only one that still goes out. For a session that failed:
 * what was queued before, a release for example, must not follow its end. ERRORS: -ENOMEM: then
 * nothing goes out.
 */
int pr_channel_last_word(struct pr_channel *channel, const void *message, int len);

/* Letters that wait for credits or a place on the lane. Any thread. */
static inline uint32_t pr_channel_backlog(const struct pr_channel *channel)
{
    return atomic_load_explicit(&channel->backlog, memory_order_relaxed);
}

/* Owner: nothing waits, and nothing that was posted is still under way. */
static inline bool pr_channel_quiet(const struct pr_channel *channel)
{
    return !pr_channel_backlog(channel) && !channel->in_flight;
}

/*
 * Owner: takes in what came, posts what can go, flushes the lane.
 * RETURN VALUE: 1 something moved, 0 nothing to do now, negative: the lane or a handler failed.
 */
int pr_channel_pump(struct pr_channel *channel, const struct pr_channel_handler *handler);

/* Owner: fills one pollfd and arms the lane; false when there is something to pump already. */
bool pr_channel_sleep(struct pr_channel *channel, struct pollfd *fd);

#endif
