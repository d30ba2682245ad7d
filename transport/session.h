/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What both sides of a session have in common: the control channel and the thread that owns it,
 * keep-alive, the first failure, the two streams, and how the caller's thread waits.
 *
 * THREADS. The control thread owns the control channel from pr_session_start until it ends; before
 * that the caller's thread does (handshake). Whoever changes something that the caller may wait for
 * raises `changed`. One caller's thread waits at a time.
 */
#ifndef PR_TRANSPORT_SESSION_H
#define PR_TRANSPORT_SESSION_H

#include "base/error.h"
#include "base/event.h"
#include "base/pool.h"
#include "base/runtime.h"
#include "transport/channel.h"
#include "transport/regions.h"
#include "transport/stream.h"

#include <pagerail/options.h>
#include <pthread.h>
#include <stdatomic.h>

#define PR_SESSION_RTTS 8u

struct pr_session {
    struct pagerail_options options; /* resolved */
    const char *peer_name;           /* "the source" or "the destination", for sentences */
    struct pr_fabric *fabric;        /* NULL until connected or listening */
    struct pr_regions regions;
    uint64_t window_bytes; /* agreed */
    uint32_t peer_silence_ms;
    uint32_t lanes;         /* agreed */
    uint32_t lanes_offered; /* the source's, in its hello */
    struct pr_pool *pool;   /* registration and scans */

    struct pr_channel control;
    struct pr_thread *thread;
    struct pr_event wake;    /* the control thread's */
    struct pr_event changed; /* the caller's: raise it through pr_session_notify */
    _Atomic bool waiting;    /* the caller looks at its condition or sleeps */
    uint64_t deadline_ns;    /* caller's: for its waits without a limit of their own; 0 = none */
    struct pr_event cancel;  /* raised by abort: ends blocking fabric calls */
    _Atomic bool closing;    /* the caller wants the control thread to end */
    _Atomic bool control_over;

    struct pr_failure failure;
    struct pr_failure lane_loss; /* see pr_session_lane_lost */
    _Atomic uint64_t lane_lost_ns;
    pthread_mutex_t lock;     /* decides between abort and the point of no return */
    _Atomic bool committed;   /* past it: abort is too late */
    _Atomic bool handed_over; /* the guest is the destination's, as far as this side knows */

    struct pr_stream_out out;
    struct pr_stream_in in;
    _Atomic bool bye;              /* the peer said it is done */
    uint64_t pinged_ns, ponged_ns; /* the newest ping, and the newest answered; 0: none */
    uint64_t rtts[PR_SESSION_RTTS];
    uint32_t rtt_count;           /* of all, freely running */
    _Atomic uint64_t rtt_ns;      /* the least of rtts; 0: not measured yet */
    _Atomic uint64_t idle_rtt_ns; /* the shortest ever; 0: not measured yet */
    _Atomic uint64_t control_cpu_ns;

    /* The side's own. on_failed: wakes the side's other threads after a failure; any thread, at any
     * time. */
    void (*on_failed)(void *side);
    /* May be NULL. Control thread, at the latest every third of the silence time-out: 0, or a
     * failure. */
    int (*on_tick)(void *side);
    void *side;

    /* Who gets the messages that are not common to both sides: the handshake, then the side. */
    int (*on_message)(void *hearer, enum pr_wire_type type, const void *body, uint32_t len);
    void *hearer;
};

/* Zero-initialised before. options as in pr_options_resolve. */
int pr_session_open(struct pr_session *session, const struct pagerail_options *options);

/* Everything but the side's own threads must have ended. Frees regions, fabric, control channel. */
void pr_session_close(struct pr_session *session);

/* Starts the control thread. */
int pr_session_start(struct pr_session *session);

/* Ends the control thread. What is queued still goes out, for a bounded time, unless the session
 * has failed: then only the reason does. Afterwards nothing is taken in or posted any more. */
void pr_session_stop(struct pr_session *session);

/* Pings, so that the round trip is measured now: at best when no data is on its way, as at the end
 * of an epoch. From on_message. */
int pr_session_measure(struct pr_session *session);

/* Once: the fabric is the session's from now on, and the options suit it. */
void pr_session_set_fabric(struct pr_session *session, struct pr_fabric *fabric);

/* Records a failure (the first counts) with the thread's sentence, wakes everybody; returns err. */
int pr_session_fail(struct pr_session *session, int err);

/*
 * A data lane broke, with the thread's sentence. When a peer ends, its lanes break before its last
 * words on the control channel are read: so this becomes a failure only if the control channel
 * brings no better reason within a moment, and none at all once the guest is handed over or the
 * peer said bye. Any thread.
 */
void pr_session_lane_lost(struct pr_session *session, int err);

/* pagerail_*_abort. */
int pr_session_abort(struct pr_session *session, const char *reason);

/* Something that the caller may wait for has changed. Any thread; cheap while nobody waits. */
void pr_session_notify(struct pr_session *session);

/* The recorded failure or 0. */
static inline int pr_session_failed(struct pr_session *session)
{
    return pr_failure_get(&session->failure);
}

/* Passes the point of no return, unless it failed or was aborted before. */
int pr_session_commit(struct pr_session *session);

/*
 * The caller's thread waits until condition(arg) holds.
 * RETURN VALUE: 0 it holds; -EAGAIN the deadline passed; -ETIMEDOUT a wait without a limit of its
 * own went past the session's deadline_ns, which fails the session; -ECONNRESET the peer ended the
 * session in good order before it could hold; else the session's failure.
 */
int pr_session_wait(struct pr_session *session, bool (*condition)(void *arg), void *arg,
                    uint64_t deadline_ns);

/* Before pr_session_start: the caller's thread pumps the control channel itself, until done(arg) or
 * the deadline. Messages go to on_message. */
int pr_session_pump_until(struct pr_session *session, bool (*done)(void *arg), void *arg,
                          uint64_t deadline_ns);

/* As that: measures the round trip a few times. */
int pr_session_measure_rtt(struct pr_session *session, uint64_t deadline_ns);

/* The stream, with waiting. stall_ms: -ETIMEDOUT when the peer takes nothing in for so long; -1 =
 * no limit. */
int pr_session_write(struct pr_session *session, const void *bytes, size_t len, int stall_ms);
int pr_session_write_end(struct pr_session *session);
ssize_t pr_session_read(struct pr_session *session, void *to, size_t size, uint64_t deadline_ns);

/* Queues a message on the control channel, as pr_channel_send, for the caller's thread: in a
 * session that has failed it returns the failure. The second one: a message without a body. */
int pr_session_send(struct pr_session *session, const void *message, int len, uint64_t *ticket);
int pr_session_send_empty(struct pr_session *session, enum pr_wire_type type, uint64_t *ticket);

/* As that, and waits until the message is on its lane. *ticket stays 0 when it was not even queued;
 * after another error it may have been posted all the same: ask pr_channel_posted when the control
 * thread has ended. ERRORS: -EAGAIN at the deadline. */
int pr_session_post_empty(struct pr_session *session, enum pr_wire_type type, uint64_t *ticket,
                          uint64_t deadline_ns);

/* Before pr_session_start: the handshake failed. Tells the peer why, unless it is the peer that
 * ended it, and records the failure; returns the first one. */
int pr_session_refuse(struct pr_session *session, int err);

#endif
