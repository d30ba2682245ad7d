/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes a deregistration safe: a page shared by the two ends of a lane in which the end that
 * posts announces each burst of transfers.
 *
 *   poster                              owner of the memory
 *   announce: burst becomes odd         revoke: slot's key becomes 0 (or `revoked` 1)
 *   look at the key, and at `revoked`   look at every gate's burst
 *   transfer                            odd: wait until it changes or the poster is dead
 *   burst becomes even
 *
 * All accesses are sequentially consistent, so either the poster sees the key gone or the owner
 * sees the burst announced: no transfer can start unseen after the owner has looked.
 *
 * A lane may be closed while its peer is inside a burst. Its gate then stays in the fabric's list,
 * shut, until the burst is over, so that a deregistration still waits for it.
 */
#ifndef PR_RDMA_LOCAL_GATE_H
#define PR_RDMA_LOCAL_GATE_H

#include "rdma/local/peer.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#define PR_LOCAL_GATE_BYTES 4096

/* One end's transfers into the other's memory. On lines of their own: each is another process's. */
struct pr_local_passage {
    alignas(64) _Atomic uint64_t burst;   /* written by the poster: odd inside a burst */
    alignas(64) _Atomic uint32_t revoked; /* written by the owner: 1 for good */
};

struct pr_local_gate {
    struct pr_local_passage *mine;   /* what this end does in the peer's memory */
    struct pr_local_passage *theirs; /* what the peer does in this end's memory */
    struct pr_local_peer peer;
    void *page;
    uint64_t id;
    bool closed; /* its lane is gone */
    bool stuck;  /* not waited for any more */
    struct pr_local_gate *next;
};

/* All gates of a fabric, in order of their ids. Any thread. */
struct pr_local_gates {
    pthread_mutex_t lock;
    struct pr_local_gate *first;
    uint64_t last_id;
};

enum pr_local_end { PR_LOCAL_CONNECTOR, PR_LOCAL_ACCEPTOR };

void pr_local_gates_open(struct pr_local_gates *gates);

/* Waits for peers that are inside a burst (a second at most each) and frees what is left. */
void pr_local_gates_close(struct pr_local_gates *gates);

/* Maps the page in fd (a memfd that stays the caller's) and adds the gate. Takes over *peer on
 * success. ERRORS: -EPROTO fd is no such page; -ENOMEM. */
int pr_local_gate_open(struct pr_local_gates *gates, int fd, enum pr_local_end end,
                       struct pr_local_peer *peer, struct pr_local_gate **out);

/* Lets the peer in no more, and returns when it has left, as below. */
void pr_local_gate_shut(struct pr_local_gates *gates, struct pr_local_gate *gate);

/* Shuts it for the peer, too, without the wait. It is freed now or once the peer has left it. */
void pr_local_gate_close(struct pr_local_gates *gates, struct pr_local_gate *gate);

/* Begins a burst. False when the peer has shut the gate; then there is none to leave. */
bool pr_local_gate_enter(struct pr_local_gate *gate);
void pr_local_gate_leave(struct pr_local_gate *gate);

/* Returns once every burst that was under way when it was called is over, or its process is dead. A
 * live process that stays inside one for a second (it must have been stopped) is shut out and no
 * longer waited for. */
void pr_local_gates_wait(struct pr_local_gates *gates);

#endif
