/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"
#include "cli/tracker_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pr_tracker {
    const struct pr_tracker_ops *ops;
    void *state;
    bool started;
};

static const char *const names[PR_TRACKER_KINDS] = {
    [PR_TRACKER_AUTO] = "auto",
    [PR_TRACKER_UFFD] = "uffd",
    [PR_TRACKER_SOFTDIRTY] = "softdirty",
};

const char *pr_tracker_kind_name(enum pr_tracker_kind kind)
{
    return (unsigned)kind < PR_TRACKER_KINDS ? names[kind] : NULL;
}

bool pr_tracker_kind_find(const char *name, enum pr_tracker_kind *out)
{
    for (unsigned i = 0; i < PR_TRACKER_KINDS; i++) {
        if (!strcmp(name, names[i])) {
            *out = (enum pr_tracker_kind)i;
            return true;
        }
    }
    return false;
}

void pr_tracker_set_bits(uint64_t *bits, uint64_t first, uint64_t count)
{
    while (count) {
        uint64_t in_word = 64 - first % 64;
        if (in_word > count)
            in_word = count;
        uint64_t ones = (in_word == 64 ? ~0ull : (1ull << in_word) - 1) << first % 64;
        bits[first / 64] |= ones;
        first += in_word;
        count -= in_word;
    }
}

/* The best that opens. When none does, the sentence says why each refused. */
static int open_any(struct pr_tracker *tracker, const struct pr_tracker_range *range,
                    const struct pr_tracker_gate *gate)
{
    tracker->ops = &pr_tracker_uffd;
    if (!tracker->ops->open(&tracker->state, range, gate))
        return 0;
    char why[PAGERAIL_ERROR_MAX];
    strcpy(why, pr_error_message());
    tracker->ops = &pr_tracker_softdirty;
    int err = tracker->ops->open(&tracker->state, range, gate);
    return err ? pr_error_prefix(err, "no dirty tracking: %.200s; and", why) : 0;
}

static int open_one(struct pr_tracker *tracker, const struct pr_tracker_ops *ops,
                    const struct pr_tracker_range *range, const struct pr_tracker_gate *gate)
{
    tracker->ops = ops;
    return ops->open(&tracker->state, range, gate);
}

int pr_tracker_open(struct pr_tracker **out, enum pr_tracker_kind kind,
                    const struct pr_tracker_range *range, const struct pr_tracker_gate *gate)
{
    struct pr_tracker *tracker = calloc(1, sizeof(*tracker));
    if (!tracker)
        return pr_error(ENOMEM, "no memory for the dirty tracker");
    int err;
    if (kind == PR_TRACKER_AUTO)
        err = open_any(tracker, range, gate);
    else if (kind == PR_TRACKER_UFFD)
        err = open_one(tracker, &pr_tracker_uffd, range, gate);
    else
        err = open_one(tracker, &pr_tracker_softdirty, range, gate);
    if (err) {
        free(tracker);
        return err;
    }
    *out = tracker;
    return 0;
}

void pr_tracker_close(struct pr_tracker *tracker)
{
    if (!tracker)
        return;
    pr_tracker_stop(tracker);
    tracker->ops->close(tracker->state);
    free(tracker);
}

const char *pr_tracker_describe(const struct pr_tracker *tracker)
{
    return tracker->ops->describe;
}

int pr_tracker_start(struct pr_tracker *tracker)
{
    int err = tracker->ops->start(tracker->state);
    tracker->started = !err;
    return err;
}

int64_t pr_tracker_sync(struct pr_tracker *tracker, uint64_t first_page, uint64_t pages,
                        uint64_t *bits)
{
    return tracker->ops->sync(tracker->state, first_page, pages, bits);
}

void pr_tracker_stop(struct pr_tracker *tracker)
{
    if (tracker->started)
        tracker->ops->stop(tracker->state);
    tracker->started = false;
}
