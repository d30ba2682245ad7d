/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Phase "switchover" at the source: the guest stands still. Nothing here waits for what could go on
 * beside it: device state follows the last pages at once, and the destination tells by the fence
 * when it may load it. And nothing waits beyond switchover_timeout_ms, also not for a destination
 * that takes no more pages or state, and the guest goes on here instead.
 */
#include "base/runtime.h"
#include "migrate/migration.h"
#include "transport/source.h"

#include <errno.h>

static uint64_t patience(const struct pagerail_migration *m)
{
    return m->stop_began_ns + (uint64_t)m->options.switchover_timeout_ms * 1000000;
}

/* A wait that was too long becomes a sentence, whether it had its own limit or the session's. */
static int in_time(const struct pagerail_migration *m, int err)
{
    bool late = err == -ETIMEDOUT && pr_deadline_left_ms(patience(m)) == 0;
    if (err != -EAGAIN && !late)
        return err;
    return pr_error(ETIMEDOUT,
                    "the destination was not ready %u ms after the guest was stopped: raise "
                    "switchover_timeout_ms if it needs longer to load its device state",
                    m->options.switchover_timeout_ms);
}

int pr_switchover_stop(struct pagerail_migration *m)
{
    m->stop_began_ns = pr_now_ns();
    pagerail_source_set_deadline(m->source, (int)m->options.switchover_timeout_ms);
    m->stopped = true; /* also when stop fails half-way: the guest must then be resumed */
    int err = pr_callback_result("stop", m->ops.stop(m->vmm.opaque));
    m->downtime.stop_ns = pr_now_ns() - m->stop_began_ns;
    return err ? err : PR_STATE_LAST_PAGES;
}

/* What the last look at the log found has not been pushed: it goes together with what came since.
 */
int pr_switchover_last_pages(struct pagerail_migration *m)
{
    uint64_t start = pr_now_ns();
    int err = pr_dirty_sync(&m->dirty, m->pool);
    m->pages_began_ns = pr_now_ns();
    m->downtime.sync_ns = m->pages_began_ns - start;
    if (err)
        return err;
    err = pr_precopy_push(m);
    if (!err)
        err = pagerail_source_fence(m->source, &m->last_epoch);
    return err ? in_time(m, err) : PR_STATE_DEVICE_STATE;
}

static int wait_until_ready(struct pagerail_migration *m)
{
    int err = pagerail_source_write_end(m->source);
    if (!err)
        err =
            pagerail_source_epoch_wait(m->source, m->last_epoch, pr_deadline_left_ms(patience(m)));
    uint64_t copied = err ? pr_now_ns() : pr_source_acked_ns(m->source);
    m->downtime.copy_ns = copied - m->pages_began_ns;
    if (!err)
        err = pagerail_source_wait_ready(m->source, pr_deadline_left_ms(patience(m)));
    m->downtime.state_ns = pr_now_ns() - copied;
    return err;
}

int pr_switchover_state(struct pagerail_migration *m)
{
    int err = m->ops.save(m->vmm.opaque, m);
    if (err < 0)
        return in_time(m, pr_stream_callback_result(m, "save", err));
    err = wait_until_ready(m);
    return err ? in_time(m, err) : PR_STATE_RELEASE;
}

int pr_switchover_release(struct pagerail_migration *m)
{
    int err = pagerail_source_release(m->source);
    if (err)
        return in_time(m, err);
    m->guest_here = false;
    return PR_STATE_CONFIRM;
}
