/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's thread: waits for a source, receives, takes the guest over. */
#include "qemu/osdep.h"

#include "address.h"
#include "block/aio.h"
#include "compat.h"
#include "incoming.h"
#include "memory.h"
#include "migration/migration.h"
#include "migration/qemu-file.h"
#include "migration/rdma.h"
#include "migration/yank_functions.h"
#include "outgoing.h"
#include "parameters.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/yank.h"
#include "system/system.h"

/* While nobody comes, so often is it looked which RAM blocks there are: devices may be plugged. */
#define ACCEPT_INTERVAL_MS 200

static void fail(RdmaIncoming *in)
{
    Error *error = NULL;

    error_setg(&error, "rdma: %s", in->why ? in->why : pagerail_error_message());
    migrate_set_error(migrate_get_current(), error); /* the one line that QEMU ends with */
    QEMU_LOCK_GUARD(&in->lock);
    in->error = error;
    in->decided = true;
    event_notifier_set(&in->readable);
    qemu_cond_broadcast(&in->changed);
}

/* Ends the session for a reason that the library cannot know. */
static int give_up(RdmaIncoming *in, const char *why)
{
    in->why = why;
    pagerail_destination_abort(in->session, why);
    return -ECANCELED;
}

/* ---- a source comes ---- */

static void yank(void *opaque)
{
    RdmaIncoming *in = opaque;

    QEMU_LOCK_GUARD(&in->lock);
    if (in->session) {
        pagerail_destination_abort(in->session, "the destination was told to give up (yank)");
    }
}

/* From here QEMU yanks the channel, which it can only do once there is one. */
static void begin_loading(void *opaque)
{
    QIOChannel *ioc = rdma_incoming_channel_new(opaque);
    QEMUFile *f = qemu_file_new_input(ioc);

    migration_ioc_register_yank(ioc);
    yank_unregister_function(MIGRATION_YANK_INSTANCE, yank, opaque);
    object_unref(OBJECT(ioc));
    migration_fd_process_incoming(f);
}

static int accept_source(RdmaIncoming *in)
{
    int err;

    do {
        GuestMemory memory;
        guest_memory_list(&memory);
        err =
            pagerail_destination_accept(in->session, (struct pagerail_region *)memory.regions->data,
                                        memory.regions->len, ACCEPT_INTERVAL_MS);
        if (!err && guest_memory_changed(&memory)) {
            err = give_up(in, "memory was plugged while the source connected: try again");
        }
        guest_memory_free(&memory);
    } while (err == -EAGAIN);
    return err;
}

/* ---- the stream ---- */

/* Waits while QEMU does not take what is there; gives up when it wants no more. */
static bool deliver(RdmaIncoming *in, const uint8_t *bytes, size_t len)
{
    QEMU_LOCK_GUARD(&in->lock);
    while (len && !in->closed) {
        size_t end = (in->first + in->count) % RDMA_READ_AHEAD_BYTES;
        size_t room = MIN(RDMA_READ_AHEAD_BYTES - in->count, RDMA_READ_AHEAD_BYTES - end);
        size_t piece = MIN(room, len);
        if (!piece) {
            qemu_cond_wait(&in->changed, &in->lock);
            continue;
        }
        memcpy(in->bytes + end, bytes, piece);
        in->count += piece;
        bytes += piece;
        len -= piece;
        event_notifier_set(&in->readable);
        qemu_cond_broadcast(&in->changed);
    }
    return !in->closed;
}

/* All of len: 1, or 0 at the stream's end, or negative. */
static int read_all(RdmaIncoming *in, uint8_t *to, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t got = pagerail_destination_read(in->session, to + have, len - have);
        if (!got && have) {
            return give_up(in, "the source's stream ends within a frame");
        }
        if (got <= 0) {
            return (int)got;
        }
        have += got;
    }
    return 1;
}

/* One frame (outgoing.h): 1, or 0 at the end, or negative. */
static int receive_frame(RdmaIncoming *in, uint8_t *frame)
{
    uint8_t header[RDMA_FRAME_HEADER_BYTES];
    int got = read_all(in, header, sizeof(header));
    uint32_t len = ldl_be_p(header);

    if (got <= 0) {
        return got;
    }
    if (!len) {
        got = pagerail_destination_fence(in->session);
        return got ? got : 1;
    }
    if (len > RDMA_FRAME_BYTES) {
        return give_up(in, "the source's stream has a frame that is too long");
    }
    got = read_all(in, frame, len);
    if (!got) {
        return give_up(in, "the source's stream ends within a frame");
    }
    if (got > 0 && !deliver(in, frame, len)) {
        return give_up(in, "the destination wants no more of the stream");
    }
    return got;
}

static int receive(RdmaIncoming *in)
{
    g_autofree uint8_t *frame = g_malloc(RDMA_FRAME_BYTES);
    int got;

    do {
        got = receive_frame(in, frame);
    } while (got > 0);
    if (!got) {
        QEMU_LOCK_GUARD(&in->lock);
        in->ended = true;
        event_notifier_set(&in->readable);
        qemu_cond_broadcast(&in->changed);
    }
    return got;
}

/* ---- the hand-over ---- */

static int take_over(RdmaIncoming *in)
{
    int err;

    WITH_QEMU_LOCK_GUARD(&in->lock)
    {
        while (!in->loaded && !in->closed) {
            qemu_cond_wait(&in->changed, &in->lock);
        }
        if (!in->loaded) {
            in->why = "the destination could not load the guest";
            return -ECANCELED;
        }
    }
    err = pagerail_destination_ready(in->session);
    if (!err) {
        QEMU_LOCK_GUARD(&in->lock);
        in->decided = true;
        event_notifier_set(&in->readable);
    }
    return err;
}

/* The session stays until its source has been told. */
static void wait_until_it_runs(RdmaIncoming *in)
{
    QEMU_LOCK_GUARD(&in->lock);
    while (!in->runs && !in->closed) {
        qemu_cond_wait(&in->changed, &in->lock);
    }
}

static void *incoming_thread(void *opaque)
{
    RdmaIncoming *in = opaque;
    pagerail_destination *session;
    int err;

    rcu_register_thread();
    err = accept_source(in);
    if (err) {
        fail(in);
    }
    aio_bh_schedule_oneshot(qemu_get_aio_context(), begin_loading, in);
    if (!err) {
        err = receive(in);
        if (!err) {
            err = take_over(in);
        }
        if (err) {
            fail(in);
        } else {
            wait_until_it_runs(in);
        }
    }
    WITH_QEMU_LOCK_GUARD(&in->lock)
    {
        session = g_steal_pointer(&in->session);
    }
    pagerail_destination_free(session);
    rcu_unregister_thread();
    return NULL;
}

/* ---- QEMU's side ---- */

static void join(RdmaIncoming *in)
{
    if (!in->joined) {
        in->joined = true;
        qemu_thread_join(&in->thread);
    }
}

/* QEMU ends while a source is waited for or while it sends. */
static void on_qemu_exit(Notifier *notifier, void *data)
{
    RdmaIncoming *in = container_of(notifier, RdmaIncoming, exit);

    WITH_QEMU_LOCK_GUARD(&in->lock)
    {
        in->closed = true;
        if (in->session) {
            pagerail_destination_abort(in->session, "the destination's QEMU was ended");
        }
        qemu_cond_broadcast(&in->changed);
    }
    join(in);
}

/* The source hears why before QEMU exits. */
static void tell_why(RdmaIncoming *in)
{
    MigrationState *s = migrate_get_current();
    g_autofree char *reason = NULL;

    WITH_QEMU_LOCK_GUARD(&s->error_mutex)
    {
        reason = g_strdup(s->error ? error_get_pretty(s->error) : "the guest could not be loaded");
    }
    WITH_QEMU_LOCK_GUARD(&in->lock)
    {
        if (in->session) {
            pagerail_destination_abort(in->session, reason);
        }
    }
    join(in);
}

/* The incoming migration has ended, well or not. After a hand-over the thread ends by itself. */
static void cleanup(void *opaque)
{
    RdmaIncoming *in = opaque;
    bool ours;

    WITH_QEMU_LOCK_GUARD(&in->lock)
    {
        ours = in->decided && !in->error;
        in->closed = true;
        qemu_cond_broadcast(&in->changed);
    }
    if (!ours) {
        tell_why(in);
    }
    ram_block_discard_disable(false);
}

static RdmaIncoming *incoming_new(pagerail_destination *session)
{
    RdmaIncoming *in = g_new0(RdmaIncoming, 1);

    in->session = session;
    in->bytes = g_malloc(RDMA_READ_AHEAD_BYTES);
    qemu_mutex_init(&in->lock);
    qemu_cond_init(&in->changed);
    event_notifier_init(&in->readable, false);
    in->exit.notify = on_qemu_exit;
    qemu_add_exit_notifier(&in->exit);
    return in;
}

static pagerail_destination *listen_at(const char *uri, Error **errp)
{
    struct pagerail_options options = rdma_options();
    pagerail_destination *session;

    if (pagerail_destination_new(&options, &session) < 0) {
        error_setg(errp, "rdma: %s", pagerail_error_message());
        return NULL;
    }
    if (pagerail_destination_listen(session, uri) < 0) {
        error_setg(errp, "rdma: %s", pagerail_error_message());
        pagerail_destination_free(session);
        return NULL;
    }
    return session;
}

/* QEMU starts one incoming migration in its life, so what is made here is never freed. */
void rdma_start_incoming_migration(InetSocketAddress *host_port, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    g_autofree char *uri = rdma_uri(host_port);
    pagerail_destination *session;
    RdmaIncoming *in;

    if (ram_block_discard_disable(true)) {
        error_setg(errp,
                   "rdma: a device that gives memory back to the host (virtio-mem) is in use");
        return;
    }
    session = listen_at(uri, errp);
    if (!session) {
        ram_block_discard_disable(false);
        return;
    }
    in = incoming_new(session);
    migrate_get_current()->rdma_migration = true;
    mis->transport_data = in;
    mis->transport_cleanup = cleanup;
    yank_register_function(MIGRATION_YANK_INSTANCE, yank, in);
    qemu_thread_create(&in->thread, "rdma-incoming", incoming_thread, in, QEMU_THREAD_JOINABLE);
}
