/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between the transport and a way to move bytes between two hosts.
 *
 * OBJECTS
 *   pr_fabric    one device (NIC port) or mechanism of this host. Owns registrations.
 *   pr_listener  accepts lanes at an address.
 *   pr_lane      one reliable, ordered queue pair. What is posted on it takes effect at the peer in
 *                order; nothing is ordered between two lanes.
 *   pr_mr        a registered window of memory: what a lane may read from locally, or what a peer
 *                that was given its key may write to.
 *
 * POSTING. A post only queues; pr_lane_flush starts everything queued since the last one (one
 * doorbell). Every post takes one of the lane's `send_depth` places until its completion, or that
 * of a later signalled post on the same lane, has been polled: the completion of a post means that
 * all earlier posts of its lane are complete as well. So a chain needs only its tail signalled.
 *
 * WHAT A COMPLETION PROVES. Of a write, at the source: the bytes have left local memory for good
 * and the peer's device has them; not that the peer's processor sees them. Of a receive, at the
 * destination: everything that was posted before that send on the same lane is visible to the
 * processor. The transport's fence is built from the second.
 *
 * RECEIVING. The fabric owns recv_depth buffers of max_message_bytes a lane and has them ready
 * before the peer can send. The caller gets a pointer with the completion and gives the buffer back
 * with pr_lane_recv_done. A peer must never have more messages in flight than the other side has
 * buffers: the transport counts credits; a fabric may treat an overrun as a failed lane.
 *
 * FAILURE. A failed post, or a lost connection, fails the lane for good: pr_lane_poll hands out
 * what completed before, then returns a negative errno for ever. What was posted and never reported
 * may or may not have reached the peer.
 *
 * THREADS. A fabric's calls may come from any thread. A listener and a lane belong to one thread at
 * a time. No call blocks but connect and accept, which have a timeout and a cancel event, and the
 * registration calls, which may take the kernel long: keep them off a lane's thread.
 *
 * ERRORS. Every call returns 0 (or a count) or a negative errno with a sentence (base/error.h). An
 * operation that a backend lacks returns -EOPNOTSUPP. `out` parameters are set on success only.
 */
#ifndef PR_RDMA_FABRIC_H
#define PR_RDMA_FABRIC_H

#include "base/event.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_fabric_ops;

struct pr_fabric_limits {
    uint64_t max_write_bytes;   /* one write or read */
    uint64_t max_window_bytes;  /* one registration */
    uint32_t max_message_bytes; /* one send */
    uint32_t send_depth;        /* posts a lane holds until they are completed */
    uint32_t recv_depth;        /* receive buffers of a lane */
    uint32_t max_private_bytes; /* private data of a connection request */
    uint32_t suggested_lanes;   /* lanes that fill a path of the usual length */
    uint64_t lane_flight_bytes; /* a lane has no more under way unacknowledged; 0 = no such limit */
    uint64_t rate_Bps;          /* of the line, as the device tells it; 0 = unknown */
    uint32_t connect_ms; /* patience for a step of connecting, lost messages included; 0 = usual */
    uint32_t
        silence_ms; /* a living peer may be silent for so long, broken links included; 0 = usual */
};

/* What a fabric's port says of itself. Nothing waits for it: a lane fails by itself if a port stays
 * down for longer than the device tries again. */
enum pr_rail_state {
    PR_RAIL_UP = 0,
    PR_RAIL_DOWN = 1,   /* no link; it may come back */
    PR_RAIL_FAILED = 2, /* the device is gone or has failed */
};

struct pr_fabric {
    const struct pr_fabric_ops *ops;
    const char *name; /* "local", "verbs", ... */
    struct pr_fabric_limits limits;
    _Atomic int rail_state; /* enum pr_rail_state; a fabric without ports leaves it at 0 */
};

/* What carries a fabric's lanes, for people. */
struct pr_rail {
    char name[64];    /* the device's; "" = none is chosen yet; a fabric without devices: its own */
    uint64_t retries; /* packets or messages that the device sent again, of all its users, since the
                         fabric opened; 0 where nobody counts them */
};

struct pr_listener {
    const struct pr_fabric_ops *ops;
    struct pr_fabric *fabric;
};

struct pr_lane {
    const struct pr_fabric_ops *ops;
    struct pr_fabric *fabric;
};

enum pr_access {
    PR_ACCESS_LOCAL_READ = 0,        /* source of a local post_write */
    PR_ACCESS_LOCAL_WRITE = 1 << 0,  /* target of a local post_read */
    PR_ACCESS_REMOTE_WRITE = 1 << 1, /* a peer that has the key may write */
    PR_ACCESS_REMOTE_READ = 1 << 2,  /* a peer that has the key may read */
};

/* What a peer needs to reach a window. Plain numbers, sent over the wire as they are. */
struct pr_key {
    uint64_t addr; /* of the window's first byte, in the owner's address space */
    uint64_t len;  /* bytes */
    uint64_t rkey; /* the fabric's own secret for it */
};

struct pr_mr {
    struct pr_fabric *fabric;
    struct pr_key key; /* meaningful to a peer when access grants it something */
    void *addr;
};

/* A one-sided transfer between local memory and a window of the peer. */
struct pr_rma {
    void *local;              /* inside mr; must stay as long as the post is not complete */
    const struct pr_mr *mr;   /* registration that covers [local, local + len) */
    uint64_t remote;          /* address in the peer, inside the window of `key` */
    const struct pr_key *key; /* read at post time only */
    uint64_t len;             /* bytes, 1 to max_write_bytes */
    uint64_t tag;             /* comes back with the completion */
    bool signaled;            /* report a completion for this one */
};

enum pr_op {
    PR_OP_WRITE,
    PR_OP_READ,
    PR_OP_SEND,
    PR_OP_RECV,
    PR_OP_RECV_IMM, /* a peer's post_write_imm arrived: `imm` is set, no buffer */
};

struct pr_completion {
    enum pr_op op;
    uint32_t imm;
    uint32_t len;      /* of a received message */
    uint64_t tag;      /* of the post; 0 for receives */
    const void *bytes; /* of a received message: give back with pr_lane_recv_done */
};

/*
 * Decides about a connection request by its private data. 0 admits; a negative errno with a
 * sentence refuses, and the sentence reaches the peer's connect (shortened to what the fabric can
 * carry).
 */
typedef int (*pr_admit_fn)(void *opaque, const void *private_data, uint32_t len);

struct pr_fabric_ops {
    void (*close)(struct pr_fabric *fabric);
    int (*listen)(struct pr_fabric *fabric, const char *address, struct pr_listener **out);
    int (*accept)(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
                  pr_admit_fn admit, void *opaque, struct pr_lane **out);
    void (*listener_close)(struct pr_listener *listener);
    int (*connect)(struct pr_fabric *fabric, const char *address, const void *private_data,
                   uint32_t len, int timeout_ms, const struct pr_event *cancel,
                   struct pr_lane **out);
    int (*reg)(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
               struct pr_mr **out);
    void (*dereg)(struct pr_mr *mr);
    bool (*reg_pays)(struct pr_fabric *fabric, const void *addr, uint64_t len);
    int (*post_write)(struct pr_lane *lane, const struct pr_rma *write);
    int (*post_write_imm)(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm);
    int (*post_read)(struct pr_lane *lane, const struct pr_rma *read);
    int (*post_send)(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                     bool signaled);
    int (*flush)(struct pr_lane *lane);
    int (*poll)(struct pr_lane *lane, struct pr_completion *out, unsigned max);
    void (*recv_done)(struct pr_lane *lane, const void *bytes);
    int (*arm)(struct pr_lane *lane);
    int (*fd)(struct pr_lane *lane);
    void (*lane_shut)(struct pr_lane *lane);
    void (*lane_close)(struct pr_lane *lane);
    void (*rail)(struct pr_fabric *fabric, struct pr_rail *out);
};

/* Every operation answers -EOPNOTSUPP (or does nothing where it returns nothing). */
extern const struct pr_fabric_ops pr_fabric_unsupported;

/* Copies `ops` and fills its empty slots from pr_fabric_unsupported. */
struct pr_fabric_ops pr_fabric_ops_complete(struct pr_fabric_ops ops);

/* Ends the fabric. All its lanes, listeners and registrations must be closed. */
static inline void pr_fabric_close(struct pr_fabric *fabric)
{
    fabric->ops->close(fabric);
}

/* For the ops of a fabric without devices: its name, and nothing counted. */
void pr_fabric_plain_rail(struct pr_fabric *fabric, struct pr_rail *out);

/* Reads what the rail is and counts; takes some system calls. */
static inline void pr_fabric_rail(struct pr_fabric *fabric, struct pr_rail *out)
{
    fabric->ops->rail(fabric, out);
}

/*
 * Starts to accept at `address` (the part of the URI after the scheme).
 * ERRORS: -EADDRINUSE something listens there, -ENOENT no such path or host, -EACCES, -EINVAL the
 * address is malformed, -ENODEV no device for it.
 */
static inline int pr_fabric_listen(struct pr_fabric *fabric, const char *address,
                                   struct pr_listener **out)
{
    return fabric->ops->listen(fabric, address, out);
}

/*
 * Waits for one connection request, asks `admit`, and returns the connected lane.
 * ERRORS: -ETIMEDOUT; -ECANCELED the cancel event (may be NULL) was raised; -ECONNREFUSED the
 * request was refused by `admit`, whose sentence stands; -EPROTO the peer spoke something else;
 * -ECONNRESET the peer left meanwhile. After the last three the listener goes on working.
 */
static inline int pr_listener_accept(struct pr_listener *listener, int timeout_ms,
                                     const struct pr_event *cancel, pr_admit_fn admit, void *opaque,
                                     struct pr_lane **out)
{
    return listener->ops->accept(listener, timeout_ms, cancel, admit, opaque, out);
}

/* Stops listening and removes what listening made (a socket file). Accepted lanes live on. */
static inline void pr_listener_close(struct pr_listener *listener)
{
    listener->ops->listener_close(listener);
}

/*
 * Connects one lane. private_data: at most max_private_bytes, handed to the peer's admit.
 * ERRORS: -ECONNREFUSED nobody listens, or the peer refused (its sentence stands); -ENOENT;
 * -EACCES; -ETIMEDOUT; -ECANCELED; -EPROTO the other end is no pagerail; -EINVAL the address is
 * malformed.
 */
static inline int pr_fabric_connect(struct pr_fabric *fabric, const char *address,
                                    const void *private_data, uint32_t len, int timeout_ms,
                                    const struct pr_event *cancel, struct pr_lane **out)
{
    return fabric->ops->connect(fabric, address, private_data, len, timeout_ms, cancel, out);
}

/*
 * Registers [addr, addr + len). access: OR of enum pr_access. May pin the memory and take long.
 * OWNERSHIP: the caller's, until pr_fabric_dereg.
 * ERRORS: -ENOMEM memlock or memory is short (the sentence has limit and need), -EINVAL, -EFAULT.
 */
static inline int pr_fabric_reg(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
                                struct pr_mr **out)
{
    return fabric->ops->reg(fabric, addr, len, access, out);
}

/* For the ops of a fabric where registering costs nothing. */
bool pr_fabric_always_pays(struct pr_fabric *fabric, const void *addr, uint64_t len);

/* Whether to register the memory before anybody needs that: false where it would be given pages
 * only because of it. */
static inline bool pr_fabric_reg_pays(struct pr_fabric *fabric, const void *addr, uint64_t len)
{
    return fabric->ops->reg_pays(fabric, addr, len);
}

/* Ends a registration. When it returns, no peer can reach the window by its key any more, and none
 * of a peer's transfers into it is still under way. NULL is allowed. */
static inline void pr_fabric_dereg(struct pr_mr *mr)
{
    if (mr)
        mr->fabric->ops->dereg(mr);
}

/* For fabrics: whether a transfer is within its registration, its key and the lane's limits.
 * ERRORS: -EINVAL. */
int pr_rma_check(const struct pr_lane *lane, const struct pr_rma *rma);

/* ERRORS of the posts: -EAGAIN the lane's places are taken, poll first; -EINVAL outside the window
 * or over a limit (nothing was queued, the lane lives on); others: the lane failed. */
static inline int pr_lane_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    return lane->ops->post_write(lane, write);
}

/* As post_write; the peer gets a PR_OP_RECV_IMM once the bytes are visible. Takes a peer's receive
 * buffer like a send. len may be 0 (then local, mr, key are not looked at). */
static inline int pr_lane_post_write_imm(struct pr_lane *lane, const struct pr_rma *write,
                                         uint32_t imm)
{
    return lane->ops->post_write_imm(lane, write, imm);
}

static inline int pr_lane_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    return lane->ops->post_read(lane, read);
}

/* Sends a message of 1 to max_message_bytes. It is copied: `bytes` is the caller's on return. */
static inline int pr_lane_post_send(struct pr_lane *lane, const void *bytes, uint32_t len,
                                    uint64_t tag, bool signaled)
{
    return lane->ops->post_send(lane, bytes, len, tag, signaled);
}

/* Starts what is queued. A failure found here shows up in pr_lane_poll too. */
static inline int pr_lane_flush(struct pr_lane *lane)
{
    return lane->ops->flush(lane);
}

/*
 * Takes up to max completions. Never blocks.
 * RETURN VALUE: how many; 0 none now; negative: the lane has failed (-ECONNRESET the peer is gone,
 * -EIO, -EACCES the peer's memory refused the write, ...) and everything before was handed out.
 */
static inline int pr_lane_poll(struct pr_lane *lane, struct pr_completion *out, unsigned max)
{
    return lane->ops->poll(lane, out, max);
}

/* Gives the buffer of a PR_OP_RECV back. */
static inline void pr_lane_recv_done(struct pr_lane *lane, const void *bytes)
{
    lane->ops->recv_done(lane, bytes);
}

/* Before sleeping on pr_lane_fd: makes it readable at the next completion or failure. Returns 1
 * when something is there already, so poll instead of sleeping; 0 when it is safe to sleep. */
static inline int pr_lane_arm(struct pr_lane *lane)
{
    return lane->ops->arm(lane);
}

/* The descriptor to wait on (POLLIN) after pr_lane_arm returned 0. The lane's; do not read it. */
static inline int pr_lane_fd(struct pr_lane *lane)
{
    return lane->ops->fd(lane);
}

/*
 * Shuts it for the peer, which is not told: when it returns, nothing that the peer posted or posts
 * reads or writes this side's memory by this lane. Far quicker than pr_lane_close, which is all
 * that may follow. Not while another thread uses the lane.
 */
static inline void pr_lane_shut(struct pr_lane *lane)
{
    lane->ops->lane_shut(lane);
}

/* Disconnects and frees. When it returns, nothing posted on it reads or writes memory any more, on
 * this side, and the peer's lane fails. NULL is allowed. */
static inline void pr_lane_close(struct pr_lane *lane)
{
    if (lane)
        lane->ops->lane_close(lane);
}

#endif
