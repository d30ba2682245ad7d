/* SPDX-License-Identifier: BSD-2-Clause */
/* What a source can do to a destination. */
#include "tests/hostile/deeds.h"

#include "base/error.h"
#include "tests/hostile/tools.h"

#include <errno.h>
#include <string.h>

#define ONLY_MOVING IN(FOE_MOVING)

/* ---- the handshake ---- */

static void versions_of_the_future(struct foe *foe)
{
    foe->version_min = PR_WIRE_VERSION + 4;
    foe->version_max = PR_WIRE_VERSION + 8;
}

static void next_version_too(struct foe *foe)
{
    foe->version_max = PR_WIRE_VERSION + 1;
}

static void versions_of_the_future_after_the_knock(struct foe *foe, unsigned type,
                                                   union any_message *m)
{
    (void)foe;
    if (type != PR_WIRE_HELLO)
        return;
    m->hello.version_min = PR_WIRE_VERSION + 1;
    m->hello.version_max = PR_WIRE_VERSION + 2;
}

static void no_version_at_all(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)len;
    if (type == 0)
        memset(bytes + 8, 0, 4);
}

static void no_magic(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)len;
    static const uint8_t words[] = {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'};
    if (type == 0)
        memcpy(bytes, words, sizeof(words));
}

static void half_a_knock(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)bytes;
    if (type == 0)
        *len /= 2;
}

static void begins_with_a_data_lane(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == 0 && !m->knock.lane) {
        m->knock.lane = 1;
        m->knock.token[0] = 1;
    }
}

static void features_of_the_future(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_HELLO)
        m->hello.features = UINT64_MAX;
}

static void a_region_more(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type != PR_WIRE_HELLO)
        return;
    m->hello.regions++;
    m->hello.total_bytes += 4096;
}

static void all_regions_there_can_be(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type != PR_WIRE_HELLO)
        return;
    m->hello.regions = PR_WIRE_MAX_REGIONS;
    m->hello.total_bytes = PR_WIRE_MAX_REGIONS * PR_WIRE_MAX_REGION_BYTES;
}

static void unknown_region(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_REGION && m->region.index == 1)
        strcpy(m->region.name, "elsewhere");
}

static void region_twice(struct foe *foe, unsigned type, union any_message *m)
{
    if (type != PR_WIRE_REGION || m->region.index != 1)
        return;
    strcpy(m->region.name, foe->region[0].name);
    m->region.len = foe->region[0].len;
}

static void longer_region(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_REGION)
        m->region.len += 4096;
}

static void larger_pages(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type != PR_WIRE_REGION)
        return;
    m->region.page_bytes = UINT64_C(2) << 20;
    m->region.len = m->region.page_bytes * 8;
}

static void regions_out_of_order(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_REGION)
        m->region.index = 1 - m->region.index;
}

static void all_lanes_there_can_be(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_HELLO)
        m->hello.rail[0].lanes = PR_WIRE_MAX_LANES;
}

static void a_depth_beyond_all(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_HELLO)
        m->hello.recv_depth = UINT32_MAX;
}

static void a_message_size_beyond_all(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == PR_WIRE_HELLO)
        m->hello.message_bytes = UINT32_MAX;
}

/* Hello after hello, so that some are still on their way when the first is refused. */
static int hello_after_hello(struct foe *foe)
{
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 24 && !err; i++)
        err = tool_shout_sample(foe, 0, i % 2 ? PR_WIRE_REGION : PR_WIRE_HELLO);
    return err ? err : foe_idle(foe, 1000);
}

/* Refuses nothing: knocks again as lane `number` with this token, and takes what comes of it. */
static int knock_too(struct foe *foe, uint16_t number, const uint8_t *token)
{
    struct pr_lane *lane = NULL;
    if (!foe_knock(foe, number, token, &lane)) {
        pr_lane_close(lane);
        foe->complain(foe, "it admitted a lane that does not belong to the session");
    }
    return 0;
}

static int second_control_lane(struct foe *foe)
{
    return knock_too(foe, 0, NULL);
}

static int lane_with_a_wrong_token(struct foe *foe)
{
    uint8_t token[PR_WIRE_TOKEN_BYTES];
    memcpy(token, foe->welcome.token, sizeof(token));
    token[PR_WIRE_TOKEN_BYTES - 1] ^= 1;
    return knock_too(foe, 1, token);
}

static int one_lane_more(struct foe *foe)
{
    return knock_too(foe, FOE_DATA_LANES + 1, foe->welcome.token);
}

static int a_lane_twice(struct foe *foe)
{
    return foe->lane[1].lane ? knock_too(foe, 1, foe->welcome.token) : 0;
}

static int never_joins(struct foe *foe)
{
    return tool_linger(foe);
}

static void guessed_token(struct foe *foe, unsigned type, union any_message *m)
{
    (void)foe;
    if (type == 0 && m->knock.lane == 1)
        memset(m->knock.token, 1, sizeof(m->knock.token));
}

/* ---- windows ---- */

static int want_window(struct foe *foe, uint32_t region, uint32_t window)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.want.count = 1;
    m.want.window[0] = (struct pr_wire_window){region, window};
    return foe_shout_message(foe, 0, PR_WIRE_WANT, &m);
}

static int drop_window(struct foe *foe, uint32_t region, uint32_t window)
{
    union any_message m = {.drop = {{region, window}}};
    return foe_shout_message(foe, 0, PR_WIRE_DROP, &m);
}

static int wants_no_such_region(struct foe *foe)
{
    return want_window(foe, foe->regions, 0);
}

static int wants_no_such_window(struct foe *foe)
{
    uint64_t windows = (foe->region[1].len + foe->window_bytes - 1) / foe->window_bytes;
    return want_window(foe, 1, (uint32_t)windows);
}

static int wants_twice(struct foe *foe)
{
    int err = want_window(foe, 1, 0);
    return err ? err : want_window(foe, 1, 0);
}

static int drops_no_such_window(struct foe *foe)
{
    return drop_window(foe, 0, UINT32_MAX);
}

/* The grant cannot have been heard yet, though it may just have been made. */
static int drops_before_the_grant(struct foe *foe)
{
    unsigned window = foe_windows(foe, 0) - 1;
    int err = 0;
    for (unsigned ms = 0; ms < 100 && !err && !foe->region[0].window[window].granted; ms++)
        err = foe_idle(foe, 1);
    if (!err && foe->region[0].window[window].granted)
        err = drop_window(foe, 0, window);
    if (!err)
        err = want_window(foe, 0, window);
    foe->region[0].window[window].granted = false;
    foe->mute |= 1u << PR_WIRE_WANT | 1u << PR_WIRE_DROP;
    uint64_t heard = foe->lane[0].heard;
    for (unsigned i = 0; i < 40 && !err && foe->lane[0].heard == heard; i++)
        err = drop_window(foe, 0, window);
    return err;
}

/* Windows come and go, and nobody takes the grants in: they must not pile up. */
static int wants_and_drops_without_end(struct foe *foe)
{
    unsigned window = foe_windows(foe, 0) - 1;
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 1500 && !err; i++) {
        foe->floods = i > 500;
        err = want_window(foe, 0, window);
        if (!err)
            err = foe_idle(foe, 1);
        if (!err)
            err = drop_window(foe, 0, window);
    }
    return err;
}

/* A machine with much to do may take its time; a grant that never comes ends this one too. */
static int hear_grant(struct foe *foe, const struct foe_window *w)
{
    int err = 0;
    for (unsigned ms = 0; ms < 20000 && !err && !w->granted; ms++)
        err = foe_idle(foe, 1);
    return err || w->granted ? err : -ETIMEDOUT;
}

static int wants_and_drops_in_order(struct foe *foe)
{
    struct foe_window *w = &foe->region[1].window[0];
    int err = hear_grant(foe, w);
    for (unsigned i = 0; i < 40 && !err; i++) {
        union any_message m = {.drop = {{1, 0}}};
        err = foe_say(foe, 0, PR_WIRE_DROP, &m);
        memset(&m, 0, sizeof(m));
        m.want.count = 1;
        m.want.window[0].region = 1;
        w->wanted = true;
        w->granted = false;
        if (!err)
            err = foe_say(foe, 0, PR_WIRE_WANT, &m);
        if (!err)
            err = hear_grant(foe, w);
    }
    return err;
}

/* ---- writes ---- */

static const struct pr_wire_grant *some_grant(struct foe *foe)
{
    for (unsigned r = 0; r < foe->regions; r++) {
        if (foe->region[r].window[0].granted)
            return &foe->region[r].window[0].grant;
    }
    return NULL;
}

/* Its own fabric checks nothing: the key says that all memory is one window. */
static int write_with(struct foe *foe, uint64_t rkey, uint64_t at)
{
    struct pr_key key = {.addr = 0, .len = UINT64_MAX, .rkey = rkey};
    int err = foe_write(foe, tool_data_lane(foe), &key, at);
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

static int writes_before_the_window(struct foe *foe)
{
    const struct pr_wire_grant *grant = some_grant(foe);
    return grant ? write_with(foe, grant->rkey, grant->addr - 2048) : 0;
}

static int writes_past_the_window(struct foe *foe)
{
    const struct pr_wire_grant *grant = some_grant(foe);
    return grant ? write_with(foe, grant->rkey, grant->addr + grant->len - 4095) : 0;
}

static int writes_with_a_guessed_key(struct foe *foe)
{
    const struct pr_wire_grant *grant = some_grant(foe);
    return grant ? write_with(foe, grant->rkey ^ (UINT64_C(1) << 40), grant->addr) : 0;
}

static bool dropped_window_is_back(const struct foe *foe)
{
    return foe->region[1].window[0].granted;
}

/* The window was given back and asked for again: the first key is dead. */
static int writes_with_an_old_key(struct foe *foe)
{
    struct foe_window *w = &foe->region[1].window[0];
    if (!w->granted)
        return 0;
    struct pr_wire_grant old = w->grant;
    int err = drop_window(foe, 1, 0);
    w->granted = false;
    if (!err)
        err = want_window(foe, 1, 0);
    if (!err)
        err = foe_until(foe, dropped_window_is_back);
    return err ? err : write_with(foe, old.rkey, old.addr);
}

/* ---- epochs ---- */

static int zero_range(struct foe *foe, uint64_t epoch, struct pr_wire_range range)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.zero = (struct pr_wire_zero){.epoch = epoch, .count = 1, .range = {range}};
    int err = foe_shout_message(foe, 1, PR_WIRE_ZERO, &m);
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

static int zeroes_past_the_end(struct foe *foe)
{
    return zero_range(foe, foe->epochs + 1,
                      (struct pr_wire_range){1, foe->region[1].len - 4096, 8192});
}

static int zeroes_behind_the_end(struct foe *foe)
{
    return zero_range(foe, foe->epochs + 1, (struct pr_wire_range){0, foe->region[0].len, 4096});
}

static int zeroes_all_there_can_be(struct foe *foe)
{
    return zero_range(foe, foe->epochs + 1,
                      (struct pr_wire_range){0, 4096, PR_WIRE_MAX_REGION_BYTES - 4096});
}

static int zeroes_in_no_such_region(struct foe *foe)
{
    return zero_range(foe, foe->epochs + 1,
                      (struct pr_wire_range){PR_WIRE_MAX_REGIONS - 1, 0, 4096});
}

static int zeroes_of_another_epoch(struct foe *foe)
{
    uint64_t epoch = random_next(&foe->random) % 2 ? foe->epochs + 2 : UINT64_MAX;
    return zero_range(foe, epoch, (struct pr_wire_range){0, 0, 4096});
}

/* All of the guest, 128 times in a message, and gone: nobody waits for the end of that. */
static int zeroes_without_end(struct foe *foe)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    m.zero = (struct pr_wire_zero){.epoch = foe->epochs + 1, .count = PR_WIRE_MAX_ZERO_RANGES};
    for (unsigned i = 0; i < PR_WIRE_MAX_ZERO_RANGES; i++)
        m.zero.range[i] = (struct pr_wire_range){0, 0, foe->region[0].len};
    int err = 0;
    unsigned messages = foe->region[0].len < UINT64_C(16) << 20 ? 12 : 60;
    for (unsigned i = 0; i < messages && !err; i++)
        err = foe_shout_message(foe, 1, PR_WIRE_ZERO, &m);
    foe->left = true;
    return err;
}

static int end_epoch(struct foe *foe, unsigned lane, uint64_t epoch)
{
    union any_message m = {.epoch_end = {epoch, 0, 0}};
    return foe_shout_message(foe, lane, PR_WIRE_EPOCH_END, &m);
}

static int ends_a_future_epoch(struct foe *foe)
{
    int err = end_epoch(foe, 1, foe->epochs + 2);
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

static int ends_an_epoch_on_one_lane_only(struct foe *foe)
{
    uint64_t epoch = foe->epochs + 1;
    int err = end_epoch(foe, 1, epoch);
    if (!err)
        err = end_epoch(foe, 1, epoch + 1);
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

/* Epoch upon epoch, and no acknowledgement is taken in. */
static int epochs_without_end(struct foe *foe)
{
    uint64_t epoch = foe->epochs;
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 1500 && !err; i++) {
        epoch++;
        foe->floods = i > 500;
        for (unsigned n = 1; n <= foe->lanes && !err; n++)
            err = end_epoch(foe, n, epoch);
        if (!err)
            err = foe_idle(foe, 1);
    }
    return err;
}

/* ---- the hand-over ---- */

static int releases_too_early(struct foe *foe)
{
    return tool_shout_sample(foe, 0, PR_WIRE_RELEASE);
}

static int releases_twice(struct foe *foe)
{
    return tool_shout_sample(foe, 0, PR_WIRE_RELEASE);
}

static void no_fence(struct foe *foe, unsigned type, uint8_t *bytes, int *len)
{
    (void)foe, (void)len;
    if (type == PR_WIRE_STREAM)
        memset(bytes + PR_WIRE_HEADER_BYTES + 12, 0, 8);
}

static int ends_the_stream_before_the_fence(struct foe *foe)
{
    union any_message m = {.stream_end = {0}};
    foe->mute |= 1u << PR_WIRE_STREAM | 1u << PR_WIRE_STREAM_END;
    return foe_shout_message(foe, 0, PR_WIRE_STREAM_END, &m);
}

static int never_releases(struct foe *foe)
{
    foe->mute |= 1u << PR_WIRE_RELEASE;
    return tool_linger(foe);
}

static const struct deed list[] = {
    {"versions of the future", 0, DEED_IGNORED, "5 to 9", .prepare = versions_of_the_future},
    {"next version too", 0, DEED_COMPLETES, NULL, .prepare = next_version_too},
    {"versions of the future after the knock", 0, EPROTONOSUPPORT, "2 to 3",
     .twist = versions_of_the_future_after_the_knock},
    {"no version at all", 0, DEED_IGNORED, "version_min", .twist_bytes = no_version_at_all},
    {"no magic", 0, DEED_IGNORED, "no pagerail", .twist_bytes = no_magic},
    {"half a knock", 0, DEED_IGNORED, "no pagerail", .twist_bytes = half_a_knock},
    {"begins with a data lane", 0, DEED_IGNORED, "control lane", .twist = begins_with_a_data_lane},
    {"features of the future", 0, DEED_COMPLETES, NULL, .twist = features_of_the_future},
    {"a region more", 0, EINVAL, "memory regions", .twist = a_region_more},
    {"all regions there can be", 0, EINVAL, "4096 memory regions",
     .twist = all_regions_there_can_be},
    {"unknown region", 0, EINVAL, "'elsewhere'", .twist = unknown_region},
    {"region twice", 0, EPROTO, "twice", .twist = region_twice},
    {"longer region", 0, EINVAL, "bytes at the source", .twist = longer_region},
    {"larger pages", 0, EINVAL, NULL, .twist = larger_pages},
    {"regions out of order", 0, EPROTO, "out of order", .twist = regions_out_of_order},
    {"all lanes there can be", 0, DEED_FAILS, NULL, .twist = all_lanes_there_can_be},
    {"a depth beyond all", 0, DEED_ANYTHING, NULL, .twist = a_depth_beyond_all},
    {"a message size beyond all", 0, DEED_COMPLETES, NULL, .twist = a_message_size_beyond_all},
    {"hello after hello", IN(FOE_GREETING), DEED_FAILS, NULL, .act = hello_after_hello},
    {"second control lane", IN(FOE_JOINING), DEED_COMPLETES, NULL, .act = second_control_lane},
    {"lane with a wrong token", IN(FOE_JOINING), DEED_COMPLETES, NULL,
     .act = lane_with_a_wrong_token},
    {"one lane more", IN(FOE_JOINING), DEED_COMPLETES, NULL, .act = one_lane_more},
    {"a lane twice", IN(FOE_JOINING), DEED_COMPLETES, NULL, .act = a_lane_twice},
    {"never joins", IN(FOE_JOINING), ETIMEDOUT, "lanes", .act = never_joins},
    {"guessed token", 0, DEED_FAILS, NULL, .twist = guessed_token},
    {"wants no such region", WITH_LANES, EPROTO, "does not exist", .act = wants_no_such_region},
    {"wants no such window", WITH_LANES, EPROTO, "does not exist", .act = wants_no_such_window},
    {"wants twice", WITH_LANES, EPROTO, "twice", .act = wants_twice},
    {"drops no such window", WITH_LANES, EPROTO, "does not exist", .act = drops_no_such_window},
    {"drops before the grant", ONLY_MOVING, DEED_FAILS, NULL, .act = drops_before_the_grant},
    {"wants and drops without end", ONLY_MOVING, DEED_ANYTHING, NULL,
     .act = wants_and_drops_without_end},
    {"wants and drops in order", IN(FOE_LOADING), DEED_COMPLETES, NULL,
     .act = wants_and_drops_in_order},
    {"writes before the window", ONLY_MOVING, DEED_ANYTHING, NULL, .act = writes_before_the_window},
    {"writes past the window", ONLY_MOVING, DEED_ANYTHING, NULL, .act = writes_past_the_window},
    {"writes with a guessed key", ONLY_MOVING, DEED_ANYTHING, NULL,
     .act = writes_with_a_guessed_key},
    {"writes with an old key", ONLY_MOVING, DEED_ANYTHING, NULL, .act = writes_with_an_old_key},
    {"zeroes past the end", ONLY_MOVING, EPROTO, NULL, .act = zeroes_past_the_end},
    {"zeroes behind the end", ONLY_MOVING, EPROTO, NULL, .act = zeroes_behind_the_end},
    {"zeroes all there can be", ONLY_MOVING, EPROTO, NULL, .act = zeroes_all_there_can_be},
    {"zeroes in no such region", ONLY_MOVING, EPROTO, NULL, .act = zeroes_in_no_such_region},
    {"zeroes of another epoch", ONLY_MOVING, EPROTO, "epoch", .act = zeroes_of_another_epoch},
    {"zeroes without end", ONLY_MOVING, DEED_FAILS, NULL, .act = zeroes_without_end},
    {"ends a future epoch", ONLY_MOVING, EPROTO, "out of order", .act = ends_a_future_epoch},
    {"ends an epoch on one lane only", ONLY_MOVING, EPROTO, "out of order",
     .act = ends_an_epoch_on_one_lane_only},
    {"epochs without end", ONLY_MOVING, DEED_ANYTHING, NULL, .act = epochs_without_end},
    {"releases too early", IN(FOE_GREETING) | WHILE_MOVING, EPROTO, NULL,
     .act = releases_too_early},
    {"releases twice", IN(FOE_RELEASED), DEED_ANYTHING, NULL, .act = releases_twice},
    {"no fence", 0, EPROTO, "fence", .twist_bytes = no_fence},
    {"ends the stream before the fence", ONLY_MOVING, EPROTO, "fence",
     .act = ends_the_stream_before_the_fence},
    {"never releases", IN(FOE_READY), DEED_FAILS, NULL, .act = never_releases},
};

struct deeds deeds_of_source(void)
{
    return (struct deeds){list, sizeof(list) / sizeof(list[0])};
}
