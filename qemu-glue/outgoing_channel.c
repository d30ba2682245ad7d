/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel: QEMU's stream as frames, and the return path. */
#include "qemu/osdep.h"

#include "address.h"
#include "compat.h"
#include "figures.h"
#include "migration/migration.h"
#include "migration/rdma.h"
#include "migration/yank_functions.h"
#include "outgoing.h"
#include "parameters.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/iov.h"

static ssize_t outgoing_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                               size_t nfds, int flags, Error **errp)
{
    RdmaOutgoing *out = RDMA_OUTGOING(ioc);
    size_t size = iov_size(iov, niov), done = 0;

    if (!out->session) {
        error_setg(errp, "rdma: the migration has ended");
        return -1;
    }
    while (done < size) {
        size_t len = MIN(size - done, RDMA_FRAME_BYTES);
        stl_be_p(out->frame, len);
        iov_to_buf(iov, niov, done, out->frame + RDMA_FRAME_HEADER_BYTES, len);
        if (pagerail_source_write(out->session, out->frame, RDMA_FRAME_HEADER_BYTES + len) < 0) {
            error_setg(errp, "rdma: %s", pagerail_error_message());
            return -1;
        }
        done += len;
    }
    return done;
}

/*
 * The destination's QEMU sends nothing back before the hand-over but answers to pings, and how it
 * all ended is the session's to say. So the return path has one message, and it is made here: SHUT,
 * without an error, when nothing more is to be waited for.
 */
static ssize_t outgoing_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                              size_t *nfds, int flags, Error **errp)
{
    RdmaOutgoing *out = RDMA_OUTGOING(ioc);
    static const uint8_t shut[] = {0, 1, 0, 4, 0, 0, 0, 0}; /* type 1, four bytes: no error */
    size_t len;

    QEMU_LOCK_GUARD(&out->lock);
    while (!out->shut) {
        qemu_cond_wait(&out->changed, &out->lock);
    }
    len = iov_from_buf(iov, niov, 0, shut + out->told, sizeof(shut) - out->told);
    out->told += len;
    return len;
}

static void end_return_path_locked(RdmaOutgoing *out)
{
    out->shut = true;
    qemu_cond_broadcast(&out->changed);
}

void rdma_outgoing_end_return_path(RdmaOutgoing *out)
{
    QEMU_LOCK_GUARD(&out->lock);
    end_return_path_locked(out);
}

/* Any thread: cancel, yank. Once the guest was given away the session goes on. */
static int outgoing_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    RdmaOutgoing *out = RDMA_OUTGOING(ioc);

    QEMU_LOCK_GUARD(&out->lock);
    if (out->session) {
        pagerail_source_abort(out->session, "the migration was cancelled");
    }
    end_return_path_locked(out);
    return 0;
}

/* The session has ended by then, or never began. */
static int outgoing_close(QIOChannel *ioc, Error **errp)
{
    return 0;
}

static int outgoing_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    if (!enabled) {
        error_setg(errp, "rdma: the source's channel is a blocking one");
        return -1;
    }
    return 0;
}

/* Nothing waits for it: writing and reading block. */
static GSource *outgoing_create_watch(QIOChannel *ioc, GIOCondition condition)
{
    g_assert_not_reached();
}

static void outgoing_init(Object *obj)
{
    RdmaOutgoing *out = RDMA_OUTGOING(obj);

    qemu_mutex_init(&out->lock);
    qemu_cond_init(&out->changed);
    out->frame = g_malloc(RDMA_FRAME_HEADER_BYTES + RDMA_FRAME_BYTES);
    qio_channel_set_feature(QIO_CHANNEL(obj), QIO_CHANNEL_FEATURE_SHUTDOWN);
    qio_channel_set_name(QIO_CHANNEL(obj), "migration-rdma-outgoing");
}

static void outgoing_finalize(Object *obj)
{
    RdmaOutgoing *out = RDMA_OUTGOING(obj);

    pagerail_source_free(out->session);
    guest_memory_free(&out->memory);
    if (out->discard_disabled) {
        ram_block_discard_disable(false);
    }
    qemu_cond_destroy(&out->changed);
    qemu_mutex_destroy(&out->lock);
    g_free(out->frame);
    g_free(out->uri);
}

static void outgoing_class_init(ObjectClass *klass, RdmaClassData *data)
{
    QIOChannelClass *channel = QIO_CHANNEL_CLASS(klass);

    channel->io_writev = outgoing_writev;
    channel->io_readv = outgoing_readv;
    channel->io_shutdown = outgoing_shutdown;
    channel->io_close = outgoing_close;
    channel->io_set_blocking = outgoing_set_blocking;
    channel->io_create_watch = outgoing_create_watch;
}

static const TypeInfo outgoing_type = {
    .parent = TYPE_QIO_CHANNEL,
    .name = TYPE_RDMA_OUTGOING,
    .instance_size = sizeof(RdmaOutgoing),
    .instance_init = outgoing_init,
    .instance_finalize = outgoing_finalize,
    .class_init = outgoing_class_init,
};

static void outgoing_register(void)
{
    type_register_static(&outgoing_type);
}
type_init(outgoing_register);

RdmaOutgoing *rdma_outgoing_of(QEMUFile *f)
{
    QIOChannel *ioc = f ? qemu_file_get_ioc(f) : NULL;

    return (RdmaOutgoing *)object_dynamic_cast(OBJECT(ioc), TYPE_RDMA_OUTGOING);
}

/* Pinned memory that a balloon gives back would be another page than the one that is sent. */
static bool prepare(RdmaOutgoing *out, Error **errp)
{
    struct pagerail_options options = rdma_options();

    if (ram_block_discard_disable(true)) {
        error_setg(errp,
                   "rdma: a device that gives memory back to the host (virtio-mem) is in use");
        return false;
    }
    out->discard_disabled = true;
    if (pagerail_source_new(&options, &out->session) < 0) {
        error_setg(errp, "rdma: %s", pagerail_error_message());
        return false;
    }
    return true;
}

void rdma_start_outgoing_migration(void *opaque, InetSocketAddress *host_port, Error **errp)
{
    MigrationState *s = opaque;
    RdmaOutgoing *out;

    out = RDMA_OUTGOING(object_new(TYPE_RDMA_OUTGOING));
    if (!prepare(out, errp)) {
        object_unref(OBJECT(out));
        return;
    }
    out->uri = rdma_uri(host_port);
    guest_memory_list(&out->memory);
    migration_ioc_register_yank(QIO_CHANNEL(out)); /* QEMU takes it back with the file */

    rdma_figures_reset();
    s->rdma_migration = true;
    s->to_dst_file = qemu_file_new_output(QIO_CHANNEL(out));
    object_unref(OBJECT(out));
    migration_connect(s, NULL);
}
