/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel that QEMU loads from. */
#include "qemu/osdep.h"

#include "compat.h"
#include "hooks.h"
#include "incoming.h"
#include "io/channel-util.h"
#include "io/channel-watch.h"
#include "migration/migration.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"

#define TYPE_RDMA_INCOMING_CHANNEL "pagerail-rdma-incoming"
OBJECT_DECLARE_SIMPLE_TYPE(RdmaIncomingChannel, RDMA_INCOMING_CHANNEL)

struct RdmaIncomingChannel {
    QIOChannel parent;
    RdmaIncoming *in;
    bool blocking;
};

static bool something_to_read_locked(const RdmaIncoming *in)
{
    return in->count || in->ended || in->error;
}

static size_t take_locked(RdmaIncoming *in, const struct iovec *iov, size_t niov)
{
    size_t done = 0;

    while (in->count) {
        size_t piece = MIN(in->count, RDMA_READ_AHEAD_BYTES - in->first);
        size_t took = iov_from_buf(iov, niov, done, in->bytes + in->first, piece);
        if (!took) {
            break;
        }
        done += took;
        in->count -= took;
        in->first = (in->first + took) % RDMA_READ_AHEAD_BYTES;
    }
    qemu_cond_broadcast(&in->changed);
    return done;
}

/* Where QEMU exits when an incoming migration fails, it does so here: its loader would say before
 * that it misses a byte, which tells nobody anything. */
static void exit_if_asked(const Error *error)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (mis->exit_on_error && bql_locked()) {
        migrate_set_state(&mis->state, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_FAILED);
        error_report("%s", error_get_pretty(error));
        exit(EXIT_FAILURE);
    }
}

static ssize_t read_or_fail(RdmaIncomingChannel *channel, const struct iovec *iov, size_t niov,
                            Error **errp)
{
    RdmaIncoming *in = channel->in;

    QEMU_LOCK_GUARD(&in->lock);
    while (!something_to_read_locked(in)) {
        if (!channel->blocking) {
            event_notifier_test_and_clear(&in->readable);
            return QIO_CHANNEL_ERR_BLOCK;
        }
        qemu_cond_wait(&in->changed, &in->lock);
    }
    if (!in->count && in->error) {
        error_propagate(errp, error_copy(in->error));
        return -1;
    }
    return take_locked(in, iov, niov);
}

static ssize_t incoming_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                              size_t *nfds, int flags, Error **errp)
{
    Error *local_err = NULL;
    ssize_t got = read_or_fail(RDMA_INCOMING_CHANNEL(ioc), iov, niov, &local_err);

    if (local_err) {
        exit_if_asked(local_err); /* not under the lock: there is an exit notifier */
        error_propagate(errp, local_err);
    }
    return got;
}

/* The answers of QEMU's return path. The session's own hand-over takes their place. */
static ssize_t incoming_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                               size_t nfds, int flags, Error **errp)
{
    return iov_size(iov, niov);
}

static int incoming_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    RDMA_INCOMING_CHANNEL(ioc)->blocking = enabled;
    return 0;
}

/* The session ends with the migration's state and not with this: its last words take a while. */
static int incoming_close(QIOChannel *ioc, Error **errp)
{
    return 0;
}

static int incoming_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    RdmaIncoming *in = RDMA_INCOMING_CHANNEL(ioc)->in;

    QEMU_LOCK_GUARD(&in->lock);
    if (in->session) {
        pagerail_destination_abort(in->session, "the destination's migration was cancelled");
    }
    return 0;
}

static GSource *incoming_create_watch(QIOChannel *ioc, GIOCondition condition)
{
    RdmaIncoming *in = RDMA_INCOMING_CHANNEL(ioc)->in;

    return qio_channel_create_fd_watch(ioc, event_notifier_get_fd(&in->readable), condition);
}

static void incoming_set_aio_fd_handler(QIOChannel *ioc, AioContext *read_ctx, IOHandler *io_read,
                                        AioContext *write_ctx, IOHandler *io_write, void *opaque)
{
    int fd = event_notifier_get_fd(&RDMA_INCOMING_CHANNEL(ioc)->in->readable);

    qio_channel_util_set_aio_fd_handler(fd, read_ctx, io_read, fd, write_ctx, io_write, opaque);
}

static void incoming_class_init(ObjectClass *klass, RdmaClassData *data)
{
    QIOChannelClass *channel = QIO_CHANNEL_CLASS(klass);

    channel->io_readv = incoming_readv;
    channel->io_writev = incoming_writev;
    channel->io_shutdown = incoming_shutdown;
    channel->io_close = incoming_close;
    channel->io_set_blocking = incoming_set_blocking;
    channel->io_create_watch = incoming_create_watch;
    channel->io_set_aio_fd_handler = incoming_set_aio_fd_handler;
}

static const TypeInfo incoming_type = {
    .parent = TYPE_QIO_CHANNEL,
    .name = TYPE_RDMA_INCOMING_CHANNEL,
    .instance_size = sizeof(RdmaIncomingChannel),
    .class_init = incoming_class_init,
};

static void incoming_register(void)
{
    type_register_static(&incoming_type);
}
type_init(incoming_register);

QIOChannel *rdma_incoming_channel_new(RdmaIncoming *in)
{
    RdmaIncomingChannel *channel = RDMA_INCOMING_CHANNEL(object_new(TYPE_RDMA_INCOMING_CHANNEL));

    channel->in = in;
    channel->blocking = true;
    qio_channel_set_feature(QIO_CHANNEL(channel), QIO_CHANNEL_FEATURE_SHUTDOWN);
    qio_channel_set_name(QIO_CHANNEL(channel), "migration-rdma-incoming");
    return QIO_CHANNEL(channel);
}

static RdmaIncomingChannel *channel_of(QEMUFile *f)
{
    return (RdmaIncomingChannel *)object_dynamic_cast(OBJECT(qemu_file_get_ioc(f)),
                                                      TYPE_RDMA_INCOMING_CHANNEL);
}

/* Waits for the decision; `readable` is set when it is there. */
static void coroutine_mixed_fn wait_for_decision_locked(RdmaIncoming *in, QIOChannel *ioc)
{
    while (!in->decided) {
        event_notifier_test_and_clear(&in->readable);
        qemu_mutex_unlock(&in->lock);
        if (qemu_in_coroutine()) {
            qio_channel_yield(ioc, G_IO_IN);
        } else {
            qio_channel_wait(ioc, G_IO_IN);
        }
        qemu_mutex_lock(&in->lock);
    }
}

int coroutine_mixed_fn rdma_take_over(QEMUFile *f, Error **errp)
{
    RdmaIncomingChannel *channel = channel_of(f);
    RdmaIncoming *in;
    int err = 0;

    if (!channel) {
        return 0;
    }
    in = channel->in;
    qemu_mutex_lock(&in->lock);
    in->loaded = true;
    qemu_cond_broadcast(&in->changed);
    wait_for_decision_locked(in, QIO_CHANNEL(channel));
    if (in->error) {
        err = -ECONNABORTED;
        error_propagate(errp, error_copy(in->error));
    }
    qemu_mutex_unlock(&in->lock);
    return err;
}

/* Here and not on the session's thread, which the guest may keep from its processor. */
void rdma_guest_runs(QEMUFile *f)
{
    RdmaIncomingChannel *channel = channel_of(f);
    RdmaIncoming *in;

    if (!channel) {
        return;
    }
    in = channel->in;
    QEMU_LOCK_GUARD(&in->lock);
    if (in->session) { /* QEMU is not being ended */
        pagerail_destination_running(in->session);
    }
    in->runs = true;
    qemu_cond_broadcast(&in->changed);
}
