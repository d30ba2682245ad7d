/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control thread of a session: messages that both sides know, keep-alive, lost lanes, and the
 * last words. Before it runs, the handshake pumps the same channel from the caller's thread.
 */
#include "transport/session.h"

#include <errno.h>
#include <stdio.h>

/* How long an ending session tries to get its last words out. */
#define FAREWELL_MS 500

/* How long a broken data lane waits for a better explanation from the control channel. */
#define LANE_LOSS_GRACE_MS 300

/* Letters in the outbox beyond which a ping needs no answer of its own: the peer hears us by them,
 * and one that floods us with pings cannot make the outbox grow. */
#define PONG_BACKLOG 16

/* To measure the round trip before the first word is said. */
#define MEASURING_PINGS 4
#define SHORT_RTT_NS UINT64_C(20000000)

/* Tells the peer why the session ends, unless it is the peer that ended it. Nothing that was queued
 * before goes out any more: no release may follow the failure that its caller is told of. */
static void say_why(struct pr_session *session, int err)
{
    if (err == -ECONNABORTED) {
        pr_channel_last_word(&session->control, NULL, 0);
        return;
    }
    struct pr_wire_abort message = {.code = -err};
    snprintf(message.reason, sizeof(message.reason), "%.*s", PR_WIRE_MAX_REASON,
             pr_error_message());
    uint8_t buffer[PR_WIRE_MIN_MESSAGE];
    pr_channel_last_word(&session->control, buffer,
                         pr_wire_abort_encode(&message, buffer, sizeof(buffer)));
}

static int on_abort(struct pr_session *session, const void *body, uint32_t len)
{
    struct pr_wire_abort message;
    int err = pr_wire_abort_decode(&message, body, len);
    if (err)
        return err;
    return pr_error(ECONNABORTED, "%s ended the migration: %s", session->peer_name,
                    message.reason[0] ? message.reason : "it gave no reason");
}

static int on_ping(struct pr_session *session, const void *body, uint32_t len)
{
    struct pr_wire_ping message;
    int err = pr_wire_ping_decode(&message, body, len);
    uint8_t buffer[64];
    if (!err && pr_channel_backlog(&session->control) < PONG_BACKLOG)
        err = pr_channel_send(&session->control, buffer,
                              pr_wire_pong_encode(&message, buffer, sizeof(buffer)), NULL);
    return err;
}

/* The least of the last few counts: what a ping waits behind the data of a round is no part of the
 * round trips that a stopped guest waits for. */
static void take_sample(struct pr_session *session, uint64_t rtt_ns)
{
    uint64_t least = rtt_ns;
    session->rtts[session->rtt_count++ % PR_SESSION_RTTS] = rtt_ns;
    for (uint32_t i = 0; i < PR_SESSION_RTTS && i < session->rtt_count; i++) {
        if (session->rtts[i] < least)
            least = session->rtts[i];
    }
    atomic_store(&session->rtt_ns, least);
    uint64_t idle = atomic_load(&session->idle_rtt_ns);
    if (!idle || rtt_ns < idle)
        atomic_store(&session->idle_rtt_ns, rtt_ns);
}

static int on_pong(struct pr_session *session, const void *body, uint32_t len)
{
    struct pr_wire_ping message;
    int err = pr_wire_ping_decode(&message, body, len);
    if (err)
        return err;
    if (!session->pinged_ns || message.sent_ns > session->pinged_ns)
        return pr_error(EPROTO, "%s answered a ping that was never sent", session->peer_name);
    if (message.sent_ns < session->pinged_ns)
        return 0; /* an older one: says nothing about now */
    take_sample(session, pr_now_ns() - message.sent_ns);
    session->ponged_ns = message.sent_ns;
    return 0;
}

static int on_stream(struct pr_session *session, enum pr_wire_type type, const void *body,
                     uint32_t len)
{
    struct pr_wire_stream bytes;
    struct pr_wire_stream_end end;
    struct pr_wire_stream_limit limit;
    int err;
    if (type == PR_WIRE_STREAM) {
        err = pr_wire_stream_decode(&bytes, body, len);
        err = err ? err : pr_stream_receive(&session->in, &bytes);
    } else if (type == PR_WIRE_STREAM_END) {
        err = pr_wire_stream_end_decode(&end, body, len);
        err = err ? err : pr_stream_receive_end(&session->in, &end);
    } else {
        err = pr_wire_stream_limit_decode(&limit, body, len);
        err = err ? err : pr_stream_limit(&session->out, &limit);
    }
    pr_session_notify(session);
    return err;
}

static int on_bye(struct pr_session *session, const void *body, uint32_t len)
{
    int err = pr_wire_empty_decode(PR_WIRE_BYE, body, len);
    if (err)
        return err;
    /* Before the hand-over a session ends by abort. Taken for an end in good order, a bye would
     * hide the loss of lanes that are still needed. */
    if (!atomic_load(&session->handed_over) || atomic_exchange(&session->bye, true))
        return pr_error(EPROTO, "%s said bye out of turn", session->peer_name);
    pr_session_notify(session);
    return 0;
}

static int on_message(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    struct pr_session *session = opaque;
    switch (type) {
    case PR_WIRE_ABORT:
        return on_abort(session, body, len);
    case PR_WIRE_PING:
        return on_ping(session, body, len);
    case PR_WIRE_PONG:
        return on_pong(session, body, len);
    case PR_WIRE_STREAM:
    case PR_WIRE_STREAM_END:
    case PR_WIRE_STREAM_LIMIT:
        return on_stream(session, type, body, len);
    case PR_WIRE_BYE:
        return on_bye(session, body, len);
    default:
        return session->on_message(session->hearer, type, body, len);
    }
}

static int pump(struct pr_session *session)
{
    struct pr_channel_handler handler = {.message = on_message, .opaque = session};
    return pr_channel_pump(&session->control, &handler);
}

static int ignore_message(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)opaque, (void)type, (void)body, (void)len;
    return 0;
}

/* A third of what the less patient side allows, so that two may be late. */
static uint64_t ping_interval_ns(const struct pr_session *session)
{
    uint32_t ours = session->options.silence_timeout_ms, peers = session->peer_silence_ms;
    return (uint64_t)(ours < peers ? ours : peers) * 1000000 / 3;
}

static int ping(struct pr_session *session)
{
    session->pinged_ns = pr_now_ns();
    struct pr_wire_ping message = {session->pinged_ns};
    uint8_t buffer[64];
    return pr_channel_send(&session->control, buffer,
                           pr_wire_ping_encode(&message, buffer, sizeof(buffer)), NULL);
}

int pr_session_measure(struct pr_session *session)
{
    return pr_channel_backlog(&session->control) ? 0 : ping(session);
}

static int keep_alive(struct pr_session *session)
{
    uint64_t now = pr_now_ns();
    uint64_t limit = (uint64_t)session->options.silence_timeout_ms * 1000000;
    if (now - session->control.heard_ns > limit)
        return pr_error(ETIMEDOUT,
                        "%s has been silent for %u ms: its host or process hangs, or the network "
                        "between the hosts is cut",
                        session->peer_name, session->options.silence_timeout_ms);
    /* An outbox that does not move needs no further pings behind it. */
    if (now - session->pinged_ns >= ping_interval_ns(session) &&
        !pr_channel_backlog(&session->control))
        return ping(session);
    return 0;
}

void pr_session_lane_lost(struct pr_session *session, int err)
{
    pr_failure_set(&session->lane_loss, err);
    uint64_t none = 0;
    atomic_compare_exchange_strong(&session->lane_lost_ns, &none, pr_now_ns());
    pr_event_raise(&session->wake);
}

static bool lane_loss_matters(struct pr_session *session)
{
    return atomic_load(&session->lane_lost_ns) && !session->committed &&
           !atomic_load(&session->bye);
}

static int judge_lane_loss(struct pr_session *session)
{
    uint64_t grace = (uint64_t)LANE_LOSS_GRACE_MS * 1000000;
    if (!lane_loss_matters(session) || pr_now_ns() - atomic_load(&session->lane_lost_ns) < grace)
        return 0;
    return pr_failure_get(&session->lane_loss);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the control thread must look again though nothing happens. */
static uint64_t next_duty_ns(struct pr_session *session)
{
    uint64_t next =
        session->control.heard_ns + (uint64_t)session->options.silence_timeout_ms * 1000000;
    if (!pr_channel_backlog(&session->control))
        next = earlier(next, session->pinged_ns + ping_interval_ns(session));
    if (lane_loss_matters(session))
        next = earlier(next, atomic_load(&session->lane_lost_ns) +
                                 (uint64_t)LANE_LOSS_GRACE_MS * 1000000);
    return next;
}

static void control_sleep(struct pr_session *session)
{
    struct pollfd fds[2] = {{.fd = session->wake.fd, .events = POLLIN}};
    if (pr_channel_sleep(&session->control, &fds[1]))
        pr_poll(fds, 2, pr_deadline_left_ms(next_duty_ns(session)) + 1);
}

/* Gets the outbox onto the wire, as far as the peer takes it in a bounded time. What the peer still
 * says is not looked at: the session is over, and after a failed handshake nobody is there whose
 * state it could change. */
static void farewell(struct pr_session *session)
{
    struct pr_channel_handler deaf = {.message = ignore_message};
    uint64_t deadline = pr_deadline_after_ms(FAREWELL_MS);
    while (!pr_channel_quiet(&session->control) && pr_deadline_left_ms(deadline) > 0) {
        int moved = pr_channel_pump(&session->control, &deaf);
        if (moved < 0)
            return;
        struct pollfd fd;
        if (!moved && pr_channel_sleep(&session->control, &fd))
            pr_poll(&fd, 1, pr_deadline_left_ms(deadline));
    }
}

int pr_session_refuse(struct pr_session *session, int err)
{
    err = pr_session_fail(session, err);
    if (session->control.lane) {
        say_why(session, err);
        farewell(session);
    }
    return pr_session_failed(session);
}

static int control_turn(struct pr_session *session)
{
    pr_event_clear(&session->wake);
    int moved = pump(session);
    if (moved < 0)
        return moved;
    pr_session_notify(session); /* the outbox may have room again */
    int err = keep_alive(session);
    if (!err)
        err = judge_lane_loss(session);
    if (!err && session->on_tick)
        err = session->on_tick(session->side);
    if (!err && !moved)
        control_sleep(session);
    return err;
}

/* A peer that went away after its bye is no failure. */
static void control_failed(struct pr_session *session, int err)
{
    if (err == -ECONNRESET && atomic_load(&session->bye))
        return;
    if (err == -ECONNRESET)
        err = pr_error_prefix(err, "lost %s", session->peer_name);
    pr_session_fail(session, err);
}

static void control_main(void *opaque)
{
    struct pr_session *session = opaque;
    int err = 0;
    while (!err && !atomic_load(&session->closing)) {
        err = control_turn(session);
        atomic_store(&session->control_cpu_ns, pr_thread_cpu_ns());
        if (!err && pr_session_failed(session))
            break;
    }
    if (err)
        control_failed(session, err);
    err = pr_session_failed(session);
    if (err)
        say_why(session, err);
    farewell(session);
    atomic_store(&session->control_cpu_ns, pr_thread_cpu_ns());
    atomic_store(&session->control_over, true);
    pr_session_notify(session);
}

int pr_session_start(struct pr_session *session)
{
    session->pinged_ns = pr_now_ns();
    session->control.heard_ns = session->pinged_ns;
    int err = pr_stream_announce(&session->in, &session->control);
    if (!err)
        err = ping(session);
    if (!err)
        err = pr_thread_spawn(&session->thread, "pr-control", control_main, session);
    return err;
}

void pr_session_stop(struct pr_session *session)
{
    if (!session->thread)
        return;
    atomic_store(&session->closing, true);
    pr_event_raise(&session->wake);
    pr_thread_join(session->thread);
    session->thread = NULL;
}

int pr_session_pump_until(struct pr_session *session, bool (*done)(void *arg), void *arg,
                          uint64_t deadline_ns)
{
    for (;;) {
        int moved = pump(session);
        if (moved < 0)
            return moved == -ECONNRESET ? pr_error_prefix(moved, "lost %s", session->peer_name)
                                        : moved;
        int err = pr_session_failed(session);
        if (err)
            return err;
        if (done(arg) && !pr_channel_backlog(&session->control))
            return 0;
        if (pr_deadline_left_ms(deadline_ns) == 0)
            return pr_error(ETIMEDOUT,
                            "%s did not answer within %u ms: is it a pagerail of this "
                            "version, and does its host respond?",
                            session->peer_name, session->options.connect_timeout_ms);
        struct pollfd fds[2] = {{.fd = session->cancel.fd, .events = POLLIN}};
        if (!moved && pr_channel_sleep(&session->control, &fds[1]))
            pr_poll(fds, 2, pr_deadline_left_ms(deadline_ns));
    }
}

static bool answered(void *opaque)
{
    struct pr_session *session = opaque;
    return session->ponged_ns == session->pinged_ns;
}

/* The first one finds cold caches, which only matters where the path is short. */
int pr_session_measure_rtt(struct pr_session *session, uint64_t deadline_ns)
{
    int err = 0;
    for (int i = 0; i < MEASURING_PINGS && !err; i++) {
        err = ping(session);
        if (!err)
            err = pr_session_pump_until(session, answered, session, deadline_ns);
        if (atomic_load(&session->idle_rtt_ns) > SHORT_RTT_NS)
            break;
    }
    return err;
}
