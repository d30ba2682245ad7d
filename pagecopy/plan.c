/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/plan.h"

#include "base/error.h"
#include "pagecopy/bits.h"
#include "pagecopy/zero.h"

#include <errno.h>
#include <inttypes.h>

static int check(const char *name, uint64_t bytes)
{
    if (bytes && bytes % PR_ZERO_PAGE_BYTES == 0)
        return 0;
    return pr_error(EINVAL, "%s is %" PRIu64 ": use a multiple of %d bytes", name, bytes,
                    PR_ZERO_PAGE_BYTES);
}

int pr_plan_limits_check(const struct pr_plan_limits *limits)
{
    int err = check("the largest write", limits->max_write_bytes);
    return err ? err : check("the registration window", limits->window_bytes);
}

struct pr_plan pr_plan_start(const struct pr_plan_limits *limits, uint64_t offset_bytes,
                             uint64_t len_bytes, const uint64_t *zero_bits)
{
    return (struct pr_plan){
        .limits = limits,
        .zero_bits = zero_bits,
        .start_bytes = offset_bytes,
        .pages = len_bytes / PR_ZERO_PAGE_BYTES,
    };
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool pr_plan_next(struct pr_plan *plan, struct pr_transfer *out)
{
    if (plan->done == plan->pages)
        return false;
    bool zero = plan->zero_bits && pr_bits_test(plan->zero_bits, plan->done);
    if (plan->same <= plan->done)
        plan->same = plan->zero_bits ? pr_bits_find(plan->zero_bits, plan->done, plan->pages, !zero)
                                     : plan->pages;
    uint64_t offset = plan->start_bytes + plan->done * PR_ZERO_PAGE_BYTES;
    uint64_t len = (plan->same - plan->done) * PR_ZERO_PAGE_BYTES;
    if (!zero) {
        uint64_t window = plan->limits->window_bytes;
        len = least(len, least(plan->limits->max_write_bytes, window - offset % window));
    }
    plan->done += len / PR_ZERO_PAGE_BYTES;
    *out = (struct pr_transfer){.zero = zero, .offset_bytes = offset, .len_bytes = len};
    return true;
}
