/* SPDX-License-Identifier: BSD-2-Clause */
/* What both roles of a foe share: lanes, credits, moments. */
#include "tests/hostile/foe.h"

#include "base/error.h"
#include "base/runtime.h"
#include "tests/hostile/deeds.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 4000

const char *foe_phase_name(enum foe_phase phase)
{
    static const char *const names[FOE_PHASES] = {"knocking", "greeting", "joining", "moving",
                                                  "loading",  "ready",    "released"};
    return names[phase];
}

unsigned foe_windows(const struct foe *foe, unsigned region)
{
    uint64_t count = (foe->region[region].len + foe->window_bytes - 1) / foe->window_bytes;
    return count < FOE_WINDOWS ? (unsigned)count : FOE_WINDOWS;
}

static void complain(struct foe *foe, const char *complaint)
{
    if (foe->complain)
        foe->complain(foe, complaint);
}

/* ---- lanes ---- */

void foe_adopt(struct foe *foe, unsigned number, struct pr_lane *lane)
{
    foe->lane[number] = (struct foe_lane){.lane = lane,
                                          .credits = PR_WIRE_MIN_RECV_DEPTH,
                                          .depth = PR_WIRE_MIN_RECV_DEPTH,
                                          .lent = foe->fabric->limits.recv_depth};
}

void foe_drop_lane(struct foe *foe, unsigned lane)
{
    foe->deafened |= !lane;
    pr_lane_close(foe->lane[lane].lane);
    foe->lane[lane].lane = NULL;
}

/* Both sides have told their depths. */
static void agree(struct foe *foe, uint32_t peer_depth)
{
    for (unsigned i = 0; i <= FOE_DATA_LANES; i++) {
        struct foe_lane *l = &foe->lane[i];
        if (!l->lane || l->depth != PR_WIRE_MIN_RECV_DEPTH)
            continue;
        l->credits += peer_depth - l->depth;
        l->depth = peer_depth;
    }
}

int foe_knock(struct foe *foe, uint16_t number, const uint8_t *token, struct pr_lane **out)
{
    union any_message m = {.knock = {.magic = PR_WIRE_MAGIC,
                                     .version_min = foe->version_min,
                                     .version_max = foe->version_max,
                                     .lane = number}};
    uint8_t bytes[PR_WIRE_KNOCK_BYTES + 32];
    if (token)
        memcpy(m.knock.token, token, sizeof(m.knock.token));
    if (foe->deed && foe->deed->twist)
        foe->deed->twist(foe, 0, &m);
    int len = samples[0].encode(&m, bytes, sizeof(bytes));
    if (len > 0 && foe->deed && foe->deed->twist_bytes)
        foe->deed->twist_bytes(foe, 0, bytes, &len);
    if (len < 0)
        return len;
    return pr_fabric_connect(foe->fabric, foe->address, bytes, (uint32_t)len, CONNECT_MS, NULL,
                             out);
}

/* ---- saying ---- */

/* Hands it to the lane, with the credits that are owed. -EAGAIN: the lane is full. */
static int post(struct foe *foe, struct foe_lane *l, uint8_t *bytes, uint32_t len, bool credits)
{
    bool closed_fist = foe->stingy || (foe->miserly && bytes[0] != PR_WIRE_CREDIT);
    uint32_t owed = closed_fist || !credits ? 0 : l->owed;
    if (credits)
        pr_wire_set_credits(bytes, (uint16_t)owed);
    int err = pr_lane_post_send(l->lane, bytes, len, 0, true);
    if (err)
        return err;
    l->owed -= owed;
    l->lent += owed;
    foe->release_said |= bytes[0] == PR_WIRE_RELEASE;
    return pr_lane_flush(l->lane);
}

static int post_when_there_is_room(struct foe *foe, unsigned lane, uint8_t *bytes, uint32_t len,
                                   bool credits)
{
    uint64_t deadline = pr_deadline_after_ms(foe->patience_ms);
    for (;;) {
        struct foe_lane *l = &foe->lane[lane];
        if (!l->lane)
            return pr_error(ECONNRESET, "that lane is closed");
        int err = post(foe, l, bytes, len, credits);
        if (err != -EAGAIN)
            return err;
        if (pr_deadline_left_ms(deadline) == 0)
            return pr_error(ETIMEDOUT, "the library takes nothing in");
        err = foe_idle(foe, 1);
        if (err)
            return err;
    }
}

int foe_shout(struct foe *foe, unsigned lane, const void *bytes, uint32_t len)
{
    uint8_t copy[PR_WIRE_MAX_MESSAGE];
    uint32_t most = foe->fabric->limits.max_message_bytes;
    len = len < sizeof(copy) ? len : (uint32_t)sizeof(copy);
    len = len < most ? len : most;
    memcpy(copy, bytes, len);
    int err = post_when_there_is_room(foe, lane, copy, len, false);
    if (foe->look)
        foe->look(foe);
    return err;
}

int foe_shout_deaf(struct foe *foe, unsigned lane, const void *bytes, uint32_t len)
{
    uint8_t copy[PR_WIRE_MAX_MESSAGE];
    memcpy(copy, bytes, len);
    if (foe->look)
        foe->look(foe);
    int err = foe->lane[lane].lane ? post(foe, &foe->lane[lane], copy, len, false)
                                   : pr_error(ECONNRESET, "that lane is closed");
    pr_poll(NULL, 0, 0);
    return err;
}

int foe_shout_message(struct foe *foe, unsigned lane, unsigned type,
                      const union any_message *message)
{
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    int len = samples[type].encode(message, bytes, sizeof(bytes));
    if (len < 0)
        return len;
    /* As far as there are credits, a lie that is told in time is the more dangerous one. */
    if (foe->lane[lane].credits)
        foe->lane[lane].credits--;
    return foe_shout(foe, lane, bytes, (uint32_t)len);
}

static bool may_speak(const struct foe *foe)
{
    const struct foe_lane *l = &foe->lane[foe->last_lane];
    return !l->lane || l->credits > 1;
}

int foe_say(struct foe *foe, unsigned lane, unsigned type, union any_message *message)
{
    int err = foe_moment(foe);
    if (err || foe->mute & (1u << type))
        return err;
    if (foe->deed && foe->deed->twist)
        foe->deed->twist(foe, type, message);
    uint8_t *bytes = foe->last;
    int len = samples[type].encode(message, bytes, PR_WIRE_MAX_MESSAGE);
    if (len < 0)
        return len;
    if (foe->deed && foe->deed->twist_bytes)
        foe->deed->twist_bytes(foe, type, bytes, &len);
    foe->last_len = (uint32_t)len;
    foe->last_lane = lane;
    err = foe_until(foe, may_speak);
    if (err)
        return err;
    foe->lane[lane].credits -= foe->lane[lane].credits ? 1 : 0;
    return post_when_there_is_room(foe, lane, bytes, (uint32_t)len, true);
}

int foe_say_empty(struct foe *foe, unsigned lane, unsigned type)
{
    union any_message nothing;
    memset(&nothing, 0, sizeof(nothing));
    return foe_say(foe, lane, type, &nothing);
}

/* ---- hearing ---- */

/* Half of the buffers are owed: a message of its own brings them back. */
static int give_credits_back(struct foe *foe, unsigned lane)
{
    struct foe_lane *l = &foe->lane[lane];
    uint32_t half = foe->fabric->limits.recv_depth / 2;
    if (foe->stingy || l->owed < (foe->miserly ? 1 : half) || !l->credits)
        return 0;
    uint8_t bytes[PR_WIRE_HEADER_BYTES];
    int len = pr_wire_empty_encode(PR_WIRE_CREDIT, bytes, sizeof(bytes));
    uint32_t kept = foe->miserly ? l->owed - 1 : 0;
    l->owed -= kept;
    l->credits--;
    int err = post(foe, l, bytes, (uint32_t)len, true);
    l->owed += kept;
    l->credits += err == -EAGAIN;
    return err == -EAGAIN ? 0 : err;
}

static int answer_ping(struct foe *foe)
{
    struct foe_lane *l = &foe->lane[0];
    if (!foe->ping_due || !l->lane || l->credits <= 1)
        return 0;
    union any_message m = {.ping = foe->last_ping};
    uint8_t bytes[64];
    int len = samples[PR_WIRE_PONG].encode(&m, bytes, sizeof(bytes));
    int err = post(foe, l, bytes, (uint32_t)len, true);
    if (err)
        return err == -EAGAIN ? 0 : err;
    l->credits--;
    foe->ping_due = false;
    return 0;
}

static int hear_abort(struct foe *foe, const union any_message *m)
{
    memcpy(foe->abort_reason, m->abort.reason, sizeof(foe->abort_reason));
    return pr_error(ECONNABORTED, "the library gave up: %s", m->abort.reason);
}

static int hear_stream(struct foe *foe, const union any_message *m)
{
    for (uint32_t i = 0; i < m->stream.len && foe->stream_heard + i < sizeof(foe->fence); i++)
        foe->fence[foe->stream_heard + i] = ((const uint8_t *)m->stream.bytes)[i];
    if (m->stream.offset != foe->stream_heard)
        complain(foe, "its stream has a gap");
    foe->stream_heard += m->stream.len;
    return 0;
}

static int hear(struct foe *foe, unsigned lane, unsigned type, const union any_message *m)
{
    switch (type) {
    case PR_WIRE_CREDIT:
        return 0;
    case PR_WIRE_ABORT:
        return hear_abort(foe, m);
    case PR_WIRE_PING:
        foe->last_ping = m->ping;
        foe->ping_due = !(foe->mute & (1u << PR_WIRE_PONG));
        return 0;
    case PR_WIRE_PONG:
        return 0;
    case PR_WIRE_STREAM:
        return hear_stream(foe, m);
    case PR_WIRE_STREAM_END:
        foe->stream_ended = true;
        return 0;
    case PR_WIRE_STREAM_LIMIT:
        foe->peer_limit = m->stream_limit.limit;
        return 0;
    case PR_WIRE_BYE:
        foe->bye = true;
        return 0;
    case PR_WIRE_HELLO:
        agree(foe, m->hello.recv_depth);
        break;
    case PR_WIRE_WELCOME:
        agree(foe, m->welcome.recv_depth);
        break;
    default:
        break;
    }
    return foe->role == FOE_SOURCE ? foe_hear_source(foe, lane, type, m)
                                   : foe_hear_destination(foe, lane, type, m);
}

static int receive(struct foe *foe, unsigned lane, const struct pr_completion *c)
{
    struct foe_lane *l = &foe->lane[lane];
    struct pr_wire_header header;
    const void *body;
    union any_message m;
    memset(&m, 0, sizeof(m));
    if (!l->lent)
        complain(foe, "it sent a message for which there was no buffer");
    else
        l->lent--;
    l->heard++;
    int err = pr_wire_header_decode(&header, &body, c->bytes, c->len);
    if (!err)
        err = samples[header.type].decode(&m, body, header.body_len);
    if (err)
        complain(foe, pr_error_message());
    if (!err)
        l->credits += header.credits;
    if (!err)
        err = hear(foe, lane, header.type, &m);
    if (l->lane)
        pr_lane_recv_done(l->lane, c->bytes);
    l->owed++;
    if (!err && header.type != PR_WIRE_CREDIT)
        err = foe_moment(foe);
    return err;
}

static int pump_lane(struct foe *foe, unsigned lane)
{
    struct pr_completion c;
    int moved = 0;
    while (foe->lane[lane].lane) {
        int n = pr_lane_poll(foe->lane[lane].lane, &c, 1);
        if (n < 0)
            return n;
        if (!n)
            break;
        moved = 1;
        int err = c.op == PR_OP_RECV ? receive(foe, lane, &c) : 0;
        if (err)
            return err;
    }
    int err = foe->lane[lane].lane ? give_credits_back(foe, lane) : 0;
    return err ? err : moved;
}

int foe_pump(struct foe *foe)
{
    int moved = 0;
    if (foe->look)
        foe->look(foe);
    for (unsigned i = 0; i <= FOE_DATA_LANES; i++) {
        int n = pump_lane(foe, i);
        if (n < 0)
            return n;
        moved |= n;
    }
    int err = answer_ping(foe);
    return err ? err : moved;
}

/* Sleeps until a lane has something or the deadline passes. */
static void doze(struct foe *foe, uint64_t deadline_ns)
{
    struct pollfd fds[1 + FOE_DATA_LANES];
    unsigned count = 0;
    for (unsigned i = 0; i <= FOE_DATA_LANES; i++) {
        struct pr_lane *lane = foe->lane[i].lane;
        if (!lane)
            continue;
        if (pr_lane_arm(lane))
            return;
        fds[count++] = (struct pollfd){.fd = pr_lane_fd(lane), .events = POLLIN};
    }
    pr_poll(fds, count, pr_deadline_left_ms(deadline_ns));
}

/* Silent, and deaf: until somebody else ends it. */
static int stay_hushed(struct foe *foe)
{
    pr_sleep_ms(foe->patience_ms);
    foe->left = true;
    return pr_error(ETIMEDOUT, "hushed for long enough");
}

static int take_in(struct foe *foe, bool (*condition)(const struct foe *foe), uint64_t deadline_ns)
{
    for (;;) {
        if (foe->hushed)
            return stay_hushed(foe);
        if (foe->left)
            return pr_error(ECONNRESET, "left");
        if (condition && condition(foe))
            return 0;
        int moved = foe_pump(foe);
        if (moved < 0)
            return moved;
        if (pr_deadline_left_ms(deadline_ns) == 0)
            return condition && condition(foe) ? 0
                                               : pr_error(ETIMEDOUT, "the library does not go on");
        if (!moved && !(condition && condition(foe)))
            doze(foe, deadline_ns);
    }
}

int foe_until(struct foe *foe, bool (*condition)(const struct foe *foe))
{
    return take_in(foe, condition, pr_deadline_after_ms(foe->patience_ms));
}

int foe_idle(struct foe *foe, int ms)
{
    int err = take_in(foe, NULL, pr_deadline_after_ms(ms));
    return err == -ETIMEDOUT && !foe->left ? 0 : err;
}

/* ---- the deed, the whole ---- */

int foe_moment(struct foe *foe)
{
    foe->moment++;
    if (!foe->first[foe->phase])
        foe->first[foe->phase] = foe->moment;
    const struct deed *deed = foe->deed;
    if (!deed || !deed->act || foe->struck || foe->moment < foe->strike_at ||
        !(deed->phases & (1u << foe->phase)))
        return 0;
    foe->struck = true;
    foe->struck_moment = foe->moment;
    foe->struck_phase = foe->phase;
    if (foe->look)
        foe->look(foe);
    return deed->act(foe);
}

int foe_write(struct foe *foe, unsigned lane, const struct pr_key *key, uint64_t remote)
{
    struct pr_rma write = {.local = foe->page,
                           .mr = foe->mr,
                           .remote = remote,
                           .key = key,
                           .len = 4096,
                           .signaled = true};
    if (!foe->lane[lane].lane)
        return pr_error(ECONNRESET, "that lane is closed");
    int err = pr_lane_post_write(foe->lane[lane].lane, &write);
    return err ? err : pr_lane_flush(foe->lane[lane].lane);
}

static void clean_up(struct foe *foe)
{
    for (unsigned i = 0; i <= FOE_DATA_LANES; i++)
        foe_drop_lane(foe, i);
    if (foe->listener)
        pr_listener_close(foe->listener);
    foe->listener = NULL;
    pr_fabric_dereg(foe->mr);
    free(foe->page);
    for (unsigned r = 0; r < FOE_REGIONS; r++) {
        for (unsigned w = 0; w < FOE_WINDOWS; w++)
            pr_fabric_dereg(foe->region[r].window[w].mr);
        free(foe->region[r].memory);
        foe->region[r].memory = NULL;
    }
}

int foe_play(struct foe *foe)
{
    foe->window_bytes = FOE_WINDOW_BYTES;
    foe->version_min = PR_WIRE_VERSION_MIN;
    foe->version_max = PR_WIRE_VERSION;
    if (foe->deed && foe->deed->prepare)
        foe->deed->prepare(foe);
    int err = foe->role == FOE_SOURCE ? foe_play_source(foe) : foe_play_destination(foe);
    clean_up(foe);
    return err;
}
