/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"
#include "base/log.h"
#include "transport/handshake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* While lanes come in, how often to look whether the source is still there. */
#define LOOK_MS 100

struct asking {
    struct pr_session *session;
    struct pr_wire_hello *hello;
    uint32_t *local_of;
    uint8_t *taken; /* [regions] of ours: the source has named it */
    bool greeted;
    uint32_t named;
    struct pr_lane **lanes;
    uint8_t token[PR_WIRE_TOKEN_BYTES];
    uint16_t version;
    uint16_t knocking; /* the lane number that was admitted last */
};

static int admit_control(void *opaque, const void *private_data, uint32_t len)
{
    (void)opaque;
    struct pr_wire_knock knock;
    int err = pr_wire_knock_decode(&knock, private_data, len);
    if (err)
        return err;
    int version = pr_wire_version_choose(PR_WIRE_VERSION_MIN, PR_WIRE_VERSION, knock.version_min,
                                         knock.version_max);
    if (version < 0)
        return version;
    if (knock.lane)
        return pr_error(EPROTO, "no session is open here: connect a control lane first");
    return 0;
}

/* Looks at every byte whatever the first ones say, so that time tells nothing. */
static bool token_equal(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (int i = 0; i < PR_WIRE_TOKEN_BYTES; i++)
        differs |= a[i] ^ b[i];
    return !differs;
}

static int admit_lane(void *opaque, const void *private_data, uint32_t len)
{
    struct asking *asking = opaque;
    struct pr_wire_knock knock;
    int err = pr_wire_knock_decode(&knock, private_data, len);
    if (err)
        return err;
    if (!token_equal(knock.token, asking->token))
        return pr_error(EBUSY, "another migration is coming in here already");
    if (!knock.lane || knock.lane > asking->session->lanes || asking->lanes[knock.lane - 1])
        return pr_error(EPROTO, "lane %u is not expected", knock.lane);
    asking->knocking = knock.lane;
    return 0;
}

static int on_hello(struct asking *asking, const void *body, uint32_t len)
{
    struct pr_session *session = asking->session;
    int err = pr_wire_hello_decode(asking->hello, body, len);
    if (err)
        return err;
    if (asking->greeted)
        return pr_error(EPROTO, "the source said hello twice");
    int version = pr_wire_version_choose(PR_WIRE_VERSION_MIN, PR_WIRE_VERSION,
                                         asking->hello->version_min, asking->hello->version_max);
    if (version < 0)
        return version;
    asking->version = (uint16_t)version;
    if (asking->hello->regions != session->regions.count)
        return pr_error(EINVAL,
                        "the source's guest has %u memory regions and this one has %u: start both "
                        "sides with the same memory configuration",
                        asking->hello->regions, session->regions.count);
    asking->greeted = true;
    session->peer_silence_ms = asking->hello->silence_ms;
    pr_channel_agree(&session->control, asking->hello->recv_depth, asking->hello->message_bytes);
    return 0;
}

static int match(struct asking *asking, const struct pr_wire_region *theirs)
{
    const struct pr_regions *regions = &asking->session->regions;
    int64_t index = pr_regions_find(regions, theirs->name);
    if (index < 0)
        return pr_error(EINVAL,
                        "the source's guest has a memory region '%s' and this one has not: start "
                        "both sides with the same memory configuration",
                        theirs->name);
    const struct pr_region *ours = &regions->list[index];
    if (ours->len != theirs->len)
        return pr_error(EINVAL,
                        "region '%s' is %" PRIu64 " bytes at the source and %" PRIu64
                        " here: give both sides the same memory size",
                        theirs->name, theirs->len, ours->len);
    if (ours->page_bytes != theirs->page_bytes)
        return pr_error(EINVAL,
                        "region '%s' has pages of %" PRIu64 " bytes at the source and %" PRIu64
                        " here: use the same page size on both sides",
                        theirs->name, theirs->page_bytes, ours->page_bytes);
    if (asking->taken[index])
        return pr_error(EPROTO, "the source named region '%s' twice", theirs->name);
    asking->taken[index] = 1;
    asking->local_of[theirs->index] = (uint32_t)index;
    return 0;
}

static int on_region(struct asking *asking, const void *body, uint32_t len)
{
    struct pr_wire_region region;
    int err = pr_wire_region_decode(&region, body, len);
    if (err)
        return err;
    if (!asking->greeted || asking->named >= asking->session->regions.count ||
        region.index != asking->named)
        return pr_error(EPROTO, "the source named regions out of order");
    err = match(asking, &region);
    asking->named++;
    return err;
}

static int on_question(void *side, enum pr_wire_type type, const void *body, uint32_t len)
{
    if (type == PR_WIRE_HELLO)
        return on_hello(side, body, len);
    if (type == PR_WIRE_REGION)
        return on_region(side, body, len);
    return pr_error(EPROTO, "the source sent a %s message in the middle of the handshake",
                    pr_wire_name(type));
}

static bool asked(void *opaque)
{
    struct asking *asking = opaque;
    return asking->greeted && asking->named == asking->session->regions.count;
}

static bool always(void *opaque)
{
    (void)opaque;
    return true;
}

static int make_token(uint8_t *token)
{
    if (getrandom(token, PR_WIRE_TOKEN_BYTES, 0) != PR_WIRE_TOKEN_BYTES)
        return pr_error(EIO, "the kernel gave no random bytes");
    return 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Agrees to what both can do. Several rails come with the fabric that has them: one rail here. */
static int send_welcome(struct asking *asking)
{
    struct pr_session *session = asking->session;
    const struct pr_wire_hello *hello = asking->hello;
    if (hello->window_bytes < session->window_bytes)
        session->window_bytes = hello->window_bytes;
    session->lanes = smaller(hello->rail[0].lanes, PR_WIRE_MAX_LANES);
    int err = pr_regions_check_windows(&session->regions, session->window_bytes);
    if (err)
        return err;
    struct pr_wire_welcome welcome = {
        .version = asking->version,
        .features = hello->features & PR_WIRE_FEATURES,
        .window_bytes = session->window_bytes,
        .pin_bytes = session->options.pin_budget_bytes,
        .message_bytes = session->fabric->limits.max_message_bytes,
        .recv_depth = session->fabric->limits.recv_depth,
        .silence_ms = session->options.silence_timeout_ms,
        .rails = 1,
    };
    strncpy(welcome.rail[0].name, session->fabric->name, PR_WIRE_MAX_RAIL_NAME);
    welcome.rail[0].lanes = (uint16_t)session->lanes;
    err = make_token(asking->token);
    memcpy(welcome.token, asking->token, sizeof(welcome.token));
    uint8_t buffer[PR_WIRE_MIN_MESSAGE];
    if (!err)
        err = pr_channel_send(&session->control, buffer,
                              pr_wire_welcome_encode(&welcome, buffer, sizeof(buffer)), NULL);
    pr_channel_told(&session->control);
    return err;
}

static int send_accepts(struct asking *asking)
{
    const struct pr_regions *regions = &asking->session->regions;
    int err = 0;
    for (uint32_t i = 0; i < regions->count && !err; i++) {
        bool fresh = regions->list[asking->local_of[i]].flags & PAGERAIL_REGION_FRESH;
        struct pr_wire_accept accept = {i, fresh ? PR_WIRE_ACCEPT_FRESH : 0};
        uint8_t buffer[64];
        err = pr_channel_send(&asking->session->control, buffer,
                              pr_wire_accept_encode(&accept, buffer, sizeof(buffer)), NULL);
    }
    return err;
}

/* Errors of accept after which the listener goes on: whoever came was no source of ours. */
static bool was_a_stranger(int err)
{
    return err == -ECONNREFUSED || err == -EPROTO || err == -ECONNRESET;
}

static uint64_t step_deadline(const struct pr_session *session)
{
    return pr_deadline_after_ms(session->options.connect_timeout_ms);
}

/* Accepts until all data lanes are there, looking after the control lane in between. Strangers are
 * turned away and change nothing. */
static int accept_lanes(struct asking *asking, struct pr_listener *listener)
{
    struct pr_session *session = asking->session;
    uint64_t deadline = step_deadline(session);
    uint32_t there = 0;
    while (there < session->lanes) {
        struct pr_lane *lane;
        int err =
            pr_listener_accept(listener, LOOK_MS, &session->cancel, admit_lane, asking, &lane);
        if (!err) {
            asking->lanes[asking->knocking - 1] = lane;
            there++;
            deadline = step_deadline(session);
            continue;
        }
        if (err == -ECANCELED)
            return pr_session_failed(session) ? pr_session_failed(session) : err;
        if (err != -ETIMEDOUT && !was_a_stranger(err))
            return err;
        err = pr_session_pump_until(session, always, NULL, deadline);
        if (err)
            return err;
        if (pr_deadline_left_ms(deadline) == 0)
            return pr_error(ETIMEDOUT, "only %u of %u lanes of the source arrived in time", there,
                            session->lanes);
    }
    return 0;
}

static int converse(struct asking *asking, struct pr_listener *listener)
{
    struct pr_session *session = asking->session;
    int err = pr_session_pump_until(session, asked, asking, step_deadline(session));
    if (!err)
        err = send_welcome(asking);
    if (!err)
        err = send_accepts(asking);
    if (!err)
        err = pr_session_pump_until(session, always, NULL, step_deadline(session));
    return err ? err : accept_lanes(asking, listener);
}

/* The first, the second, the fourth...: a crowd shall not fill the log. */
static void note_stranger(unsigned number)
{
    if (number & (number - 1))
        return;
    pr_log_warn("turned somebody away who is no source (number %u): %s", number,
                pr_error_message());
}

/* Who knocks wrongly is told why, by the fabric, and the wait goes on: a port scan, or a source of
 * another version, must not end it. */
static int first_contact(struct pr_session *session, struct pr_listener *listener, int timeout_ms)
{
    uint64_t deadline = pr_deadline_after_ms(timeout_ms);
    unsigned strangers = 0;
    struct pr_lane *control;
    int err;
    do {
        err = pr_listener_accept(listener, pr_deadline_left_ms(deadline), &session->cancel,
                                 admit_control, NULL, &control);
        if (was_a_stranger(err))
            note_stranger(++strangers);
    } while (was_a_stranger(err) && !pr_session_failed(session) && pr_deadline_left_ms(deadline));
    if (pr_session_failed(session)) {
        if (!err)
            pr_lane_close(control);
        return pr_session_failed(session);
    }
    if (!err)
        pr_channel_open(&session->control, control, &session->wake);
    return err == -ETIMEDOUT || was_a_stranger(err) ? -EAGAIN : err;
}

int pr_handshake_destination(struct pr_session *session, struct pr_listener *listener,
                             int first_contact_ms, struct pr_lane **lanes, uint32_t *local_of,
                             struct pr_wire_hello *hello)
{
    int err = first_contact(session, listener, first_contact_ms);
    if (err)
        return err;
    struct asking asking = {
        .session = session, .hello = hello, .local_of = local_of, .lanes = lanes};
    asking.taken = calloc(session->regions.count, 1);
    if (!asking.taken)
        return pr_error(ENOMEM, "no memory for the handshake");
    session->on_message = on_question;
    session->hearer = &asking;
    err = converse(&asking, listener);
    session->hearer = NULL; /* `asking` ends here */
    free(asking.taken);
    return err;
}
