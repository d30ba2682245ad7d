/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/session.h"

#include "transport/options.h"

#include <errno.h>

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

void pr_session_set_fabric(struct pr_session *session, struct pr_fabric *fabric)
{
    session->fabric = fabric;
    pr_options_suit(&session->options, &fabric->limits);
}

int pr_session_fail(struct pr_session *session, int err)
{
    /* -EAGAIN is what a wait says when its time is over: a session that ended must not look so. */
    if (err == -EAGAIN)
        err = -EIO;
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
        pr_event_wait(&session->changed, deadline_ns);
    }
}

/* The session's deadline is for waits that have none of their own, and ends with the commitment. */
static uint64_t last_resort_ns(struct pr_session *session, uint64_t deadline_ns)
{
    bool applies = deadline_ns == PR_NEVER && session->deadline_ns && !session->committed;
    return applies ? session->deadline_ns : deadline_ns;
}

int pr_session_wait(struct pr_session *session, bool (*condition)(void *arg), void *arg,
                    uint64_t deadline_ns)
{
    uint64_t limit_ns = last_resort_ns(session, deadline_ns);
    atomic_store(&session->waiting, true);
    int err = wait_for(session, condition, arg, limit_ns);
    atomic_store(&session->waiting, false);
    if (err == -EAGAIN && limit_ns != deadline_ns)
        err = pr_session_fail(session,
                              pr_error(ETIMEDOUT,
                                       "%s did not take in what it was sent within the time that "
                                       "was set for it",
                                       session->peer_name));
    return err;
}

/* The channel is shut only behind a failure, which says more than that nothing can be queued. */
static int reason(struct pr_session *session, int err)
{
    int failed = err == -ESHUTDOWN ? pr_session_failed(session) : 0;
    return failed ? failed : err;
}

int pr_session_send(struct pr_session *session, const void *message, int len, uint64_t *ticket)
{
    return reason(session, pr_channel_send(&session->control, message, len, ticket));
}

int pr_session_send_empty(struct pr_session *session, enum pr_wire_type type, uint64_t *ticket)
{
    uint8_t buffer[PR_WIRE_HEADER_BYTES];
    return pr_session_send(session, buffer, pr_wire_empty_encode(type, buffer, sizeof(buffer)),
                           ticket);
}

struct posting {
    const struct pr_channel *channel;
    uint64_t ticket;
};

static bool posted(void *opaque)
{
    const struct posting *posting = opaque;
    return pr_channel_posted(posting->channel, posting->ticket);
}

int pr_session_post_empty(struct pr_session *session, enum pr_wire_type type, uint64_t *ticket,
                          uint64_t deadline_ns)
{
    *ticket = 0;
    int err = pr_session_send_empty(session, type, ticket);
    struct posting posting = {&session->control, *ticket};
    return err ? err : pr_session_wait(session, posted, &posting, deadline_ns);
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
        err = pr_session_wait(session, write_some, &w,
                              stall_ms < 0 ? PR_NEVER : pr_deadline_after_ms(stall_ms));
    while (!err && !w.err && w.left);
    if (err == -EAGAIN)
        return pr_error(ETIMEDOUT, "%s has taken nothing in for %d ms", session->peer_name,
                        stall_ms);
    return err ? err : reason(session, (int)w.err);
}

int pr_session_write_end(struct pr_session *session)
{
    return reason(session, pr_stream_write_end(&session->out, &session->control));
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
    if (!size)
        return 0;
    if (read_some(&r)) /* what has arrived is readable also after a failure */
        return r.got;
    int err = pr_session_wait(session, read_some, &r, deadline_ns);
    return err ? err : r.got;
}
