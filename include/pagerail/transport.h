/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagerail/transport.h: one session between two hosts, driven by a VMM that has its own pre-copy
 * loop (QEMU). A VMM without one uses pagerail/migrate.h.
 *
 *   source                                       destination
 *   pagerail_source_new                          pagerail_destination_new
 *                                                pagerail_destination_listen
 *   pagerail_source_connect   --- handshake ---  pagerail_destination_accept
 *   push / push_dirty, epoch_end   (every round)
 *   [stop the guest, last push]
 *   pagerail_source_fence
 *   pagerail_source_write ...  == device state => pagerail_destination_fence
 *   pagerail_source_write_end                    pagerail_destination_read ...
 *   pagerail_source_wait_ready   <-------------  pagerail_destination_ready (blocks)
 *   pagerail_source_release      ------------->  ... returns 0: run the guest
 *   pagerail_source_wait_running <-------------  pagerail_destination_running
 *   pagerail_source_read         <= report ====  pagerail_destination_write, _write_end
 *   pagerail_source_free                         pagerail_destination_free
 *
 * ONE SIDE RUNS. Until pagerail_source_release is called the guest is the source's, and whatever
 * fails, the source may resume it. pagerail_source_release is the point of no return: while it runs
 * and once it has returned 0, the source must not run the guest, whatever comes; an error of it
 * means that nothing was given away. The destination may run the guest only when
 * pagerail_destination_ready has returned 0.
 *
 * REGIONS are described once at connect and accept. Both sides name them; the destination's may
 * stand in any order, but the set of names, every length and every page size must be equal. Their
 * memory must stay mapped until the session is freed. Offsets and lengths are bytes; a `region`
 * argument is the index in the source's own list.
 *
 * EPOCHS. An epoch is the time between two reads of the dirty log. Push each page at most once in
 * an epoch, and read-and-clear its dirty bit before pushing it. All that was pushed in one epoch
 * lands before anything of the next.
 *
 * THREADS. One thread at a time may use a session, except for _abort, _stats and _rail, which any
 * thread may call at any time before _free. Signal handlers may call nothing here.
 *
 * ERRORS. Every call that returns int returns 0 or a negative errno; pagerail_error_message() then
 * has a sentence for the user. After a session has failed once, every later call returns that first
 * failure, so a caller may check late. Errors that any call may return:
 *   -ECANCELED    pagerail_*_abort was called
 *   -ECONNRESET   the connection broke or the peer's process ended
 *   -ETIMEDOUT    the peer was silent for longer than silence_timeout_ms
 *   -ECONNABORTED the peer gave up; its own sentence is in the message
 *   -EPROTO       the peer broke the protocol
 *   -ENOMEM       memory, or memory that may be pinned, is short
 *   -EINVAL       an argument is out of its range; nothing was changed
 */
#ifndef PAGERAIL_TRANSPORT_H
#define PAGERAIL_TRANSPORT_H

#include <pagerail/error.h>
#include <pagerail/options.h>
#include <pagerail/stats.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pagerail_source pagerail_source;
typedef struct pagerail_destination pagerail_destination;

/* Destination only: every byte of the region reads as zero now (new anonymous memory, for example).
 * Pages that are zero at the source then need not be cleared. A wrong claim loses guest data. */
#define PAGERAIL_REGION_FRESH 1u

/* Nobody fills pages of the region on demand (userfaultfd in missing mode: lazy restore, incoming
 * post-copy). Where the region is private anonymous memory, pages that the kernel has made none of
 * yet are then known to be zero and not read, which would make them. While the session lasts no
 * mapping of another kind may take the place of a part. A wrong claim loses guest data. */
#define PAGERAIL_REGION_NO_LAZY_FILL 2u

struct pagerail_region {
    const char *name;    /* unique, 1 to 255 bytes, printable */
    void *addr;          /* page-aligned */
    uint64_t len_bytes;  /* a multiple of page_bytes, not 0 */
    uint64_t page_bytes; /* unit of the dirty log: 4 KiB, 2 MiB or 1 GiB */
    uint32_t flags;      /* PAGERAIL_REGION_* */
};

/*
 * pagerail_source_new: makes an idle session, so that another thread can abort its connect.
 *
 * options: copied; NULL = all defaults.
 * OWNERSHIP: *out is the caller's until pagerail_source_free.
 * ERRORS: -EINVAL an option is out of range, -ENOMEM.
 */
PAGERAIL_API int pagerail_source_new(const struct pagerail_options *options, pagerail_source **out);

/*
 * pagerail_source_connect: connects, shakes hands, and starts the session's threads.
 *
 * uri: "local:/path/to.sock". regions: copied, names included; their memory is borrowed.
 * ERRORS: -EINVAL the URI or a region is malformed; -ENOENT, -ECONNREFUSED nobody listens there;
 * -EPERM the kernel forbids writing to the other process (the sentence says which setting);
 * -ECONNABORTED the destination refused (other regions, for example: the sentence says which). A
 * destination with no protocol version in common refuses with -ECONNREFUSED, too, and a sentence.
 */
PAGERAIL_API int pagerail_source_connect(pagerail_source *source, const char *uri,
                                         const struct pagerail_region *regions, uint32_t count);

/*
 * pagerail_source_push: hands over a run of pages to be sent in this epoch.
 *
 * offset, len: bytes, multiples of 4096. Returns when the run is queued, not when it is sent; waits
 * only while the queues are full, which is how the caller feels the speed of the link.
 */
PAGERAIL_API int pagerail_source_push(pagerail_source *source, uint32_t region, uint64_t offset,
                                      uint64_t len);

/*
 * pagerail_source_push_dirty: hands over all pages in a range whose bit is set. The workers walk
 * the bits, each a part of the range, and clear each bit before they read the page.
 *
 * offset, len: bytes, multiples of the region's page size; offset / page_bytes is a multiple of 64.
 * bits: one bit per page of the range, least significant first, bit 0 = the page at offset.
 * dirty_pages: how many bits are set, for the statistics; any upper bound will do.
 * OWNERSHIP: bits are borrowed until the epoch is acknowledged (pagerail_source_epoch_wait); until
 * then the caller must not touch them.
 */
PAGERAIL_API int pagerail_source_push_dirty(pagerail_source *source, uint32_t region,
                                            uint64_t offset, uint64_t len, uint64_t *bits,
                                            uint64_t dirty_pages);

/*
 * pagerail_source_epoch_end: closes the epoch. Does not wait for it; for room in a
 * worker's queue it may.
 *
 * epoch: receives its number, from 1; may be NULL.
 */
PAGERAIL_API int pagerail_source_epoch_end(pagerail_source *source, uint64_t *epoch);

/*
 * pagerail_source_epoch_wait: waits until the destination has everything of an epoch in memory.
 *
 * timeout_ms: -1 = no limit. While it returns -EAGAIN (the time is over) the session is well, and
 * the caller may look at the statistics and wait on.
 */
PAGERAIL_API int pagerail_source_epoch_wait(pagerail_source *source, uint64_t epoch,
                                            int timeout_ms);

/*
 * pagerail_source_registered_wait: waits until all of the guest's memory is registered on both
 * sides, which it otherwise becomes while pages are sent.
 *
 * timeout_ms: -1 = no limit. ERRORS: -EINVAL a pin budget of either side does not hold all of it;
 * -EAGAIN the time is over and the session is well.
 */
PAGERAIL_API int pagerail_source_registered_wait(pagerail_source *source, int timeout_ms);

/*
 * pagerail_source_pending_wait: waits until no more than at_most_bytes of what was pushed is
 * neither sent nor found zero (pending_bytes in pagerail/stats.h). For a caller that hands over
 * only as much as a rate allows, or that wants to know what is left before it reads the dirty log
 * again.
 *
 * timeout_ms: -1 = no limit. -EAGAIN: the time is over and the session is well.
 */
PAGERAIL_API int pagerail_source_pending_wait(pagerail_source *source, uint64_t at_most_bytes,
                                              int timeout_ms);

/*
 * pagerail_source_set_deadline: from now on, and until pagerail_source_release, a call that waits
 * for the destination and has no time limit of its own (push, epoch_end, write, ...) fails with
 * -ETIMEDOUT once timeout_ms are over. For a VMM that has stopped its guest: a destination that
 * lives and does not go on must not keep it so.
 *
 * timeout_ms: -1 = no limit, which is so until this is called.
 */
PAGERAIL_API void pagerail_source_set_deadline(pagerail_source *source, int timeout_ms);

/*
 * pagerail_source_fence: closes the last epoch before the hand-over and puts a mark into the stream
 * that pagerail_destination_fence waits for: bytes written to the stream after it are seen by the
 * destination only after every page of every epoch is in its memory. Does not wait for that.
 *
 * epoch: receives the closed epoch's number; may be NULL.
 * ERRORS: -EINVAL there was a fence before. After one, push and epoch_end return that as well.
 */
PAGERAIL_API int pagerail_source_fence(pagerail_source *source, uint64_t *epoch);

/*
 * pagerail_source_write: appends device state to the stream. Copies; waits while the window is
 * full. pagerail_source_write_end: no more bytes follow.
 */
PAGERAIL_API int pagerail_source_write(pagerail_source *source, const void *bytes, size_t len);
PAGERAIL_API int pagerail_source_write_end(pagerail_source *source);

/*
 * pagerail_source_wait_ready: waits until the destination could run the guest.
 * ERRORS: -EAGAIN not within timeout_ms (-1 = no limit).
 */
PAGERAIL_API int pagerail_source_wait_ready(pagerail_source *source, int timeout_ms);

/*
 * pagerail_source_release: gives the guest away. Call only after pagerail_source_wait_ready
 * returned 0, and never run the guest here again once this returned 0. ERRORS: -EINVAL the
 * destination is not ready; -ETIMEDOUT it had no room for the message for silence_timeout_ms;
 * -ECANCELED or another failure came first. With an error nothing was
 * sent and the guest is still the source's.
 */
PAGERAIL_API int pagerail_source_release(pagerail_source *source);

/* What the destination measured, in nanoseconds of its own clock. */
struct pagerail_handover {
    uint64_t load_ns;   /* from its fence to ready */
    uint64_t resume_ns; /* from release to the guest running */
};

/*
 * pagerail_source_wait_running: waits for the destination's word that the guest runs.
 * out: may be NULL. ERRORS: -EAGAIN not within timeout_ms; any other error: it is not known whether
 * the guest runs there, and it must still not run here.
 */
PAGERAIL_API int pagerail_source_wait_running(pagerail_source *source, int timeout_ms,
                                              struct pagerail_handover *out);

/*
 * pagerail_source_read: reads what the destination writes back (its report).
 * RETURN VALUE: bytes read, 0 at the stream's end. Waits for the first byte at most timeout_ms,
 * then -EAGAIN.
 */
PAGERAIL_API ssize_t pagerail_source_read(pagerail_source *source, void *to, size_t size,
                                          int timeout_ms);

/* pagerail_source_stats: a snapshot. THREAD-SAFETY: any thread. */
PAGERAIL_API void pagerail_source_stats(pagerail_source *source, struct pagerail_stats *out);

/*
 * pagerail_source_rail: what one way out of this host is, and what was sent over it. Reads files of
 * the kernel: for an observer, not for every run.
 *
 * index: from 0. THREAD-SAFETY: as pagerail_source_stats. ERRORS: -ENOENT there are not so many, or
 * the session is not connected.
 */
PAGERAIL_API int pagerail_source_rail(pagerail_source *source, uint32_t index,
                                      struct pagerail_rail *out);

/*
 * pagerail_source_abort: ends the session with a reason, which the peer is told. Every waiting and
 * later call returns -ECANCELED. After pagerail_source_release it is too late: -EALREADY, and the
 * session goes on. THREAD-SAFETY: any thread.
 */
PAGERAIL_API int pagerail_source_abort(pagerail_source *source, const char *reason);

/* pagerail_source_free: ends the session if it still runs, joins its threads, and frees it. When it
 * returns no memory is registered and the regions are the caller's again. NULL is allowed. */
PAGERAIL_API void pagerail_source_free(pagerail_source *source);

/* As the source's. */
PAGERAIL_API int pagerail_destination_new(const struct pagerail_options *options,
                                          pagerail_destination **out);

/*
 * pagerail_destination_listen: starts to listen.
 * ERRORS: -EINVAL malformed URI; -EADDRINUSE somebody listens there; -ENOENT no such folder;
 * -EACCES. It may be called again with another one.
 */
PAGERAIL_API int pagerail_destination_listen(pagerail_destination *destination, const char *uri);

/*
 * pagerail_destination_accept: waits for one source, checks that its regions are ours, and starts
 * the session's threads. The listening address is given up as soon as all lanes are there.
 *
 * timeout_ms: for the first contact; -1 = no limit. Whoever comes and is no pagerail source, or has
 * no common version, is told so and turned away with a line in the log, and the wait goes on.
 * ERRORS: -EAGAIN nobody came in time: call it again; -EINVAL the source's regions are not ours.
 */
PAGERAIL_API int pagerail_destination_accept(pagerail_destination *destination,
                                             const struct pagerail_region *regions, uint32_t count,
                                             int timeout_ms);

/*
 * pagerail_destination_fence: reads the source's mark from the stream and waits until every page is
 * in memory. The guest's memory is complete when it returns 0. Once.
 * ERRORS: -EPROTO the next bytes of the stream are no mark.
 */
PAGERAIL_API int pagerail_destination_fence(pagerail_destination *destination);

/* pagerail_destination_read: as pagerail_source_read, with no time limit. */
PAGERAIL_API ssize_t pagerail_destination_read(pagerail_destination *destination, void *to,
                                               size_t size);

/*
 * pagerail_destination_ready: says that the guest could run here and waits for the source's
 * release. RETURN VALUE: 0: run it. Anything else: it must not run here, ever; the message says who
 * has it.
 */
PAGERAIL_API int pagerail_destination_ready(pagerail_destination *destination);

/* pagerail_destination_running: tells the source that the guest runs. An error here does not change
 * that. */
PAGERAIL_API int pagerail_destination_running(pagerail_destination *destination);

/* Sends a report back, after pagerail_destination_running. -ETIMEDOUT when the source takes nothing
 * in for silence_timeout_ms. */
PAGERAIL_API int pagerail_destination_write(pagerail_destination *destination, const void *bytes,
                                            size_t len);
PAGERAIL_API int pagerail_destination_write_end(pagerail_destination *destination);

PAGERAIL_API void pagerail_destination_stats(pagerail_destination *destination,
                                             struct pagerail_stats *out);

/* As the source's; too late (-EALREADY) once pagerail_destination_ready was called: from then on
 * only the source decides who has the guest, so abort there. */
PAGERAIL_API int pagerail_destination_abort(pagerail_destination *destination, const char *reason);

/* As the source's. Waits up to silence_timeout_ms for the source to have read the report. */
PAGERAIL_API void pagerail_destination_free(pagerail_destination *destination);

#ifdef __cplusplus
}
#endif
#endif
