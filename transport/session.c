/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/session.h"

#include "base/fault.h"
#include "base/log.h"
#include "transport/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long an ending session tries to get its last words out. */
#define FAREWELL_MS 500

/* How long a broken data lane waits for a better explanation from the control channel. */
#define LANE_LOSS_GRACE_MS 300

int pr_session_open(struct pr_session *session, const struct pagerail_options *options)
{
    session->wake = session->changed = session->cancel = (struct pr_event)PR_EVENT_CLOSED;
    session->failure = (struct pr_failure)PR_FAILURE_INIT;
    session->deadline_ns = PR_NEVER;
    session->lane_loss = (struct pr_failure)PR_FAILURE_INIT;
    pthread_mutex_init(&session->lock, NULL);
    pr_stream_in_open(&session->in);
    int err = pr_options_resolve(options, &session->options);
    if (!err)
        err = pr_event_open(&session->wake);
    if (!err)
        err = pr_event_open(&session->changed);
    if (!err)
        err = pr_event_open(&session->cancel);
    if (!err)
        err = pr_pool_open(&session->pool, session->options.registration_threads, "pr-reg");
    if (err)
        pr_session_close(session);
    return err;
}

void pr_session_close(struct pr_session *session)
{
    pr_channel_close(&session->control);
    pr_pool_close(session->pool);
    if (session->fabric)
        pr_fabric_close(session->fabric);
    pr_regions_free(&session->regions);
    pr_stream_in_close(&session->in);
    pr_event_close(&session->wake);
    pr_event_close(&session->changed);
    pr_event_close(&session->cancel);
    pthread_mutex_destroy(&session->lock);
}

void pr_session_notify(struct pr_session *session)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&session->waiting))
        pr_event_raise(&session->changed);
}

int pr_session_fail(struct pr_session *session, int err)
{
    if (!pr_failure_set(&session->failure, err))
        return pr_session_failed(session);
    pr_event_raise(&session->cancel);
    pr_session_notify(session);
    pr_event_raise(&session->wake);
    if (session->on_failed)
        session->on_failed(session->side);
    return err;
}

int pr_session_abort(struct pr_session *session, const char *reason)
{
    pthread_mutex_lock(&session->lock);
    bool late = session->committed;
    if (!late)
        pr_session_fail(session, pr_error(ECANCELED, "%s", reason ? reason : "cancelled"));
    pthread_mutex_unlock(&session->lock);
    return late ? pr_error(EALREADY, "too late: the guest is being handed over") : 0;
}

int pr_session_commit(struct pr_session *session)
{
    pthread_mutex_lock(&session->lock);
    int err = pr_session_failed(session);
    session->committed = !err;
    pthread_mutex_unlock(&session->lock);
    return err;
}

/* The session's deadline, for a wait that has none of its own; PR_NEVER past the commitment. */
static uint64_t last_resort(struct pr_session *session, uint64_t deadline_ns)
{
    bool applies = deadline_ns == PR_NEVER && !session->committed;
    return applies ? atomic_load(&session->deadline_ns) : PR_NEVER;
}

static int fail_late(struct pr_session *session)
{
    return pr_session_fail(session,
                           pr_error(ETIMEDOUT,
                                    "%s did not take in what it was sent within the time that was "
                                    "set for it",
                                    session->peer_name));
}

static int wait_for(struct pr_session *session, bool (*condition)(void *arg), void *arg,
                    uint64_t deadline_ns)
{
    for (;;) {
        pr_event_clear(&session->changed);
        bool over = atomic_load(&session->control_over);
        int err = pr_session_failed(session);
        if (err)
            return err;
        if (condition(arg))
            return 0;
        if (over)
            return pr_error(ECONNRESET, "%s ended the session early", session->peer_name);
        if (pr_deadline_left_ms(deadline_ns) == 0)
            return -EAGAIN;
        uint64_t limit_ns = last_resort(session, deadline_ns);
        if (pr_deadline_left_ms(limit_ns) == 0)
            return fail_late(session);
        pr_event_wait(&session->changed, limit_ns < deadline_ns ? limit_ns : deadline_ns);
    }
}

int pr_session_wait(struct pr_session *session, bool (*condition)(void *arg), void *arg,
                    uint64_t deadline_ns)
{
    atomic_store(&session->waiting, true);
    int err = wait_for(session, condition, arg, deadline_ns);
    atomic_store(&session->waiting, false);
    return err;
}

/* Tells the peer why the session ends. */
static void send_abort(struct pr_session *session, int err, const char *reason)
{
    struct pr_wire_abort message = {.code = -err};
    snprintf(message.reason, sizeof(message.reason), "%.*s", PR_WIRE_MAX_REASON, reason);
    uint8_t buffer[PR_WIRE_MIN_MESSAGE];
    pr_channel_send(&session->control, buffer,
                    pr_wire_abort_encode(&message, buffer, sizeof(buffer)), NULL);
}

int pr_session_send_empty(struct pr_session *session, enum pr_wire_type type, uint64_t *ticket)
{
    uint8_t buffer[PR_WIRE_HEADER_BYTES];
    return pr_channel_send(&session->control, buffer,
                           pr_wire_empty_encode(type, buffer, sizeof(buffer)), ticket);
}

static int on_abort(struct pr_session *session, const void *body, uint32_t len)
{
    struct pr_wire_abort message;
    int err = pr_wire_abort_decode(&message, body, len);
    if (err)
        return err;
    return pr_error(ECONNABORTED, "%s ended the migration: %s", session->peer_name, message.reason);
}

static int on_ping(struct pr_session *session, const void *body, uint32_t len)
{
    struct pr_wire_ping message;
    int err = pr_wire_ping_decode(&message, body, len);
    uint8_t buffer[64];
    /* A peer that takes no answer in gets no second one: they would pile up in the outbox. */
    if (err || !pr_channel_posted(&session->control, session->pong_ticket))
        return err;
    return pr_channel_send(&session->control, buffer,
                           pr_wire_pong_encode(&message, buffer, sizeof(buffer)),
                           &session->pong_ticket);
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
    /* RFC 6298's smoothing: an eighth of each new sample. */
    uint64_t sample = pr_now_ns() - message.sent_ns, old = atomic_load(&session->rtt_ns);
    atomic_store(&session->rtt_ns, old ? old - old / 8 + sample / 8 : sample);
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
    if (!atomic_load(&session->handed_over))
        return pr_error(EPROTO, "%s said bye before the guest was handed over", session->peer_name);
    atomic_store(&session->bye, true);
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
        return session->on_message(session->side, type, body, len);
    }
}

static int pump(struct pr_session *session)
{
    struct pr_channel_handler handler = {.message = on_message, .opaque = session};
    return pr_channel_pump(&session->control, &handler);
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

static void control_sleep(struct pr_session *session)
{
    struct pollfd fds[2] = {{.fd = session->wake.fd, .events = POLLIN}};
    uint64_t next = session->pinged_ns + ping_interval_ns(session);
    if (lane_loss_matters(session))
        next = atomic_load(&session->lane_lost_ns) + (uint64_t)LANE_LOSS_GRACE_MS * 1000000;
    if (pr_channel_sleep(&session->control, &fds[1]))
        pr_poll(fds, 2, pr_deadline_left_ms(next) + 1);
}

/* Gets the outbox onto the wire, as far as the peer takes it in a bounded time. */
static void farewell(struct pr_session *session)
{
    uint64_t deadline = pr_deadline_after_ms(FAREWELL_MS);
    while (pr_channel_backlog(&session->control) && pr_deadline_left_ms(deadline) > 0) {
        int moved = pump(session);
        if (moved < 0)
            return;
        struct pollfd fd;
        if (!moved && pr_channel_sleep(&session->control, &fd))
            pr_poll(&fd, 1, pr_deadline_left_ms(deadline));
    }
}

static bool peer_ended_it(int err)
{
    return err == -ECONNRESET || err == -ECONNABORTED;
}

static int ignore(void *side, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)side, (void)type, (void)body, (void)len;
    return 0;
}

int pr_session_refuse(struct pr_session *session, int err)
{
    err = pr_session_fail(session, err);
    session->on_message = ignore; /* what was under way when the handshake failed */
    if (session->control.lane && !peer_ended_it(err)) {
        send_abort(session, err, pr_error_message());
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
    if (!err && !moved)
        control_sleep(session);
    return err;
}

/* The peer that failed us knows; a peer that went away after its bye is no failure. */
static void control_failed(struct pr_session *session, int err)
{
    if (err == -ECONNRESET && atomic_load(&session->bye))
        return;
    if (err == -ECONNRESET)
        err = pr_error_prefix(err, "lost %s", session->peer_name);
    pr_session_fail(session, err);
    if (!peer_ended_it(err))
        send_abort(session, err, pr_error_message());
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
    if (err) {
        control_failed(session, err);
    } else if ((err = pr_session_failed(session)) != 0) {
        send_abort(session, err, pr_error_message());
    }
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

struct writing {
    struct pr_session *session;
    const uint8_t *bytes;
    size_t left;
    ssize_t err;
};

static bool write_some(void *opaque)
{
    struct writing *w = opaque;
    ssize_t taken = pr_stream_write(&w->session->out, &w->session->control, w->bytes, w->left);
    if (taken < 0) {
        w->err = taken;
        return true;
    }
    w->bytes += taken;
    w->left -= (size_t)taken;
    return taken > 0 || !w->left;
}

int pr_session_write(struct pr_session *session, const void *bytes, size_t len, int stall_ms)
{
    struct writing w = {session, bytes, len, 0};
    int err;
    do
        err = pr_session_wait(session, write_some, &w, pr_deadline_after_ms(stall_ms));
    while (!err && !w.err && w.left);
    if (err == -EAGAIN)
        return pr_error(ETIMEDOUT, "%s has taken nothing in for %d ms", session->peer_name,
                        stall_ms);
    return err ? err : (int)w.err;
}

struct reading {
    struct pr_session *session;
    void *to;
    size_t size;
    ssize_t got;
    bool ended;
};

static bool read_some(void *opaque)
{
    struct reading *r = opaque;
    r->got = pr_stream_read(&r->session->in, &r->session->control, r->to, r->size, &r->ended);
    return r->got != 0 || r->ended;
}

ssize_t pr_session_read(struct pr_session *session, void *to, size_t size, uint64_t deadline_ns)
{
    struct reading r = {session, to, size, 0, false};
    if (read_some(&r)) /* what has arrived is readable also after a failure */
        return r.got;
    int err = pr_session_wait(session, read_some, &r, deadline_ns);
    return err ? err : r.got;
}
