/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hostile/tools.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

unsigned tool_data_lane(struct foe *foe)
{
    return 1 + (unsigned)(random_next(&foe->random) % (foe->lanes ? foe->lanes : 1));
}

unsigned tool_any_lane(struct foe *foe)
{
    unsigned lane = (unsigned)(random_next(&foe->random) % (1 + FOE_DATA_LANES));
    return foe->lane[lane].lane ? lane : 0;
}

int tool_shout_sample(struct foe *foe, unsigned lane, unsigned type)
{
    union any_message m;
    sample_fill(&samples[type], &m, &foe->random);
    return foe_shout_message(foe, lane, type, &m);
}

static unsigned any_type(struct foe *foe)
{
    return 1 + (unsigned)(random_next(&foe->random) % (PR_WIRE_TYPES - 1));
}

int tool_shout_mutation(struct foe *foe)
{
    union any_message m;
    uint8_t bytes[PR_WIRE_MAX_MESSAGE];
    unsigned type = any_type(foe);
    sample_fill(&samples[type], &m, &foe->random);
    int len = samples[type].encode(&m, bytes, sizeof(bytes));
    if (len < 0)
        return len;
    unsigned changes = 1 + (unsigned)(random_next(&foe->random) % 4);
    for (unsigned i = 0; i < changes; i++)
        bytes[random_next(&foe->random) % (unsigned)len] = (uint8_t)random_next(&foe->random);
    return foe_shout(foe, tool_any_lane(foe), bytes, (uint32_t)len);
}

/* Mostly what is right, now and then a little beside it. */
static uint64_t near(struct foe *foe, uint64_t right)
{
    return right + (random_next(&foe->random) % 4 == 0 ? random_next(&foe->random) % 3 - 1 : 0);
}

static struct pr_wire_window near_window(struct foe *foe)
{
    uint32_t region = (uint32_t)(near(foe, random_next(&foe->random) % 2) % 4);
    unsigned windows = foe_windows(foe, region % FOE_REGIONS);
    uint64_t window = windows ? random_next(&foe->random) % windows : 0;
    return (struct pr_wire_window){region, (uint32_t)near(foe, window)};
}

static void bring_near(struct foe *foe, unsigned type, union any_message *m)
{
    struct pr_wire_window window = near_window(foe);
    switch (type) {
    case PR_WIRE_WANT:
        m->want.count = 1 + m->want.count % 3;
        for (uint32_t i = 0; i < m->want.count; i++)
            m->want.window[i] = near_window(foe);
        break;
    case PR_WIRE_GRANT:
        m->grant.window = window;
        m->grant.len = foe->window_bytes;
        m->grant.addr = random_next(&foe->random) % (UINT64_MAX - m->grant.len);
        break;
    case PR_WIRE_DROP:
        m->drop.window = window;
        break;
    case PR_WIRE_ZERO:
        m->zero.epoch = near(foe, foe->epochs + 1);
        m->zero.count = 1;
        m->zero.range[0] = (struct pr_wire_range){
            window.region, 4096 * (random_next(&foe->random) % 150), 4096 * 4};
        break;
    case PR_WIRE_EPOCH_END:
        m->epoch_end.epoch = near(foe, foe->epochs + 1);
        break;
    case PR_WIRE_EPOCH_ACK:
        m->epoch_ack.epoch = near(foe, foe->acked + 1);
        break;
    case PR_WIRE_STREAM:
        m->stream.offset = near(foe, foe->stream_sent);
        m->stream.len = 1 + m->stream.len % 900;
        break;
    case PR_WIRE_STREAM_END:
        m->stream_end.len = near(foe, foe->stream_sent);
        break;
    default:
        break;
    }
}

int tool_shout_near_sample(struct foe *foe)
{
    union any_message m;
    unsigned type = any_type(foe);
    bool data = type == PR_WIRE_ZERO || type == PR_WIRE_EPOCH_END;
    unsigned lane = data ? tool_data_lane(foe) : 0;
    sample_fill(&samples[type], &m, &foe->random);
    bring_near(foe, type, &m);
    int err = foe_shout_message(foe, foe->lane[lane].lane ? lane : 0, type, &m);
    return err == -EINVAL ? 0 : err; /* beside what can be encoded */
}

static bool never(const struct foe *foe)
{
    (void)foe;
    return false;
}

int tool_linger(struct foe *foe)
{
    union any_message m = {.ping = {1}};
    int err = 0;
    for (int ms = 0; ms < foe->patience_ms && !err; ms += 200) {
        err = foe_shout_message(foe, 0, PR_WIRE_PING, &m);
        if (!err)
            err = foe_idle(foe, 200);
    }
    return err ? err : foe_until(foe, never);
}
