/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"
#include "cli/dirty_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pr_dirty {
    const struct pr_dirty_ops *ops;
    void *state;
    bool started;
};

static const char *const names[PR_DIRTY_KINDS] = {
    [PR_DIRTY_AUTO] = "auto",
    [PR_DIRTY_UFFD] = "uffd",
    [PR_DIRTY_SOFTDIRTY] = "softdirty",
};

const char *pr_dirty_kind_name(enum pr_dirty_kind kind)
{
    return (unsigned)kind < PR_DIRTY_KINDS ? names[kind] : NULL;
}

bool pr_dirty_kind_find(const char *name, enum pr_dirty_kind *out)
{
    for (unsigned i = 0; i < PR_DIRTY_KINDS; i++) {
        if (!strcmp(name, names[i])) {
            *out = (enum pr_dirty_kind)i;
            return true;
        }
    }
    return false;
}

void pr_dirty_set_bits(uint64_t *bits, uint64_t first, uint64_t count)
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
static int open_any(struct pr_dirty *dirty, const struct pr_dirty_range *range,
                    const struct pr_dirty_gate *gate)
{
    dirty->ops = &pr_dirty_uffd;
    if (!dirty->ops->open(&dirty->state, range, gate))
        return 0;
    char why[PAGERAIL_ERROR_MAX];
    strcpy(why, pr_error_message());
    dirty->ops = &pr_dirty_softdirty;
    int err = dirty->ops->open(&dirty->state, range, gate);
    return err ? pr_error_prefix(err, "no dirty tracking: %.200s; and", why) : 0;
}

static int open_one(struct pr_dirty *dirty, const struct pr_dirty_ops *ops,
                    const struct pr_dirty_range *range, const struct pr_dirty_gate *gate)
{
    dirty->ops = ops;
    return ops->open(&dirty->state, range, gate);
}

int pr_dirty_open(struct pr_dirty **out, enum pr_dirty_kind kind,
                  const struct pr_dirty_range *range, const struct pr_dirty_gate *gate)
{
    struct pr_dirty *dirty = calloc(1, sizeof(*dirty));
    if (!dirty)
        return pr_error(ENOMEM, "no memory for the dirty tracker");
    int err;
    if (kind == PR_DIRTY_AUTO)
        err = open_any(dirty, range, gate);
    else if (kind == PR_DIRTY_UFFD)
        err = open_one(dirty, &pr_dirty_uffd, range, gate);
    else
        err = open_one(dirty, &pr_dirty_softdirty, range, gate);
    if (err) {
        free(dirty);
        return err;
    }
    *out = dirty;
    return 0;
}

void pr_dirty_close(struct pr_dirty *dirty)
{
    if (!dirty)
        return;
    pr_dirty_stop(dirty);
    dirty->ops->close(dirty->state);
    free(dirty);
}

const char *pr_dirty_describe(const struct pr_dirty *dirty)
{
    return dirty->ops->describe;
}

int pr_dirty_start(struct pr_dirty *dirty)
{
    int err = dirty->ops->start(dirty->state);
    dirty->started = !err;
    return err;
}

int64_t pr_dirty_sync(struct pr_dirty *dirty, uint64_t first_page, uint64_t pages, uint64_t *bits)
{
    return dirty->ops->sync(dirty->state, first_page, pages, bits);
}

void pr_dirty_stop(struct pr_dirty *dirty)
{
    if (dirty->started)
        dirty->ops->stop(dirty->state);
    dirty->started = false;
}
