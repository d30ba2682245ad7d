/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/handshake.h"

#include "base/cpu.h"
#include "base/error.h"
#include "transport/lanes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pr_handshake_knock(uint16_t lane, const uint8_t *token, void *to, size_t size)
{
    struct pr_wire_knock knock = {
        .magic = PR_WIRE_MAGIC,
        .version_min = PR_WIRE_VERSION_MIN,
        .version_max = PR_WIRE_VERSION,
        .lane = lane,
    };
    if (token)
        memcpy(knock.token, token, sizeof(knock.token));
    return pr_wire_knock_encode(&knock, to, size);
}

static uint32_t wanted_lanes(const struct pr_session *session)
{
    uint32_t lanes = session->options.lanes;
    if (!lanes)
        lanes = pr_lanes_wanted(&session->fabric->limits, atomic_load(&session->idle_rtt_ns));
    return lanes < PR_WIRE_MAX_LANES ? lanes : PR_WIRE_MAX_LANES;
}

void pr_handshake_hello(const struct pr_session *session, struct pr_wire_hello *out)
{
    *out = (struct pr_wire_hello){
        .version_min = PR_WIRE_VERSION_MIN,
        .version_max = PR_WIRE_VERSION,
        .features = PR_WIRE_FEATURES,
        .regions = session->regions.count,
        .total_bytes = session->regions.total_bytes,
        .window_bytes = session->window_bytes,
        .message_bytes = session->fabric->limits.max_message_bytes,
        .recv_depth = session->fabric->limits.recv_depth,
        .silence_ms = session->options.silence_timeout_ms,
        .rails = 1,
    };
    strncpy(out->rail[0].name, session->fabric->name, PR_WIRE_MAX_RAIL_NAME);
    out->rail[0].lanes = (uint16_t)wanted_lanes(session);
}

/* What comes back. */
struct answer {
    struct pr_session *session;
    struct pr_wire_welcome *welcome;
    bool *fresh;
    bool welcomed;
    uint32_t accepted;
};

/* A budget below one window would leave this side waiting for ever for the first grant. */
static bool was_offered(const struct pr_session *session, const struct pr_wire_welcome *welcome)
{
    return welcome->version >= PR_WIRE_VERSION_MIN && welcome->version <= PR_WIRE_VERSION &&
           !(welcome->features & ~PR_WIRE_FEATURES) &&
           welcome->window_bytes <= session->window_bytes && welcome->rails == 1 &&
           welcome->rail[0].lanes <= session->lanes_offered;
}

static int on_welcome(struct answer *answer, const void *body, uint32_t len)
{
    struct pr_session *session = answer->session;
    struct pr_wire_welcome *welcome = answer->welcome;
    int err = pr_wire_welcome_decode(welcome, body, len);
    if (err)
        return err;
    if (answer->welcomed || !was_offered(session, welcome))
        return pr_error(EPROTO, "the destination agreed to something that was not offered");
    if (welcome->pin_bytes && welcome->pin_bytes < welcome->window_bytes)
        return pr_error(EPROTO, "the destination's pin budget does not hold a single window");
    err = pr_regions_check_windows(&session->regions, welcome->window_bytes);
    if (err)
        return err;
    answer->welcomed = true;
    session->window_bytes = welcome->window_bytes;
    session->lanes = welcome->rail[0].lanes;
    session->peer_silence_ms = welcome->silence_ms;
    pr_channel_agree(&session->control, welcome->recv_depth, welcome->message_bytes);
    pr_channel_told(&session->control);
    return 0;
}

static int on_accept(struct answer *answer, const void *body, uint32_t len)
{
    struct pr_wire_accept accept;
    int err = pr_wire_accept_decode(&accept, body, len);
    if (err)
        return err;
    if (!answer->welcomed || accept.index != answer->accepted ||
        accept.index >= answer->session->regions.count)
        return pr_error(EPROTO, "the destination accepted regions out of order");
    answer->fresh[accept.index] = accept.flags & PR_WIRE_ACCEPT_FRESH;
    answer->accepted++;
    return 0;
}

static int on_answer(void *side, enum pr_wire_type type, const void *body, uint32_t len)
{
    if (type == PR_WIRE_WELCOME)
        return on_welcome(side, body, len);
    if (type == PR_WIRE_ACCEPT)
        return on_accept(side, body, len);
    return pr_error(EPROTO, "the destination sent a %s message in the middle of the handshake",
                    pr_wire_name(type));
}

static bool answered(void *opaque)
{
    struct answer *answer = opaque;
    return answer->accepted == answer->session->regions.count;
}

/* Where the number of lanes depends on it, the round trip comes first. */
static int look_at_path(struct pr_session *session)
{
    if (session->options.lanes || !session->fabric->limits.lane_flight_bytes)
        return 0;
    return pr_session_measure_rtt(session,
                                  pr_deadline_after_ms(session->options.connect_timeout_ms));
}

static int send_hello(struct pr_session *session)
{
    struct pr_wire_hello hello;
    pr_handshake_hello(session, &hello);
    session->lanes_offered = hello.rail[0].lanes;
    uint8_t buffer[PR_WIRE_MIN_MESSAGE];
    return pr_channel_send(&session->control, buffer,
                           pr_wire_hello_encode(&hello, buffer, sizeof(buffer)), NULL);
}

static int send_regions(struct pr_session *session)
{
    int err = 0;
    for (uint32_t i = 0; i < session->regions.count && !err; i++) {
        const struct pr_region *region = &session->regions.list[i];
        struct pr_wire_region message = {
            .index = i, .len = region->len, .page_bytes = region->page_bytes};
        strncpy(message.name, region->name, PR_WIRE_MAX_NAME);
        uint8_t buffer[PR_WIRE_MIN_MESSAGE];
        err = pr_channel_send(&session->control, buffer,
                              pr_wire_region_encode(&message, buffer, sizeof(buffer)), NULL);
    }
    return err;
}

static int connect_lane(struct pr_session *session, const char *address, uint16_t number,
                        const uint8_t *token, struct pr_lane **out)
{
    uint8_t knock[64];
    int len = pr_handshake_knock(number, token, knock, sizeof(knock));
    if (len < 0)
        return len;
    int err = pr_fabric_connect(session->fabric, address, knock, (uint32_t)len,
                                (int)session->options.connect_timeout_ms, &session->cancel, out);
    if (err == -ECANCELED && pr_session_failed(session))
        return pr_session_failed(session);
    return err;
}

static int converse(struct pr_session *session, struct answer *answer)
{
    int err = look_at_path(session);
    if (!err)
        err = send_hello(session);
    if (!err)
        err = send_regions(session);
    if (!err)
        err = pr_session_pump_until(session, answered, answer,
                                    pr_deadline_after_ms(session->options.connect_timeout_ms));
    return err;
}

static bool always(void *opaque)
{
    (void)opaque;
    return true;
}

/* The destination that gave up closed its address first and said why on the control lane. */
static int why_no_lane(struct pr_session *session, int err)
{
    char own[PAGERAIL_ERROR_MAX];
    snprintf(own, sizeof(own), "%s", pr_error_message());
    int told = pr_session_pump_until(session, always, NULL, pr_now_ns());
    return told == -ECONNABORTED ? told : pr_error(-err, "%s", own);
}

int pr_handshake_source(struct pr_session *session, const char *address, struct pr_lane **lanes,
                        bool *fresh, struct pr_wire_welcome *welcome)
{
    struct pr_lane *control;
    int err = connect_lane(session, address, 0, NULL, &control);
    if (err)
        return err;
    pr_channel_open(&session->control, control, &session->wake);
    struct answer answer = {.session = session, .welcome = welcome, .fresh = fresh};
    session->on_message = on_answer;
    session->hearer = &answer;
    err = converse(session, &answer);
    session->hearer = NULL; /* `answer` ends here */
    for (uint32_t i = 0; i < session->lanes && !err; i++) {
        err = connect_lane(session, address, (uint16_t)(i + 1), welcome->token, &lanes[i]);
        if (err)
            err = why_no_lane(session, err);
    }
    session->hearer = NULL; /* the answer ends here */
    return err;
}
