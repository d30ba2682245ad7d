/* SPDX-License-Identifier: BSD-2-Clause */
/* The public side of a migration, and the machine that walks through states.def. */
#include "migrate/migration.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/runtime.h"
#include "transport/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ERRNO 4095

struct state {
    const char *name;
    enum pagerail_phase phase;
    int (*function)(struct pagerail_migration *m);
    enum pr_state on_error;
};

static const struct state states[] = {
#define PR_STATE(name, phase, function, on_error)                                                  \
    [PR_STATE_##name] = {#name, PAGERAIL_PHASE_##phase, function, PR_STATE_##on_error},
#include "migrate/states.def"
#undef PR_STATE
};

PAGERAIL_API const char *pagerail_phase_name(enum pagerail_phase phase)
{
    static const char *const names[] = {"idle",     "connecting", "precopy",   "switchover",
                                        "handover", "completed",  "cancelled", "failed"};
    return (unsigned)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "unknown";
}

int pr_callback_result(const char *name, int64_t result)
{
    if (result >= 0)
        return 0;
    int err = result >= -MAX_ERRNO ? (int)-result : EIO;
    return pr_error(err, "the VMM's %s callback failed: %s", name, strerror(err));
}

int pr_stream_callback_result(struct pagerail_migration *m, const char *name, int result)
{
    if (result >= 0)
        return 0;
    int err = pr_failure_get(&m->io);
    return err ? err : pr_callback_result(name, result);
}

static void note_error(struct pagerail_migration *m, int err)
{
    if (m->error)
        return;
    m->error = err;
    m->reached = m->phase;
    memcpy(m->message, pr_error_message(), sizeof(m->message));
    pr_log_debug("state %s failed: %s", states[m->state].name, m->message);
}

/* The states of the ways out keep the phase in which the trouble began. */
static void enter(struct pagerail_migration *m, enum pr_state next)
{
    m->state = next;
    if (m->error || next == PR_STATE_END)
        return;
    bool changed = m->phase != states[next].phase;
    m->phase = states[next].phase;
    if (changed)
        pr_progress_now(m);
}

static void conclude(struct pagerail_migration *m)
{
    m->end_ns = pr_now_ns();
    if (!m->error) {
        m->reached = m->phase;
        m->phase = PAGERAIL_PHASE_COMPLETED;
    } else {
        m->phase = m->error == -ECANCELED ? PAGERAIL_PHASE_CANCELLED : PAGERAIL_PHASE_FAILED;
    }
    pr_progress_now(m);
    if (m->error)
        pr_migration_close_session(m);
}

static int walk(struct pagerail_migration *m, enum pr_state first)
{
    enter(m, first);
    while (m->state != PR_STATE_END) {
        (void)pr_fault(states[m->state].name); /* a test's chance to kill or stop us here */
        int next = states[m->state].function(m);
        if (next < 0) {
            note_error(m, next);
            next = (int)states[m->state].on_error;
        }
        enter(m, (enum pr_state)next);
    }
    conclude(m);
    if (m->error)
        return pr_error(-m->error, "%s", m->message);
    return 0;
}

static int check_vmm(const struct pagerail_vmm *vmm, struct pagerail_vmm_ops *ops)
{
    if (!vmm || !vmm->ops || vmm->ops->size < sizeof(vmm->ops->size))
        return pr_error(EINVAL, "a VMM needs its table of callbacks, with its size set");
    if (!vmm->regions || !vmm->region_count)
        return pr_error(EINVAL, "a VMM needs at least one memory region");
    memset(ops, 0, sizeof(*ops));
    size_t size = vmm->ops->size < sizeof(*ops) ? vmm->ops->size : sizeof(*ops);
    memcpy(ops, vmm->ops, size);
    const unsigned char *surplus = (const unsigned char *)vmm->ops;
    for (size_t i = size; i < vmm->ops->size; i++) {
        if (surplus[i])
            return pr_error(EINVAL, "the VMM has a callback that this version of pagerail does not "
                                    "know");
    }
    return 0;
}

PAGERAIL_API int pagerail_migration_new(const struct pagerail_vmm *vmm,
                                        const struct pagerail_options *options,
                                        pagerail_migration **out)
{
    struct pagerail_migration *m = calloc(1, sizeof(*m));
    if (!m)
        return pr_error(ENOMEM, "no memory for a migration");
    int err = check_vmm(vmm, &m->ops);
    if (!err)
        err = pr_options_resolve(options, &m->options);
    if (err) {
        free(m);
        return err;
    }
    m->vmm = *vmm;
    m->io = (struct pr_failure)PR_FAILURE_INIT;
    pthread_mutex_init(&m->lock, NULL);
    for (uint32_t r = 0; r < vmm->region_count; r++)
        m->total_bytes += vmm->regions[r].len_bytes;
    *out = m;
    return 0;
}

/* A cancel that came before the session existed still counts. */
static int open_source(struct pagerail_migration *m)
{
    pthread_mutex_lock(&m->lock);
    int err = pagerail_source_new(&m->options, &m->source);
    if (!err && m->cancelled)
        pagerail_source_abort(m->source, "cancelled");
    pthread_mutex_unlock(&m->lock);
    return err;
}

static int open_destination(struct pagerail_migration *m)
{
    pthread_mutex_lock(&m->lock);
    int err = pagerail_destination_new(&m->options, &m->destination);
    if (!err && m->cancelled)
        pagerail_destination_abort(m->destination, "cancelled");
    pthread_mutex_unlock(&m->lock);
    return err;
}

static bool used(const struct pagerail_migration *m)
{
    return m->source || m->destination || m->phase != PAGERAIL_PHASE_IDLE;
}

static int check_source_ops(const struct pagerail_vmm_ops *ops)
{
    if (!ops->dirty_start || !ops->dirty_sync || !ops->dirty_stop || !ops->stop || !ops->resume ||
        !ops->save)
        return pr_error(EINVAL, "the VMM lacks a callback that sending needs");
    return 0;
}

PAGERAIL_API int pagerail_migration_send(pagerail_migration *m, const char *uri)
{
    if (used(m))
        return pr_error(EINVAL, "this migration was used before: make a new one");
    int err = check_source_ops(&m->ops);
    if (!err)
        err = open_source(m);
    if (err)
        return err;
    m->uri = uri;
    m->guest_here = true;
    m->start_ns = pr_now_ns();
    return walk(m, PR_STATE_CONNECT);
}

PAGERAIL_API int pagerail_migration_listen(pagerail_migration *m, const char *uri)
{
    if (used(m))
        return pr_error(EINVAL, "this migration was used before: make a new one");
    if (!m->ops.load || !m->ops.run)
        return pr_error(EINVAL, "the VMM lacks a callback that receiving needs");
    int err = open_destination(m);
    return err ? err : pagerail_destination_listen(m->destination, uri);
}

PAGERAIL_API int pagerail_migration_receive(pagerail_migration *m)
{
    if (!m->destination || m->phase != PAGERAIL_PHASE_IDLE)
        return pr_error(EINVAL, "call pagerail_migration_listen first, and receive once");
    m->start_ns = pr_now_ns();
    return walk(m, PR_STATE_WAIT);
}

PAGERAIL_API int pagerail_migration_cancel(pagerail_migration *m)
{
    int err = 0;
    pthread_mutex_lock(&m->lock);
    m->cancelled = true;
    if (m->source)
        err = pagerail_source_abort(m->source, "cancelled");
    else if (m->destination)
        err = pagerail_destination_abort(m->destination, "cancelled");
    pthread_mutex_unlock(&m->lock);
    return err;
}

PAGERAIL_API void pagerail_migration_outcome(pagerail_migration *m, struct pagerail_outcome *out)
{
    *out = (struct pagerail_outcome){
        .phase = m->phase,
        .reached = m->reached,
        .error = m->error,
        .guest_is_here = m->guest_here,
        .total_ns = m->end_ns - m->start_ns,
        .downtime = m->downtime,
        .handover = m->handover,
        .stats = m->stats,
        .rounds = m->round_count,
    };
    memcpy(out->message, m->message, sizeof(out->message));
    if (m->source)
        pagerail_source_stats(m->source, &out->stats);
    else if (m->destination)
        pagerail_destination_stats(m->destination, &out->stats);
}

PAGERAIL_API int pagerail_migration_round(pagerail_migration *m, uint32_t index,
                                          struct pagerail_round *out)
{
    if (index >= m->round_count)
        return pr_error(EINVAL, "there were %u rounds only", m->round_count);
    *out = m->rounds[index];
    return 0;
}

PAGERAIL_API int pagerail_migration_rail(pagerail_migration *m, uint32_t index,
                                         struct pagerail_rail *out)
{
    if (!m->source)
        return pr_error(ENOENT, "only the source knows of its rails");
    return pagerail_source_rail(m->source, index, out);
}

PAGERAIL_API int pagerail_migration_write(pagerail_migration *m, const void *bytes, size_t len)
{
    if (!m->source)
        return pr_error(EINVAL, "only the source writes device state");
    int err = pagerail_source_write(m->source, bytes, len);
    if (err)
        pr_failure_set(&m->io, err);
    return err;
}

PAGERAIL_API ssize_t pagerail_migration_read(pagerail_migration *m, void *to, size_t size)
{
    if (!m->destination)
        return pr_error(EINVAL, "only the destination reads device state");
    ssize_t got = pagerail_destination_read(m->destination, to, size);
    if (got < 0)
        pr_failure_set(&m->io, (int)got);
    return got;
}

PAGERAIL_API int pagerail_migration_report(pagerail_migration *m, const void *bytes, size_t len)
{
    if (!m->destination || m->phase != PAGERAIL_PHASE_COMPLETED)
        return pr_error(EINVAL, "only the destination of a completed migration reports");
    int err = pagerail_destination_write(m->destination, bytes, len);
    return err ? err : pagerail_destination_write_end(m->destination);
}

PAGERAIL_API ssize_t pagerail_migration_report_read(pagerail_migration *m, void *to, size_t size,
                                                    int timeout_ms)
{
    if (!m->source || m->phase != PAGERAIL_PHASE_COMPLETED)
        return pr_error(EINVAL, "only the source of a completed migration reads a report");
    return pagerail_source_read(m->source, to, size, timeout_ms);
}

void pr_migration_close_session(struct pagerail_migration *m)
{
    pthread_mutex_lock(&m->lock);
    pagerail_source *source = m->source;
    pagerail_destination *destination = m->destination;
    if (source)
        pagerail_source_stats(source, &m->stats);
    if (destination)
        pagerail_destination_stats(destination, &m->stats);
    m->source = NULL;
    m->destination = NULL;
    pthread_mutex_unlock(&m->lock);
    pagerail_source_free(source);
    pagerail_destination_free(destination);
}

PAGERAIL_API void pagerail_migration_free(pagerail_migration *m)
{
    if (!m)
        return;
    pr_migration_close_session(m);
    pr_dirty_close(&m->dirty);
    pr_pool_close(m->pool);
    free(m->rounds);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
