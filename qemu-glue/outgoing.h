/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source's side: a QIOChannel that QEMU writes its stream to, and the session behind it.
 *
 * THREADS. Made by the main thread; from rdma_send_setup to rdma_send_cleanup only the migration
 * thread uses the session. Other threads may shut the channel down (cancel, yank) and read its
 * return path. The session goes with rdma_send_cleanup, or with the channel if it never ran.
 *
 * THE STREAM is cut into frames: four bytes of length (big-endian), then so many bytes. A length of
 * 0 is followed by the library's fence: what comes after it may be read only when the guest's
 * memory is complete. So the destination needs no message of QEMU's own for that.
 *
 * EPOCHS. QEMU reads its dirty log, and from then on may hand a page over again: the first run
 * after that begins a new epoch. The old one ends when QEMU asks what is left, or else with that
 * run. Reading and handing over are never at once: QEMU's bitmap_mutex.
 */
#ifndef PAGERAIL_GLUE_OUTGOING_H
#define PAGERAIL_GLUE_OUTGOING_H

#include "io/channel.h"
#include "memory.h"
#include "migration/qemu-file.h"
#include "switchover.h"

#define TYPE_RDMA_OUTGOING "pagerail-rdma-outgoing"
OBJECT_DECLARE_SIMPLE_TYPE(RdmaOutgoing, RDMA_OUTGOING)

#define RDMA_FRAME_BYTES (64 * 1024)
#define RDMA_FRAME_HEADER_BYTES 4

struct RdmaOutgoing {
    QIOChannel parent;
    char *uri;
    GuestMemory memory;
    bool discard_disabled;

    /* Migration thread. */
    bool handed;         /* a run since this section began */
    bool epoch_open;     /* a run since the epoch began */
    uint64_t bytes_seen; /* by the statistics */
    RdmaSwitchover switchover;
    int64_t rails_ns;           /* when they were read for the last time */
    int64_t last_look_ns;       /* when QEMU had read the dirty log for the last time */
    int64_t ready_ns;           /* when the destination could run the guest */
    int64_t released_ns;        /* when it was told that it may */
    uint8_t *frame;             /* being filled */
    uint64_t flushed_bytes;     /* of QEMU's stream, at the last flush of device state */
    uint64_t state_flush_bytes; /* more than that since, and it is sent again */

    /* Under the lock, but the migration thread, which alone ends the session, may use it freely. */
    QemuMutex lock;
    pagerail_source *session;

    /* Return path, under the lock. */
    QemuCond changed;
    bool shut;     /* how it ended is known */
    unsigned told; /* bytes of the return path that were read */
};

/* The channel behind a file of an outgoing migration; NULL when it is another kind. */
RdmaOutgoing *rdma_outgoing_of(QEMUFile *f);

/* Puts the session's error into the file, unless it has one, and returns err. */
int rdma_outgoing_failed(QEMUFile *f, int err);

/* Takes the session's figures over into QEMU's; those of the rails now and then, and when it is
 * over. */
void rdma_outgoing_count(RdmaOutgoing *out);
void rdma_outgoing_count_rails(RdmaOutgoing *out);

/* Ends the return path: QEMU's thread that waits on it goes. */
void rdma_outgoing_end_return_path(RdmaOutgoing *out);

#endif
