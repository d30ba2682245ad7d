/* SPDX-License-Identifier: BSD-2-Clause */
/* The foe as a source, in good order. */
#include "base/error.h"
#include "base/runtime.h"
#include "tests/hostile/foe.h"
#include "transport/mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STATE_BYTES 3000
#define WINDOW_AHEAD (UINT64_C(4) << 20)

int foe_hear_source(struct foe *foe, unsigned lane, unsigned type, const union any_message *m)
{
    (void)lane;
    switch (type) {
    case PR_WIRE_WELCOME:
        foe->welcome = m->welcome;
        foe->welcomed = true;
        foe->window_bytes = m->welcome.window_bytes;
        break;
    case PR_WIRE_ACCEPT:
        foe->accepted++;
        break;
    case PR_WIRE_GRANT:
        if (m->grant.window.region < foe->regions && m->grant.window.window < FOE_WINDOWS) {
            struct foe_window *w =
                &foe->region[m->grant.window.region].window[m->grant.window.window];
            w->granted = true;
            w->grant = m->grant;
        }
        break;
    case PR_WIRE_EPOCH_ACK:
        foe->acked = m->epoch_ack.epoch;
        break;
    case PR_WIRE_READY:
        foe->ready = true;
        foe->phase = FOE_READY;
        break;
    case PR_WIRE_RUNNING:
        foe->running = true;
        break;
    default:
        break;
    }
    return 0;
}

static int greet(struct foe *foe)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.hello = (struct pr_wire_hello){
        .version_min = foe->version_min,
        .version_max = foe->version_max,
        .regions = foe->regions,
        .window_bytes = FOE_WINDOW_BYTES,
        .message_bytes = foe->fabric->limits.max_message_bytes,
        .recv_depth = foe->fabric->limits.recv_depth,
        .silence_ms = 3000,
        .rails = 1,
        .rail = {{.name = "foe", .lanes = FOE_DATA_LANES}},
    };
    for (unsigned i = 0; i < foe->regions; i++)
        m.hello.total_bytes += foe->region[i].len;
    int err = foe_say(foe, 0, PR_WIRE_HELLO, &m);
    for (unsigned i = 0; i < foe->regions && !err; i++) {
        memset(&m, 0, sizeof(m));
        m.region = (struct pr_wire_region){
            .index = i, .len = foe->region[i].len, .page_bytes = foe->region[i].page_bytes};
        memcpy(m.region.name, foe->region[i].name, sizeof(m.region.name));
        err = foe_say(foe, 0, PR_WIRE_REGION, &m);
    }
    return err;
}

static bool accepted(const struct foe *foe)
{
    return foe->welcomed && foe->accepted >= foe->regions;
}

static int join(struct foe *foe)
{
    foe->phase = FOE_JOINING;
    foe->lanes = foe->welcome.rail[0].lanes;
    if (foe->lanes > FOE_DATA_LANES) /* as a deed wanted: the rest never comes */
        foe->lanes = FOE_DATA_LANES;
    for (unsigned n = 1; n <= foe->lanes; n++) {
        struct pr_lane *lane;
        int err = foe_moment(foe);
        if (!err)
            err = foe_knock(foe, (uint16_t)n, foe->welcome.token, &lane);
        if (err)
            return err;
        foe_adopt(foe, n, lane);
        foe->lane[n].credits = foe->lane[n].depth = foe->welcome.recv_depth;
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

static int want(struct foe *foe, unsigned region, unsigned first, unsigned count)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.want.count = count;
    for (unsigned i = 0; i < count; i++) {
        m.want.window[i] = (struct pr_wire_window){region, first + i};
        foe->region[region].window[first + i].wanted = true;
        foe->region[region].window[first + i].granted = false;
    }
    return foe_say(foe, 0, PR_WIRE_WANT, &m);
}

static int drop(struct foe *foe, unsigned region, unsigned window)
{
    union any_message m = {.drop = {{region, window}}};
    foe->region[region].window[window].wanted = false;
    return foe_say(foe, 0, PR_WIRE_DROP, &m);
}

static bool all_granted(const struct foe *foe)
{
    for (unsigned r = 0; r < foe->regions; r++) {
        for (unsigned w = 0; w < FOE_WINDOWS; w++) {
            if (foe->region[r].window[w].wanted && !foe->region[r].window[w].granted)
                return false;
        }
    }
    return true;
}

static int write_pages(struct foe *foe)
{
    int err = 0;
    for (unsigned r = 0; r < foe->regions && !err; r++) {
        const struct pr_wire_grant *grant = &foe->region[r].window[0].grant;
        struct pr_key key = {grant->addr, grant->len, grant->rkey};
        err = foe_write(foe, 1 + r % foe->lanes, &key, grant->addr + 4096);
    }
    return err;
}

static bool epochs_acked(const struct foe *foe)
{
    return foe->acked >= foe->epochs;
}

static int epoch(struct foe *foe)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.zero = (struct pr_wire_zero){
        .epoch = foe->epochs + 1,
        .count = 2,
        .range = {{0, 8192, 4096}, {1, foe->region[1].len - 4096, 4096}},
    };
    int err = write_pages(foe);
    if (!err)
        err = foe_say(foe, 1, PR_WIRE_ZERO, &m);
    foe->epochs++;
    for (unsigned n = 1; n <= foe->lanes && !err; n++) {
        memset(&m, 0, sizeof(m));
        m.epoch_end = (struct pr_wire_epoch_end){foe->epochs, 1, 4096};
        err = foe_say(foe, n, PR_WIRE_EPOCH_END, &m);
    }
    return err;
}

static int say_stream(struct foe *foe, const uint8_t *bytes, uint32_t len)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    uint32_t most = foe->fabric->limits.max_message_bytes - PR_WIRE_HEADER_BYTES - 12;
    int err = 0;
    for (uint32_t done = 0; done < len && !err;) {
        uint32_t piece = len - done < most ? len - done : most;
        m.stream = (struct pr_wire_stream){foe->stream_sent, piece, bytes + done};
        err = foe_say(foe, 0, PR_WIRE_STREAM, &m);
        foe->stream_sent += piece;
        done += piece;
    }
    return err;
}

static int device_state(struct foe *foe)
{
    uint8_t state[PR_MARK_BYTES + STATE_BYTES];
    memset(state, 0x5a, sizeof(state));
    pr_mark_encode(foe->epochs, state);
    foe->phase = FOE_LOADING;
    int err = say_stream(foe, state, sizeof(state));
    union any_message m = {.stream_end = {foe->stream_sent}};
    if (!err)
        err = foe_say(foe, 0, PR_WIRE_STREAM_END, &m);
    foe->stream_closed = true;
    return err;
}

static bool is_ready(const struct foe *foe)
{
    return foe->ready;
}

static bool is_running(const struct foe *foe)
{
    return foe->running;
}

static bool has_report(const struct foe *foe)
{
    return foe->stream_ended;
}

static int move_guest(struct foe *foe)
{
    int err = announce(foe);
    for (unsigned r = 0; r < foe->regions && !err; r++)
        err = want(foe, r, 0, foe_windows(foe, r));
    if (!err)
        err = foe_until(foe, all_granted);
    if (!err)
        err = epoch(foe);
    if (!err)
        err = foe_until(foe, epochs_acked);
    unsigned last = foe_windows(foe, 0) - 1;
    if (!err && last)
        err = drop(foe, 0, last);
    if (!err && last)
        err = want(foe, 0, last, 1);
    if (!err)
        err = epoch(foe);
    return err ? err : device_state(foe);
}

static int hand_over(struct foe *foe)
{
    int err = foe_until(foe, is_ready);
    if (!err)
        err = foe_say_empty(foe, 0, PR_WIRE_RELEASE);
    if (err)
        return err;
    foe->phase = FOE_RELEASED;
    foe->released = true;
    err = foe_moment(foe);
    if (!err)
        err = foe_until(foe, is_running);
    if (!err)
        err = foe_until(foe, has_report);
    return err ? err : foe_say_empty(foe, 0, PR_WIRE_BYE);
}

static bool said_bye(const struct foe *foe)
{
    return foe->bye;
}

int foe_play_source(struct foe *foe)
{
    struct pr_lane *lane;
    foe->page = aligned_alloc(4096, 4096);
    if (!foe->page)
        return pr_error(ENOMEM, "no memory for a page");
    memset(foe->page, 0xa5, 4096);
    int err = pr_fabric_reg(foe->fabric, foe->page, 4096, PR_ACCESS_LOCAL_READ, &foe->mr);
    if (!err)
        err = foe_moment(foe);
    if (!err)
        err = foe_knock(foe, 0, NULL, &lane);
    if (err)
        return err;
    foe_adopt(foe, 0, lane);
    foe->phase = FOE_GREETING;
    err = greet(foe);
    if (!err)
        err = foe_until(foe, accepted);
    if (!err)
        err = join(foe);
    if (err)
        return err;
    foe->phase = FOE_MOVING;
    err = move_guest(foe);
    if (!err)
        err = hand_over(foe);
    return err ? err : foe_until(foe, said_bye);
}
