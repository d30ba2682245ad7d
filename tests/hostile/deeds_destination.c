/* SPDX-License-Identifier: BSD-2-Clause */
/* What a destination can do to a source. */
#include "tests/hostile/deeds.h"

#include "base/error.h"
#include "tests/hostile/tools.h"

#include <errno.h>
#include <string.h>

/* ---- the handshake ---- */

static void versions_of_the_future(struct foe *foe)
{
    foe->version_min = PR_WIRE_VERSION + 1;
    foe->version_max = PR_WIRE_VERSION + 2;
}

static void next_version_too(struct foe *foe)
{
    foe->version_max = PR_WIRE_VERSION + 1;
}

static void no_version(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)len;
    if (type == PR_WIRE_WELCOME)
        memset(bytes + PR_WIRE_HEADER_BYTES, 0, 2);
}

static void a_version_nobody_offered(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_WELCOME)
        m->welcome.version = PR_WIRE_VERSION + 1;
}

static void more_lanes_than_wanted(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_WELCOME)
        m->welcome.rail[0].lanes = PR_WIRE_MAX_LANES;
}

static void more_rails_than_offered(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type != PR_WIRE_WELCOME)
        return;
    m->welcome.rails = 2;
    m->welcome.rail[1] = m->welcome.rail[0];
}

static void larger_windows_than_wanted(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_WELCOME)
        m->welcome.window_bytes *= 2;
}

/* No window fits into it, so none would ever be granted. */
static void a_tiny_pin_budget(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_WELCOME)
        m->welcome.pin_bytes = 4096;
}

static void a_depth_beyond_all(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_WELCOME)
        m->welcome.recv_depth = UINT32_MAX;
}

static void regions_out_of_order(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_ACCEPT)
        m->accept.index = 1;
}

static void no_such_region(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_ACCEPT)
        m->accept.index += foe->regions;
}

static void no_token(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)len;
    if (type == PR_WIRE_WELCOME)
        memset(bytes + PR_WIRE_HEADER_BYTES + 38, 0, PR_WIRE_TOKEN_BYTES);
}

/* Welcome after welcome, so that some are still on their way when the first is refused. */
static int welcome_after_welcome(struct foe *foe)
{
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 24 && !err; i++)
        err = tool_shout_sample(foe, 0, i % 2 ? PR_WIRE_ACCEPT : PR_WIRE_WELCOME);
    return err ? err : foe_idle(foe, 1000);
}

static int refuses_lanes(struct foe *foe)
{
    foe->refuses = true;
    return 0;
}

/* ---- windows ---- */

static int grant_window(struct foe *foe, struct pr_wire_grant grant)
{
    union any_message m = {.grant = grant};
    return foe_shout_message(foe, 0, PR_WIRE_GRANT, &m);
}

static const struct foe_window *granted_window(const struct foe *foe)
{
    for (unsigned r = 0; r < foe->regions; r++) {
        for (unsigned w = 0; w < FOE_WINDOWS; w++) {
            if (foe->region[r].window[w].granted)
                return &foe->region[r].window[w];
        }
    }
    return NULL;
}

static int grants_twice(struct foe *foe)
{
    const struct foe_window *w = granted_window(foe);
    struct pr_wire_grant grant = w ? w->grant : (struct pr_wire_grant){{0, 99999}, 0, 4096, 1};
    return grant_window(foe, grant);
}

static int grants_no_such_region(struct foe *foe)
{
    return grant_window(foe, (struct pr_wire_grant){{foe->regions, 0}, 0, foe->window_bytes, 1});
}

static int grants_no_such_window(struct foe *foe)
{
    return grant_window(foe, (struct pr_wire_grant){{0, UINT32_MAX}, 0, foe->window_bytes, 1});
}

static void grants_a_shorter_window(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_GRANT)
        m->grant.len -= 4096;
}

static void grants_a_longer_window(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_GRANT)
        m->grant.len += 4096;
}

/* It can only hurt itself by these: its own device refuses the writes. */
static void grants_wild_addresses(struct foe *foe, unsigned type, union any_message *m)
{
    if (type == PR_WIRE_GRANT)
        m->grant.addr = random_next(&foe->random) % (UINT64_MAX - m->grant.len);
}

static void grants_wild_keys(struct foe *foe, unsigned type, union any_message *m)
{
    if (type == PR_WIRE_GRANT)
        m->grant.rkey = random_next(&foe->random);
}

static void never_grants(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_GRANT;
}

/* ---- epochs ---- */

static int ack(struct foe *foe, uint64_t epoch)
{
    union any_message m = {.epoch_ack = {epoch}};
    return foe_shout_message(foe, 0, PR_WIRE_EPOCH_ACK, &m);
}

static int acks_the_future(struct foe *foe)
{
    return ack(foe, foe->acked + 2 + random_next(&foe->random) % 100);
}

static int acks_again(struct foe *foe)
{
    return ack(foe, foe->acked);
}

/* The right number, before the lanes have brought the epoch's end. */
static int acks_too_early(struct foe *foe)
{
    int err = 0;
    for (unsigned i = 0; i < 4 && !err; i++)
        err = ack(foe, ++foe->acked);
    return err;
}

/* From the first window on, before a page can have been sent. */
static int acks_before_anything(struct foe *foe)
{
    return ack(foe, ++foe->acked);
}

static void never_acks(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_EPOCH_ACK;
}

/* As long as the guest runs all is well; then, with the guest stopped, nothing more. */
static int stops_acking(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_EPOCH_ACK;
    return 0;
}

/* ---- the hand-over ---- */

static int ready_too_early(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_READY;
    return tool_shout_sample(foe, 0, PR_WIRE_READY);
}

static int ready_twice(struct foe *foe)
{
    return tool_shout_sample(foe, 0, PR_WIRE_READY);
}

static void never_ready(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_READY;
}

static int running_too_early(struct foe *foe)
{
    return tool_shout_sample(foe, 0, PR_WIRE_RUNNING);
}

static void no_room_for_device_state(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_STREAM_LIMIT)
        m->stream_limit.limit = 100;
}

/* Ready, and no credit for the release. */
static int ready_but_no_credit(struct foe *foe)
{
    foe->miserly = true;
    return 0;
}

static int never_runs(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_RUNNING | 1u << PR_WIRE_STREAM | 1u << PR_WIRE_STREAM_END;
    return 0;
}

static int runs_twice(struct foe *foe)
{
    int err = tool_shout_sample(foe, 0, PR_WIRE_RUNNING);
    return err ? err : tool_shout_sample(foe, 0, PR_WIRE_RUNNING);
}

static const struct deed list[] = {
    {"versions of the future", 0, ECONNREFUSED, "2 to 3", .prepare = versions_of_the_future},
    {"next version too", 0, DEED_COMPLETES, NULL, .prepare = next_version_too},
    {"no version", 0, EPROTO, "version", .twist_bytes = no_version},
    {"a version nobody offered", 0, EPROTO, "not offered", .twist = a_version_nobody_offered},
    {"more lanes than wanted", 0, EPROTO, "not offered", .twist = more_lanes_than_wanted},
    {"more rails than offered", 0, EPROTO, "not offered", .twist = more_rails_than_offered},
    {"larger windows than wanted", 0, EPROTO, "not offered", .twist = larger_windows_than_wanted},
    {"a tiny pin budget", 0, EPROTO, "pin", .twist = a_tiny_pin_budget},
    {"a depth beyond all", 0, DEED_ANYTHING, NULL, .twist = a_depth_beyond_all},
    {"regions out of order", 0, EPROTO, "out of order", .twist = regions_out_of_order},
    {"no such region", 0, EPROTO, "out of order", .twist = no_such_region},
    {"no token", 0, EPROTO, "token", .twist_bytes = no_token},
    {"welcome after welcome", IN(FOE_GREETING), DEED_FAILS, NULL, .act = welcome_after_welcome},
    {"refuses lanes", IN(FOE_JOINING), DEED_FAILS, NULL, .act = refuses_lanes},
    {"grants twice", WITH_LANES, EPROTO, "granted", .act = grants_twice},
    {"grants no such region", WITH_LANES, EPROTO, "does not exist", .act = grants_no_such_region},
    {"grants no such window", WITH_LANES, EPROTO, "does not exist", .act = grants_no_such_window},
    {"grants a shorter window", 0, EPROTO, "granted", .twist = grants_a_shorter_window},
    {"grants a longer window", 0, EPROTO, "granted", .twist = grants_a_longer_window},
    {"grants wild addresses", 0, DEED_FAILS, NULL, .twist = grants_wild_addresses},
    {"grants wild keys", 0, DEED_FAILS, NULL, .twist = grants_wild_keys},
    {"never grants", 0, DEED_FAILS, NULL, .prepare = never_grants},
    {"acks the future", WITH_LANES, EPROTO, "epoch", .act = acks_the_future},
    {"acks again", WITH_LANES, EPROTO, "epoch", .act = acks_again},
    {"acks too early", WHILE_MOVING, EPROTO, "epoch", .act = acks_too_early},
    {"acks before anything", IN(FOE_MOVING), EPROTO, "epoch", .act = acks_before_anything,
     .prepare = never_grants},
    {"never acks", 0, DEED_FAILS, NULL, .prepare = never_acks},
    {"stops acking", WHILE_MOVING, DEED_ANYTHING, NULL, .act = stops_acking},
    {"ready too early", IN(FOE_MOVING), EPROTO, "ready", .act = ready_too_early},
    {"ready twice", IN(FOE_READY), DEED_ANYTHING, NULL, .act = ready_twice},
    {"never ready", 0, ETIMEDOUT, "not ready", .prepare = never_ready},
    {"running too early", IN(FOE_GREETING) | IN(FOE_JOINING) | WHILE_MOVING, EPROTO, NULL,
     .act = running_too_early},
    {"no room for device state", 0, ETIMEDOUT, NULL, .twist = no_room_for_device_state},
    {"ready but no credit", IN(FOE_MOVING), DEED_ANYTHING, NULL, .act = ready_but_no_credit},
    {"never runs", WHILE_MOVING | IN(FOE_READY), DEED_FAILS, NULL, .act = never_runs},
    {"runs twice", IN(FOE_RELEASED), DEED_ANYTHING, NULL, .act = runs_twice},
};

struct deeds deeds_of_destination(void)
{
    return (struct deeds){list, sizeof(list) / sizeof(list[0])};
}
