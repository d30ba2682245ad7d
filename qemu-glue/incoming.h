/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The destination's side: one thread that owns the session from listen to the end, and a QIOChannel
 * from which QEMU reads what that thread has received.
 *
 * THREADS. The session's thread blocks in the library; QEMU's side, a coroutine of the main loop or
 * a thread, waits on the channel. What they share is under the lock; `readable` can be polled and
 * is set while there is something for QEMU: bytes, the end, a failure, or the guest. The session's
 * thread never takes the BQL, so that the main thread may join it.
 *
 * QEMU never sees a byte that follows the fence before the guest's memory is complete.
 */
#ifndef PAGERAIL_GLUE_INCOMING_H
#define PAGERAIL_GLUE_INCOMING_H

#include "io/channel.h"
#include "qemu/event_notifier.h"
#include "qemu/notify.h"
#include "qemu/thread.h"
#include <pagerail/transport.h>

#define RDMA_READ_AHEAD_BYTES (1024 * 1024)

typedef struct RdmaIncoming {
    pagerail_destination *session; /* the thread's; under the lock, others may abort it,
                                    * and tell that the guest runs */
    QemuThread thread;
    bool joined;
    Notifier exit;

    QemuMutex lock;
    QemuCond changed;
    EventNotifier readable;

    /* The thread's side. */
    uint8_t *bytes; /* a ring of RDMA_READ_AHEAD_BYTES */
    size_t first, count;
    bool ended;   /* the source has written its last byte */
    bool decided; /* the guest is ours, or error says why not */
    Error *error;
    const char *why; /* it failed, when the library does not say; the thread's own */

    /* QEMU's side. */
    bool loaded; /* it could run the guest */
    bool runs;   /* it does */
    bool closed; /* it wants nothing more */
} RdmaIncoming;

/* A channel that reads from it. The caller's reference. */
QIOChannel *rdma_incoming_channel_new(RdmaIncoming *in);

#endif
