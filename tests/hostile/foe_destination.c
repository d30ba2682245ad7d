/* SPDX-License-Identifier: BSD-2-Clause */
/* The foe as a destination, in good order: it notes what it hears and answers one thing at a time.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/hostile/foe.h"
#include "transport/mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_AHEAD (UINT64_C(4) << 20)

static int take_region(struct foe *foe, const struct pr_wire_region *m)
{
    if (m->index >= FOE_REGIONS)
        return pr_error(EINVAL, "a foe knows %d regions only", FOE_REGIONS);
    struct foe_region *region = &foe->region[m->index];
    memcpy(region->name, m->name, sizeof(region->name));
    region->len = m->len;
    region->page_bytes = m->page_bytes;
    region->memory = aligned_alloc(4096, m->len);
    foe->named++;
    return region->memory ? 0 : pr_error(ENOMEM, "no memory for a region");
}

static struct foe_window *window_of(struct foe *foe, const struct pr_wire_window *name)
{
    if (name->region >= foe->regions || name->window >= foe_windows(foe, name->region))
        return NULL;
    return &foe->region[name->region].window[name->window];
}

static int take_drop(struct foe *foe, const struct pr_wire_window *name)
{
    struct foe_window *w = window_of(foe, name);
    if (!w)
        return 0;
    pr_fabric_dereg(w->mr);
    *w = (struct foe_window){0};
    return 0;
}

static void take_want(struct foe *foe, const struct pr_wire_want *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct foe_window *w = window_of(foe, &m->window[i]);
        if (w)
            w->wanted = true;
    }
}

int foe_hear_destination(struct foe *foe, unsigned lane, unsigned type, const union any_message *m)
{
    switch (type) {
    case PR_WIRE_HELLO:
        foe->hello = m->hello;
        foe->welcomed = true;
        foe->regions = m->hello.regions;
        foe->window_bytes = m->hello.window_bytes;
        return foe->regions <= FOE_REGIONS ? 0 : pr_error(EINVAL, "too many regions for a foe");
    case PR_WIRE_REGION:
        return take_region(foe, &m->region);
    case PR_WIRE_WANT:
        take_want(foe, &m->want);
        break;
    case PR_WIRE_DROP:
        return take_drop(foe, &m->drop.window);
    case PR_WIRE_EPOCH_END:
        if (lane)
            foe->lane_epochs[lane - 1]++;
        break;
    case PR_WIRE_RELEASE:
        foe->released = true;
        foe->phase = FOE_RELEASED;
        break;
    default:
        break;
    }
    return 0;
}

static int admit(void *opaque, const void *bytes, uint32_t len)
{
    struct foe *foe = opaque;
    struct pr_wire_knock knock;
    int err = pr_wire_knock_decode(&knock, bytes, len);
    if (err)
        return err;
    int version = pr_wire_version_choose(foe->version_min, foe->version_max, knock.version_min,
                                         knock.version_max);
    if (version < 0)
        return version;
    foe->welcome.version = (uint16_t)version;
    if (knock.lane &&
        (foe->refuses || memcmp(knock.token, foe->welcome.token, sizeof(knock.token))))
        return pr_error(EBUSY, "no room here");
    foe->knocking = knock.lane;
    return 0;
}

static int accept_lane(struct foe *foe, unsigned number)
{
    struct pr_lane *lane;
    int err = pr_listener_accept(foe->listener, foe->patience_ms, NULL, admit, foe, &lane);
    if (err)
        return err;
    if (foe->knocking != number)
        foe->complain(foe, "it knocked with another lane's number");
    foe_adopt(foe, number, lane);
    return 0;
}

static bool asked(const struct foe *foe)
{
    return foe->welcomed && foe->named >= foe->regions;
}

static int welcome(struct foe *foe)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    foe->lanes =
        foe->hello.rail[0].lanes < FOE_DATA_LANES ? foe->hello.rail[0].lanes : FOE_DATA_LANES;
    m.welcome = (struct pr_wire_welcome){
        .version = foe->welcome.version,
        .window_bytes = foe->window_bytes,
        .message_bytes = foe->fabric->limits.max_message_bytes,
        .recv_depth = foe->fabric->limits.recv_depth,
        .silence_ms = 3000,
        .token = {42},
        .rails = 1,
        .rail = {{.name = "foe", .lanes = (uint16_t)foe->lanes}},
    };
    memcpy(foe->welcome.token, m.welcome.token, sizeof(m.welcome.token));
    int err = foe_say(foe, 0, PR_WIRE_WELCOME, &m);
    for (unsigned i = 0; i < foe->regions && !err; i++) {
        memset(&m, 0, sizeof(m));
        m.accept = (struct pr_wire_accept){.index = i};
        err = foe_say(foe, 0, PR_WIRE_ACCEPT, &m);
    }
    return err;
}

static int join(struct foe *foe)
{
    foe->phase = FOE_JOINING;
    for (unsigned n = 1; n <= foe->lanes; n++) {
        int err = foe_moment(foe);
        if (!err)
            err = accept_lane(foe, n);
        if (err)
            return err;
        foe->lane[n].credits = foe->lane[n].depth = foe->hello.recv_depth;
    }
    return 0;
}

static int announce(struct foe *foe)
{
    union any_message m = {.stream_limit = {WINDOW_AHEAD}};
    int err = foe_say(foe, 0, PR_WIRE_STREAM_LIMIT, &m);
    m.ping = (struct pr_wire_ping){pr_now_ns()};
    return err ? err : foe_say(foe, 0, PR_WIRE_PING, &m);
}

static int grant(struct foe *foe, unsigned r, unsigned i)
{
    struct foe_region *region = &foe->region[r];
    struct foe_window *w = &region->window[i];
    uint64_t at = i * foe->window_bytes, left = region->len - at;
    uint64_t len = left < foe->window_bytes ? left : foe->window_bytes;
    int err = pr_fabric_reg(foe->fabric, region->memory + at, len, PR_ACCESS_REMOTE_WRITE, &w->mr);
    if (err)
        return err;
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.grant = (struct pr_wire_grant){{r, i}, w->mr->key.addr, len, w->mr->key.rkey};
    w->granted = true;
    w->grant = m.grant;
    return foe_say(foe, 0, PR_WIRE_GRANT, &m);
}

static int grant_one(struct foe *foe, bool *done)
{
    for (unsigned r = 0; r < foe->regions; r++) {
        for (unsigned w = 0; w < FOE_WINDOWS; w++) {
            if (!foe->region[r].window[w].wanted || foe->region[r].window[w].granted)
                continue;
            *done = true;
            return grant(foe, r, w);
        }
    }
    return 0;
}

static uint64_t epochs_complete(const struct foe *foe)
{
    uint64_t least = foe->lane_epochs[0];
    for (unsigned i = 1; i < foe->lanes; i++)
        least = foe->lane_epochs[i] < least ? foe->lane_epochs[i] : least;
    return least;
}

/* Device state is here and its fence is past. */
static bool could_run(const struct foe *foe)
{
    uint64_t epoch = 0;
    return foe->stream_ended && foe->stream_heard >= PR_MARK_BYTES &&
           !pr_mark_decode(foe->fence, &epoch) && foe->acked >= epoch;
}

static int answer_one(struct foe *foe, bool *done)
{
    if (foe->stream_heard)
        foe->phase = foe->phase == FOE_MOVING ? FOE_LOADING : foe->phase;
    if (foe->acked < epochs_complete(foe)) {
        union any_message m = {.epoch_ack = {++foe->acked}};
        *done = true;
        return foe_say(foe, 0, PR_WIRE_EPOCH_ACK, &m);
    }
    if (!foe->ready && could_run(foe)) {
        foe->ready = *done = true;
        int err = foe_say_empty(foe, 0, PR_WIRE_READY);
        foe->phase = foe->phase == FOE_LOADING ? FOE_READY : foe->phase;
        return err ? err : foe_moment(foe);
    }
    return grant_one(foe, done);
}

static int serve(struct foe *foe)
{
    uint64_t deadline = pr_deadline_after_ms(foe->patience_ms);
    while (!foe->released) {
        bool done = false;
        int err = answer_one(foe, &done);
        if (!err && !done)
            err = foe_idle(foe, 1);
        if (err)
            return err;
        if (pr_deadline_left_ms(deadline) == 0)
            return pr_error(ETIMEDOUT, "the library does not go on");
    }
    return 0;
}

static int report(struct foe *foe)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.running = (struct pr_wire_running){1000, 2000};
    int err = foe_say(foe, 0, PR_WIRE_RUNNING, &m);
    memset(&m, 0, sizeof(m));
    m.stream = (struct pr_wire_stream){0, 6, "report"};
    if (!err)
        err = foe_say(foe, 0, PR_WIRE_STREAM, &m);
    m.stream_end = (struct pr_wire_stream_end){6};
    return err ? err : foe_say(foe, 0, PR_WIRE_STREAM_END, &m);
}

static bool said_bye(const struct foe *foe)
{
    return foe->bye;
}

int foe_play_destination(struct foe *foe)
{
    int err = pr_fabric_listen(foe->fabric, foe->address, &foe->listener);
    if (err)
        return err;
    if (foe->listens)
        foe->listens(foe);
    err = foe_moment(foe);
    if (!err)
        err = accept_lane(foe, 0);
    if (err)
        return err;
    foe->phase = FOE_GREETING;
    err = foe_until(foe, asked);
    if (!err)
        err = welcome(foe);
    if (!err)
        err = join(foe);
    if (err)
        return err;
    foe->phase = FOE_MOVING;
    err = announce(foe);
    if (!err)
        err = serve(foe);
    if (!err)
        err = report(foe);
    if (!err)
        err = foe_until(foe, said_bye);
    return err ? err : foe_say_empty(foe, 0, PR_WIRE_BYE);
}
