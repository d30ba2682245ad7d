/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/fault/fault.h"

#include "base/error.h"
#include "rdma/fault/fabric.h"

#include <errno.h>
#include <stdlib.h>

struct fault_listener {
    struct pr_listener base; /* first: cast back */
    struct pr_listener *inner;
};

static struct pr_fault_fabric *fabric_of(struct pr_fabric *fabric)
{
    return (struct pr_fault_fabric *)fabric;
}

static struct fault_listener *listener_of(struct pr_listener *listener)
{
    return (struct fault_listener *)listener;
}

static bool counts(struct pr_fault_counted_rule *counted, int lane, enum pr_fault_on on)
{
    const struct pr_fault_rule *rule = &counted->rule;
    if (!(rule->on & on) || (rule->lane != PR_FAULT_ANY_LANE && rule->lane != lane))
        return false;
    uint64_t number = atomic_fetch_add(&counted->matched, 1) + 1;
    return number >= rule->first && number - rule->first < rule->count;
}

const struct pr_fault_rule *pr_fault_decide(struct pr_fault_fabric *fabric, int lane,
                                            enum pr_fault_on on)
{
    struct pr_fault_counted_rule *firing = NULL;
    for (unsigned i = 0; i < fabric->rule_count; i++)
        if (counts(&fabric->rules[i], lane, on) && !firing)
            firing = &fabric->rules[i];
    if (!firing)
        return NULL;
    atomic_fetch_add(&firing->fired, 1);
    return &firing->rule;
}

static void fault_close(struct pr_fabric *base)
{
    pr_fabric_close(fabric_of(base)->inner);
    free(base);
}

static int fault_listen(struct pr_fabric *base, const char *address, struct pr_listener **out)
{
    struct fault_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return pr_error(ENOMEM, "no memory for a listener");
    listener->base = (struct pr_listener){.ops = base->ops, .fabric = base};
    int err = pr_fabric_listen(fabric_of(base)->inner, address, &listener->inner);
    if (err) {
        free(listener);
        return err;
    }
    *out = &listener->base;
    return 0;
}

static int fault_accept(struct pr_listener *base, int timeout_ms, const struct pr_event *cancel,
                        pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    struct pr_lane *inner;
    int err =
        pr_listener_accept(listener_of(base)->inner, timeout_ms, cancel, admit, opaque, &inner);
    return err ? err : pr_fault_lane_open(fabric_of(base->fabric), inner, out);
}

static void fault_listener_close(struct pr_listener *base)
{
    pr_listener_close(listener_of(base)->inner);
    free(base);
}

static int fault_connect(struct pr_fabric *base, const char *address, const void *private_data,
                         uint32_t len, int timeout_ms, const struct pr_event *cancel,
                         struct pr_lane **out)
{
    struct pr_lane *inner;
    int err = pr_fabric_connect(fabric_of(base)->inner, address, private_data, len, timeout_ms,
                                cancel, &inner);
    return err ? err : pr_fault_lane_open(fabric_of(base), inner, out);
}

/* Registrations are the inner fabric's own, so its lanes accept them as they are. */
static int fault_reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access,
                     struct pr_mr **out)
{
    return pr_fabric_reg(fabric_of(base)->inner, addr, len, access, out);
}

static void fault_dereg(struct pr_mr *mr)
{
    pr_fabric_dereg(mr);
}

static bool fault_reg_pays(struct pr_fabric *base, const void *addr, uint64_t len)
{
    return pr_fabric_reg_pays(fabric_of(base)->inner, addr, len);
}

static void fault_rail(struct pr_fabric *base, struct pr_rail *out)
{
    pr_fabric_rail(fabric_of(base)->inner, out);
}

static const struct pr_fabric_ops fault_ops = {
    .close = fault_close,
    .listen = fault_listen,
    .accept = fault_accept,
    .listener_close = fault_listener_close,
    .connect = fault_connect,
    .reg = fault_reg,
    .dereg = fault_dereg,
    .reg_pays = fault_reg_pays,
    .post_write = pr_fault_lane_post_write,
    .post_write_imm = pr_fault_lane_post_write_imm,
    .post_read = pr_fault_lane_post_read,
    .post_send = pr_fault_lane_post_send,
    .flush = pr_fault_lane_flush,
    .poll = pr_fault_lane_poll,
    .recv_done = pr_fault_lane_recv_done,
    .arm = pr_fault_lane_arm,
    .fd = pr_fault_lane_fd,
    .lane_shut = pr_fault_lane_shut,
    .lane_close = pr_fault_lane_close,
    .rail = fault_rail,
};

static int check_rule(const struct pr_fault_rule *rule, unsigned i)
{
    if (rule->action > PR_FAULT_DISCONNECT || !rule->on || (rule->on & ~(unsigned)PR_FAULT_ON_ANY))
        return pr_error(EINVAL, "fault rule %u: unknown action or operation", i);
    if (!rule->first || !rule->count || rule->lane < PR_FAULT_ANY_LANE)
        return pr_error(EINVAL, "fault rule %u: first and count are from 1, lanes from 0", i);
    if (rule->action == PR_FAULT_MUTE && (rule->on & PR_FAULT_ON_RECV))
        return pr_error(EINVAL, "fault rule %u: a receive cannot be muted, lose it", i);
    if (rule->action == PR_FAULT_FAIL && rule->err <= 0)
        return pr_error(EINVAL, "fault rule %u: a failure needs a positive errno", i);
    return 0;
}

int pr_fabric_fault_open(struct pr_fabric *inner, const struct pr_fault_rule *rules, unsigned count,
                         struct pr_fabric **out)
{
    for (unsigned i = 0; i < count; i++) {
        int err = check_rule(&rules[i], i);
        if (err)
            return err;
    }
    struct pr_fault_fabric *fabric =
        calloc(1, sizeof(*fabric) + count * sizeof(struct pr_fault_counted_rule));
    if (!fabric)
        return pr_error(ENOMEM, "no memory for the fault fabric");
    fabric->base = (struct pr_fabric){.ops = &fault_ops, .name = "fault", .limits = inner->limits};
    fabric->inner = inner;
    fabric->rule_count = count;
    for (unsigned i = 0; i < count; i++)
        fabric->rules[i].rule = rules[i];
    *out = &fabric->base;
    return 0;
}

uint64_t pr_fabric_fault_matched(const struct pr_fabric *fabric, unsigned rule)
{
    return atomic_load(&((const struct pr_fault_fabric *)fabric)->rules[rule].matched);
}

uint64_t pr_fabric_fault_fired(const struct pr_fabric *fabric, unsigned rule)
{
    return atomic_load(&((const struct pr_fault_fabric *)fabric)->rules[rule].fired);
}
