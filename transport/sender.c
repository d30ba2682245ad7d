/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/sender.h"

#include "base/error.h"
#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>

#define GROUPS 256 /* in flight at once; a power of two */

int pr_sender_open(struct pr_sender *sender, struct pr_lane *lane)
{
    *sender = (struct pr_sender){0};
    pr_channel_open(&sender->channel, lane, NULL);
    sender->groups = calloc(GROUPS, sizeof(*sender->groups));
    if (!sender->groups)
        return pr_error(ENOMEM, "no memory for a lane");
    sender->group_mask = GROUPS - 1;
    /* So that a full send queue always holds signalled writes whose completion makes room. */
    uint32_t quarter = lane->fabric->limits.send_depth / 4;
    sender->group_limit = quarter < 1 ? 1 : quarter < PR_GROUP_WRITES ? quarter : PR_GROUP_WRITES;
    /* So that a lane with a bound on what is under way has several groups there. */
    uint64_t half = lane->fabric->limits.lane_flight_bytes / 2;
    sender->group_bytes = half && half < PR_GROUP_BYTES ? half : PR_GROUP_BYTES;
    return 0;
}

void pr_sender_close(struct pr_sender *sender)
{
    if (!sender->channel.lane)
        return;
    pr_channel_close(&sender->channel);
    for (; sender->completed != sender->closed; sender->completed++)
        pr_window_release(sender->groups[sender->completed & sender->group_mask].window);
    if (sender->open.window)
        pr_window_release(sender->open.window);
    sender->open.window = NULL;
    free(sender->groups);
    sender->groups = NULL;
}

static int post_held(struct pr_sender *sender, bool signaled)
{
    sender->held.signaled = signaled;
    sender->held.tag = sender->closed + 1;
    int err = pr_lane_post_write(sender->channel.lane, &sender->held);
    if (!err)
        sender->holding = false;
    return err;
}

int pr_sender_close_group(struct pr_sender *sender)
{
    if (!sender->holding)
        return 0;
    if (sender->closed - sender->completed > sender->group_mask)
        return -EAGAIN;
    int err = post_held(sender, true);
    if (err)
        return err;
    sender->groups[sender->closed & sender->group_mask] = sender->open;
    sender->closed++;
    if (pr_fault("sender.count_posted")) {
        sender->done_bytes += sender->open.bytes;
        sender->done_writes += sender->open.writes;
    }
    sender->open = (struct pr_group){0};
    return 0;
}

/* Makes the place of the held write free for `next_window`'s. */
static int make_place(struct pr_sender *sender, const struct pr_window *next_window)
{
    if (!sender->holding)
        return 0;
    const struct pr_group *open = &sender->open;
    if (open->window != next_window || open->writes >= sender->group_limit ||
        open->bytes >= sender->group_bytes)
        return pr_sender_close_group(sender);
    return post_held(sender, false);
}

int pr_sender_write(struct pr_sender *sender, struct pr_window *window, const void *from,
                    uint64_t remote, uint64_t len)
{
    int err = make_place(sender, window);
    if (err)
        return err;
    if (!sender->open.window) {
        pr_window_retain(window);
        sender->open.window = window;
    }
    sender->held = (struct pr_rma){
        .local = (void *)from, .mr = window->mr, .remote = remote, .key = &window->key, .len = len};
    sender->holding = true;
    sender->open.bytes += len;
    sender->open.writes++;
    sender->flight_bytes += len;
    sender->epoch_bytes += len;
    sender->epoch_writes++;
    return 0;
}

static void complete_group(struct pr_sender *sender)
{
    struct pr_group *group = &sender->groups[sender->completed & sender->group_mask];
    sender->completed++;
    sender->flight_bytes -= group->bytes;
    if (!pr_fault("sender.count_posted")) {
        sender->done_bytes += group->bytes;
        sender->done_writes += group->writes;
    }
    pr_window_release(group->window);
}

int pr_sender_written(struct pr_sender *sender, uint64_t tag)
{
    if (tag <= sender->completed || tag > sender->closed)
        return pr_error(EIO, "the fabric completed a write that is not in flight");
    while (sender->completed < tag)
        complete_group(sender);
    return 0;
}
