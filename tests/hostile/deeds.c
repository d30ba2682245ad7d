/* SPDX-License-Identifier: BSD-2-Clause */
/* What either side can do to the other, and the list of all deeds. */
#include "tests/hostile/deeds.h"

#include "base/cursor.h"
#include "base/error.h"
#include "base/runtime.h"
#include "tests/hostile/tools.h"

#include <errno.h>
#include <string.h>

/* ---- bytes that are no messages ---- */

static int shout_noise(struct foe *foe, unsigned lane)
{
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    uint32_t len = (uint32_t)random_between(&foe->random, 1, 600);
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)random_next(&foe->random);
    bytes[0] |= 0x80; /* no known type */
    return foe_shout(foe, lane, bytes, len);
}

static int noise(struct foe *foe)
{
    return shout_noise(foe, 0);
}

static int noise_on_a_data_lane(struct foe *foe)
{
    int err = shout_noise(foe, tool_data_lane(foe));
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

static int less_than_a_header(struct foe *foe)
{
    static const uint8_t bytes[PR_WIRE_HEADER_BYTES] = {PR_WIRE_PING};
    return foe_shout(foe, 0, bytes, (uint32_t)random_between(&foe->random, 1, 7));
}

static int the_largest_message(struct foe *foe)
{
    static const uint8_t bytes[PR_WIRE_MAX_MESSAGE] = {PR_WIRE_PING};
    return foe_shout(foe, 0, bytes, sizeof(bytes));
}

/* A ping with a byte of its header changed. */
static int spoiled_header(struct foe *foe, unsigned at, uint8_t value)
{
    union any_message m = {.ping = {1}};
    uint8_t bytes[64];
    int len = samples[PR_WIRE_PING].encode(&m, bytes, sizeof(bytes));
    bytes[at] = value;
    return foe_shout(foe, 0, bytes, (uint32_t)len);
}

static int wrong_length(struct foe *foe)
{
    return spoiled_header(foe, 4, (uint8_t)random_between(&foe->random, 9, 255));
}

static int reserved_flags(struct foe *foe)
{
    return spoiled_header(foe, 1, 1);
}

static int type_zero(struct foe *foe)
{
    return spoiled_header(foe, 0, 0);
}

static int type_of_the_future(struct foe *foe)
{
    return spoiled_header(foe, 0, PR_WIRE_TYPES);
}

static int immediate_data(struct foe *foe)
{
    struct pr_rma nothing = {.signaled = true};
    struct pr_lane *lane = foe->lane[0].lane;
    int err = lane ? pr_lane_post_write_imm(lane, &nothing, 7) : -ECONNRESET;
    return err ? err : pr_lane_flush(lane);
}

/* ---- messages that are wrong here ---- */

static int again(struct foe *foe)
{
    return foe->last_len ? foe_shout(foe, foe->last_lane, foe->last, foe->last_len) : 0;
}

/* A message that only the other side may say. */
static int words_of_the_other_side(struct foe *foe)
{
    static const uint8_t of_source[] = {PR_WIRE_HELLO, PR_WIRE_REGION, PR_WIRE_WANT, PR_WIRE_DROP,
                                        PR_WIRE_RELEASE};
    static const uint8_t of_destination[] = {PR_WIRE_WELCOME,   PR_WIRE_ACCEPT, PR_WIRE_GRANT,
                                             PR_WIRE_EPOCH_ACK, PR_WIRE_READY,  PR_WIRE_RUNNING};
    unsigned type = foe->role == FOE_SOURCE
                        ? of_destination[random_next(&foe->random) % sizeof(of_destination)]
                        : of_source[random_next(&foe->random) % sizeof(of_source)];
    return tool_shout_sample(foe, 0, type);
}

static int control_on_a_data_lane(struct foe *foe)
{
    static const uint8_t types[] = {PR_WIRE_PING,  PR_WIRE_BYE,     PR_WIRE_STREAM,
                                    PR_WIRE_HELLO, PR_WIRE_RELEASE, PR_WIRE_READY};
    int err = tool_shout_sample(foe, tool_data_lane(foe),
                                types[random_next(&foe->random) % sizeof(types)]);
    return err ? err : foe_idle(foe, TOOL_ARRIVAL_MS);
}

static int data_on_the_control_lane(struct foe *foe)
{
    unsigned type = random_next(&foe->random) % 2 ? PR_WIRE_ZERO : PR_WIRE_EPOCH_END;
    return tool_shout_sample(foe, 0, type);
}

static int early_bye(struct foe *foe)
{
    return tool_shout_sample(foe, 0, PR_WIRE_BYE);
}

/* And then everything but the control lane goes, which is kept alive. */
static int bye_and_half_a_leave(struct foe *foe)
{
    int err = early_bye(foe);
    for (unsigned i = 1; i <= FOE_DATA_LANES; i++)
        foe_drop_lane(foe, i);
    return err ? err : tool_linger(foe);
}

static int abort_with_a_reason(struct foe *foe)
{
    union any_message m = {.abort = {.code = EDOM, .reason = "the foe has had enough"}};
    return foe_shout_message(foe, 0, PR_WIRE_ABORT, &m);
}

/* ---- pings ---- */

static int pings_within_reason(struct foe *foe)
{
    int err = 0;
    for (unsigned i = 0; i < 300 && !err; i++) {
        union any_message m = {.ping = {i}};
        err = foe_say(foe, 0, PR_WIRE_PING, &m);
    }
    return err;
}

static int pings_without_end(struct foe *foe)
{
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 4000 && !err; i++) {
        union any_message m = {.ping = {i}};
        foe->floods = i > 1000;
        err = foe_shout_message(foe, 0, PR_WIRE_PING, &m);
        if (!err && i % 16 == 0)
            err = foe_idle(foe, 1);
    }
    return err;
}

/* One credit at a time: never enough for an answer, always enough for a further ping. */
static int pings_by_a_miser(struct foe *foe)
{
    int err = 0;
    foe->miserly = true;
    for (unsigned i = 0; i < 3000 && !err; i++) {
        union any_message m = {.ping = {i}};
        foe->floods = i > 1000;
        err = foe_say(foe, 0, PR_WIRE_PING, &m);
    }
    foe->floods = foe->miserly = false;
    return err;
}

static int pong_from_the_future(struct foe *foe)
{
    union any_message m = {.ping = {UINT64_MAX - 1}};
    return foe_shout_message(foe, 0, PR_WIRE_PONG, &m);
}

static int pong_before_any_ping(struct foe *foe)
{
    union any_message m = {.ping = {0}};
    return foe_shout_message(foe, 0, PR_WIRE_PONG, &m);
}

/* ---- credits ---- */

static int credits_that_nobody_lent(struct foe *foe)
{
    uint8_t bytes[PR_WIRE_HEADER_BYTES];
    pr_wire_empty_encode(PR_WIRE_CREDIT, bytes, sizeof(bytes));
    pr_wire_set_credits(bytes, UINT16_MAX);
    return foe_shout(foe, 0, bytes, sizeof(bytes));
}

static int keeps_all_credits(struct foe *foe)
{
    foe->stingy = true;
    return 0;
}

/* ---- the stream ---- */

static int stream_piece(struct foe *foe, uint64_t offset, uint32_t len)
{
    static uint8_t bytes[PR_WIRE_MAX_STREAM_BYTES];
    union any_message m;
    memset(&m, 0, sizeof(m));
    uint32_t most = foe->fabric->limits.max_message_bytes - PR_WIRE_HEADER_BYTES - 12;
    m.stream = (struct pr_wire_stream){offset, len < most ? len : most, bytes};
    return foe_shout_message(foe, 0, PR_WIRE_STREAM, &m);
}

static int stream_with_a_gap(struct foe *foe)
{
    return stream_piece(foe, foe->stream_sent + 1, 1);
}

static int stream_again(struct foe *foe)
{
    return stream_piece(foe, UINT64_MAX - 10000, 100);
}

/* Far more than any window offers. What is read meanwhile makes room, so it takes its time. */
static int stream_flood(struct foe *foe)
{
    uint64_t at = foe->stream_sent;
    int err = 0;
    foe->stingy = true;
    for (unsigned i = 0; i < 3000 && !err; i++) {
        uint32_t len = foe->fabric->limits.max_message_bytes - PR_WIRE_HEADER_BYTES - 12;
        err = stream_piece(foe, at, len);
        at += len < PR_WIRE_MAX_STREAM_BYTES ? len : PR_WIRE_MAX_STREAM_BYTES;
        if (!err)
            err = foe_idle(foe, 1);
    }
    return err;
}

static int stream_end_elsewhere(struct foe *foe)
{
    union any_message m = {.stream_end = {foe->stream_sent + 1}};
    return foe_shout_message(foe, 0, PR_WIRE_STREAM_END, &m);
}

static int stream_limit_falls(struct foe *foe)
{
    union any_message m = {.stream_limit = {8 << 20}};
    int err = foe_shout_message(foe, 0, PR_WIRE_STREAM_LIMIT, &m);
    m.stream_limit.limit = 1;
    return err ? err : foe_shout_message(foe, 0, PR_WIRE_STREAM_LIMIT, &m);
}

static int stream_limit_without_limit(struct foe *foe)
{
    union any_message m = {.stream_limit = {UINT64_MAX}};
    foe->mute |= 1u << PR_WIRE_STREAM_LIMIT;
    return foe_shout_message(foe, 0, PR_WIRE_STREAM_LIMIT, &m);
}

/* ---- connections ---- */

static int silence(struct foe *foe)
{
    foe->hushed = true;
    return 0;
}

static int leaves(struct foe *foe)
{
    foe->left = true;
    return 0;
}

static int closes_a_data_lane(struct foe *foe)
{
    foe_drop_lane(foe, tool_data_lane(foe));
    return 0;
}

static int closes_the_control_lane(struct foe *foe)
{
    foe_drop_lane(foe, 0);
    foe->hushed = true;
    return 0;
}

/* Its receive buffers fill, and whatever lies between the two. */
static int talks_and_never_listens(struct foe *foe)
{
    uint8_t bytes[64];
    union any_message m = {.ping = {1}};
    int len = samples[PR_WIRE_PING].encode(&m, bytes, sizeof(bytes)), err = 0;
    for (unsigned i = 0; i < 3000 && !err; i++) {
        foe->floods = i > 1000;
        err = foe_shout_deaf(foe, 0, bytes, (uint32_t)len);
    }
    foe->floods = false;
    foe->hushed = true;
    return 0;
}

/* ---- anything ---- */

static int any_sample(struct foe *foe)
{
    return tool_shout_sample(foe, tool_any_lane(foe),
                             1 + (unsigned)(random_next(&foe->random) % (PR_WIRE_TYPES - 1)));
}

static int any_mutation(struct foe *foe)
{
    return tool_shout_mutation(foe);
}

/* A dozen wild ones, near enough to legal values to get far. */
static int a_storm(struct foe *foe)
{
    int err = 0;
    for (unsigned i = 0; i < 12 && !err; i++)
        err = tool_shout_near_sample(foe);
    return err;
}

static int a_storm_and_silence(struct foe *foe)
{
    int err = a_storm(foe);
    foe->hushed = true;
    return err;
}

static const struct deed list[] = {
    {"noise", FROM_GREETING, EPROTO, NULL, .act = noise},
    {"noise on a data lane", WHILE_MOVING, EPROTO, NULL, .act = noise_on_a_data_lane},
    {"less than a header", FROM_GREETING, EPROTO, NULL, .act = less_than_a_header},
    {"the largest message", FROM_GREETING, EPROTO, NULL, .act = the_largest_message},
    {"wrong length", FROM_GREETING, EPROTO, "body_len", .act = wrong_length},
    {"reserved flags", FROM_GREETING, EPROTO, "flags", .act = reserved_flags},
    {"type zero", FROM_GREETING, EPROTO, "type", .act = type_zero},
    {"type of the future", FROM_GREETING, EPROTO, "type", .act = type_of_the_future},
    {"immediate data", FROM_GREETING, EPROTO, "immediate", .act = immediate_data},
    {"the last words again", FROM_GREETING, DEED_ANYTHING, NULL, .act = again},
    {"words of the other side", BEFORE_RELEASE, EPROTO, NULL, .act = words_of_the_other_side},
    {"control on a data lane", WHILE_MOVING, EPROTO, NULL, .act = control_on_a_data_lane},
    {"data on the control lane", BEFORE_RELEASE, EPROTO, NULL, .act = data_on_the_control_lane},
    {"early bye", IN(FOE_GREETING) | WHILE_MOVING, EPROTO, "bye", .act = early_bye},
    {"bye and half a leave", WHILE_MOVING, EPROTO, "bye", .act = bye_and_half_a_leave},
    {"abort", BEFORE_RELEASE, ECONNABORTED, "the foe has had enough", .act = abort_with_a_reason},
    {"pings within reason", WITH_LANES, DEED_COMPLETES, NULL, .act = pings_within_reason},
    {"pings without end", WITH_LANES, DEED_ANYTHING, NULL, .act = pings_without_end},
    {"pings by a miser", WITH_LANES, DEED_ANYTHING, NULL, .act = pings_by_a_miser},
    {"talks and never listens", WITH_LANES, DEED_FAILS, NULL, .act = talks_and_never_listens},
    {"pong from the future", BEFORE_RELEASE, EPROTO, "ping", .act = pong_from_the_future},
    {"pong before any ping", IN(FOE_GREETING), DEED_ANYTHING, NULL, .act = pong_before_any_ping},
    {"credits that nobody lent", FROM_GREETING, EPROTO, "receive buffers",
     .act = credits_that_nobody_lent},
    {"keeps all credits", BEFORE_RELEASE, DEED_ANYTHING, NULL, .act = keeps_all_credits},
    {"stream with a gap", BEFORE_RELEASE, EPROTO, "stream", .act = stream_with_a_gap},
    {"stream from far away", BEFORE_RELEASE, EPROTO, "stream", .act = stream_again},
    {"stream flood", BEFORE_RELEASE, DEED_ANYTHING, NULL, .act = stream_flood},
    {"stream ends elsewhere", BEFORE_RELEASE, EPROTO, "stream", .act = stream_end_elsewhere},
    {"stream limit falls", BEFORE_RELEASE, EPROTO, "room", .act = stream_limit_falls},
    {"stream limit without limit", IN(FOE_MOVING), DEED_ANYTHING, NULL,
     .act = stream_limit_without_limit},
    {"silence", BEFORE_RELEASE, ETIMEDOUT, NULL, .act = silence},
    {"leaves", FROM_GREETING, DEED_FAILS, NULL, .act = leaves},
    {"closes a data lane", WHILE_MOVING, DEED_ANYTHING, NULL, .act = closes_a_data_lane},
    {"closes the control lane", BEFORE_RELEASE, DEED_FAILS, NULL, .act = closes_the_control_lane},
    {"any sample", FROM_GREETING, DEED_ANYTHING, NULL, .act = any_sample},
    {"any mutation", FROM_GREETING, DEED_ANYTHING, NULL, .act = any_mutation},
    {"a storm", FROM_GREETING, DEED_ANYTHING, NULL, .act = a_storm},
    {"a storm and silence", FROM_GREETING, DEED_ANYTHING, NULL, .act = a_storm_and_silence},
};

struct deeds deeds_of_both(void)
{
    return (struct deeds){list, sizeof(list) / sizeof(list[0])};
}

const struct deed *deed_of(enum foe_role role, unsigned i)
{
    struct deeds own = role == FOE_SOURCE ? deeds_of_source() : deeds_of_destination();
    struct deeds both = deeds_of_both();
    if (i < own.count)
        return &own.list[i];
    return i - own.count < both.count ? &both.list[i - own.count] : NULL;
}

const struct deed *deed_named(enum foe_role role, const char *name)
{
    const struct deed *deed;
    for (unsigned i = 0; (deed = deed_of(role, i)); i++) {
        if (!strcmp(deed->name, name))
            return deed;
    }
    return NULL;
}
