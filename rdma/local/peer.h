/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process at the other end of a socket, and transfers between its memory and ours.
 *
 * A pid alone may come to mean another process; a descriptor of the process (pidfd) is held beside
 * it and asked before each transfer. That it was the right process to begin with is proven by the
 * handshake, which has each side read a secret from the other's memory.
 */
#ifndef PR_RDMA_LOCAL_PEER_H
#define PR_RDMA_LOCAL_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct pr_local_peer {
    pid_t pid;
    int pidfd; /* -1 when it is this very process */
    bool authorized;
};

/*
 * Learns who is at the other end and, under Yama, lets exactly that process reach our memory.
 * ERRORS: -EACCES it is in another pid namespace; -EBUSY another process is authorised already
 * (Yama knows one at a time); -ECONNRESET it is gone.
 */
int pr_local_peer_open(struct pr_local_peer *peer, int sock);
void pr_local_peer_close(struct pr_local_peer *peer);

/* False once the process has ended. */
bool pr_local_peer_alive(const struct pr_local_peer *peer);

enum pr_local_direction { PR_LOCAL_READ, PR_LOCAL_WRITE };

/* Moves bytes between `local` and the peer's `remote`; both lists hold as many bytes. Returns how
 * many were moved (perhaps fewer), or a negative errno without a sentence. */
ssize_t pr_local_peer_move(const struct pr_local_peer *peer, enum pr_local_direction direction,
                           const struct iovec *local, unsigned locals, const struct iovec *remote,
                           unsigned remotes);

/* The sentence for an errno of pr_local_peer_move. Returns the errno that the lane reports. */
int pr_local_peer_explain(int err);

#define PR_LOCAL_YAMA_ABSENT (-1)

/* What to do when the kernel refuses with `err`, by the value of Yama's ptrace_scope. Pure. */
const char *pr_local_peer_advice(int err, int ptrace_scope);

#endif
