/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/options.h"

#include "base/error.h"
#include "wire/messages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define WINDOWS_IN_BUDGET 4
#define USUAL_CONNECT_MS 4000
#define USUAL_SILENCE_MS 3000
#define MIB (UINT64_C(1) << 20)

/* Copies what both know of; refuses set fields that this library is too old for. */
static int copy_stamped(const struct pagerail_options *given, struct pagerail_options *out)
{
    memset(out, 0, sizeof(*out));
    if (!given)
        return 0;
    if (given->size < sizeof(given->size))
        return pr_error(EINVAL, "options without a size: start from PAGERAIL_OPTIONS_INIT");
    size_t known = given->size < sizeof(*out) ? given->size : sizeof(*out);
    memcpy(out, given, known);
    const unsigned char *surplus = (const unsigned char *)given;
    for (size_t i = known; i < given->size; i++) {
        if (surplus[i])
            return pr_error(EINVAL, "an option is set that this version of pagerail does not know");
    }
    return 0;
}

/* Fills a zero in, then holds the value against its range. */
static int settle(uint32_t *value, uint32_t fallback, uint32_t least, uint32_t most,
                  const char *name)
{
    if (!*value)
        *value = fallback;
    if (*value < least || *value > most)
        return pr_error(EINVAL, "%s is %u: give %u to %u, or 0 for %u", name, *value, least, most,
                        fallback);
    return 0;
}

/* Where zero leaves it to the fabric. */
static int check_unless_zero(uint32_t value, uint32_t least, uint32_t most, const char *name)
{
    if (!value || (value >= least && value <= most))
        return 0;
    return pr_error(EINVAL, "%s is %u: give %u to %u, or 0 for what suits the fabric", name, value,
                    least, most);
}

static bool is_power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

static int check_window(const struct pagerail_options *o)
{
    uint64_t window = o->window_bytes, budget = o->pin_budget_bytes;
    if (window && (!is_power_of_two(window) || window < PR_MIN_WINDOW_BYTES ||
                   window > PR_WIRE_MAX_WINDOW_BYTES))
        return pr_error(EINVAL,
                        "window_bytes is %" PRIu64 ": give a power of two from 64 KiB to 1 TiB",
                        window);
    if (budget && budget < WINDOWS_IN_BUDGET * PR_MIN_WINDOW_BYTES)
        return pr_error(EINVAL, "pin_budget_bytes is %" PRIu64 ": at least 256 KiB are needed",
                        budget);
    return 0;
}

/* The larger the pages, the less a registration costs for its size; and one of a part of a page
 * pins the whole. */
static uint64_t window_for_pages(uint64_t page_bytes)
{
    if (page_bytes < 2 * MIB)
        return 64 * MIB;
    return page_bytes < 1024 * MIB ? 256 * MIB : 1024 * MIB;
}

static uint64_t halved_to(uint64_t window, uint64_t most)
{
    while (window > most)
        window /= 2;
    return window;
}

int pr_options_window(const struct pagerail_options *options, uint64_t page_bytes,
                      uint64_t max_bytes, uint64_t *out)
{
    uint64_t budget = options->pin_budget_bytes;
    uint64_t window = options->window_bytes ? options->window_bytes : window_for_pages(page_bytes);
    if (budget)
        window = halved_to(window, budget / WINDOWS_IN_BUDGET);
    if (budget && window < page_bytes && page_bytes > budget / WINDOWS_IN_BUDGET)
        return pr_error(EINVAL,
                        "pin_budget_bytes is %" PRIu64 ": with pages of %" PRIu64
                        " MiB at least %" PRIu64 " MiB are needed",
                        budget, page_bytes / MIB, WINDOWS_IN_BUDGET * page_bytes / MIB);
    window = halved_to(window, max_bytes);
    if (window < PR_MIN_WINDOW_BYTES)
        return pr_error(EINVAL,
                        "this fabric registers %" PRIu64 " bytes at once: 64 KiB are needed",
                        max_bytes);
    *out = window;
    return 0;
}

void pr_options_suit(struct pagerail_options *options, const struct pr_fabric_limits *limits)
{
    if (!options->connect_timeout_ms)
        options->connect_timeout_ms = limits->connect_ms ? limits->connect_ms : USUAL_CONNECT_MS;
    if (!options->silence_timeout_ms)
        options->silence_timeout_ms = limits->silence_ms ? limits->silence_ms : USUAL_SILENCE_MS;
}

/* As names of devices go; the fabric knows which there are. */
static int check_rails(const struct pagerail_options *o)
{
    const char *rails = o->rails;
    size_t len = strnlen(rails, sizeof(o->rails));
    if (len == sizeof(o->rails))
        return pr_error(EINVAL, "rails is longer than %zu bytes", sizeof(o->rails) - 1);
    size_t good =
        strspn(rails, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-,");
    if (good < len || (len && (rails[0] == ',' || rails[len - 1] == ',')) || strstr(rails, ",,"))
        return pr_error(EINVAL,
                        "rails is no list of names: give names of RDMA devices with commas between "
                        "them, as in mlx5_0,mlx5_1");
    if (len && o->fabric == PAGERAIL_FABRIC_LOCAL)
        return pr_error(EINVAL, "rails are RDMA devices, and the fabric local has none: leave one "
                                "of the two out");
    return 0;
}

int pr_options_resolve(const struct pagerail_options *given, struct pagerail_options *out)
{
    struct pagerail_options o;
    int err = copy_stamped(given, &o);
    if (!err)
        err = check_unless_zero(o.connect_timeout_ms, 1, 3600000, "connect_timeout_ms");
    if (!err)
        err = check_unless_zero(o.silence_timeout_ms, PR_WIRE_MIN_SILENCE_MS, 60000,
                                "silence_timeout_ms");
    if (!err)
        err = settle(&o.registration_threads, 2, 1, 64, "registration_threads");
    if (!err && o.lanes > PR_WIRE_MAX_LANES)
        err = pr_error(EINVAL, "lanes is %u: give 1 to %d, or 0 for the fabric's choice", o.lanes,
                       PR_WIRE_MAX_LANES);
    if (!err)
        err = check_window(&o);
    if (!err)
        err = settle(&o.downtime_budget_ms, 500, 1, 3600000, "downtime_budget_ms");
    if (!err)
        err = settle(&o.max_rounds, 60, 1, 100000, "max_rounds");
    if (!err)
        err = settle(&o.max_throttle_percent, 90, 1, 99, "max_throttle_percent");
    if (!err)
        err = settle(&o.switchover_timeout_ms, 10000, 1, 3600000, "switchover_timeout_ms");
    if (!err && o.fabric > PAGERAIL_FABRIC_LOCAL)
        err =
            pr_error(EINVAL, "fabric is %u: give PAGERAIL_FABRIC_AUTO, _VERBS or _LOCAL", o.fabric);
    if (!err && o.traffic_class > UINT8_MAX)
        err = pr_error(EINVAL, "traffic_class is %u: give 1 to 255, or 0 for the host's default",
                       o.traffic_class);
    if (!err && o.on_demand_paging > 1)
        err = pr_error(EINVAL, "on_demand_paging is %u: give 0 or 1", o.on_demand_paging);
    if (!err)
        err = check_rails(&o);
    if (!err && o.on_stall > PAGERAIL_STALL_FORCE)
        err = pr_error(EINVAL, "on_stall is %u: give PAGERAIL_STALL_ABORT or _FORCE", o.on_stall);
    if (err)
        return err;
    o.size = sizeof(o);
    *out = o;
    return 0;
}
