/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/gate.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/runtime.h"
#include "rdma/local/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STUCK_MS 1000
#define SPINS 200

_Static_assert(sizeof(struct pr_local_passage[2]) <= PR_LOCAL_GATE_BYTES, "a gate is one page");

void pr_local_gates_open(struct pr_local_gates *gates)
{
    *gates = (struct pr_local_gates){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static int map_page(int fd, void **out)
{
    if (!pr_local_memfd_is_fixed(fd, PR_LOCAL_GATE_BYTES))
        return pr_error(EPROTO, "the peer's lane page is not one of this pagerail version");
    void *page = mmap(NULL, PR_LOCAL_GATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return pr_error(errno, "cannot map a lane's page: %s", strerror(errno));
    *out = page;
    return 0;
}

static void append(struct pr_local_gates *gates, struct pr_local_gate *gate)
{
    pthread_mutex_lock(&gates->lock);
    struct pr_local_gate **at = &gates->first;
    while (*at)
        at = &(*at)->next;
    *at = gate;
    gate->id = ++gates->last_id;
    pthread_mutex_unlock(&gates->lock);
}

int pr_local_gate_open(struct pr_local_gates *gates, int fd, enum pr_local_end end,
                       struct pr_local_peer *peer, struct pr_local_gate **out)
{
    struct pr_local_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return pr_error(ENOMEM, "no memory for a lane");
    int err = map_page(fd, &gate->page);
    if (err) {
        free(gate);
        return err;
    }
    struct pr_local_passage *passages = gate->page;
    gate->mine = &passages[end];
    gate->theirs = &passages[!end];
    gate->peer = *peer;
    *peer = (struct pr_local_peer){.pidfd = -1};
    append(gates, gate);
    *out = gate;
    return 0;
}

static bool inside(uint64_t burst)
{
    return burst & 1;
}

static void free_gate(struct pr_local_gate *gate)
{
    munmap(gate->page, PR_LOCAL_GATE_BYTES);
    pr_local_peer_close(&gate->peer);
    free(gate);
}

static bool is_left(const struct pr_local_gate *gate)
{
    return !inside(atomic_load(&gate->theirs->burst)) || gate->stuck ||
           !pr_local_peer_alive(&gate->peer) || pr_fault("local-close-early");
}

/* Frees the closed gates that nobody is inside of. */
static void sweep_locked(struct pr_local_gates *gates)
{
    struct pr_local_gate **at = &gates->first;
    while (*at) {
        struct pr_local_gate *gate = *at;
        if (!gate->closed || !is_left(gate)) {
            at = &gate->next;
            continue;
        }
        *at = gate->next;
        free_gate(gate);
    }
}

void pr_local_gate_close(struct pr_local_gates *gates, struct pr_local_gate *gate)
{
    atomic_store(&gate->theirs->revoked, 1);
    pthread_mutex_lock(&gates->lock);
    gate->closed = true;
    sweep_locked(gates);
    pthread_mutex_unlock(&gates->lock);
}

bool pr_local_gate_enter(struct pr_local_gate *gate)
{
    atomic_fetch_add(&gate->mine->burst, 1);
    if (!atomic_load(&gate->mine->revoked))
        return true;
    pr_local_gate_leave(gate);
    return false;
}

void pr_local_gate_leave(struct pr_local_gate *gate)
{
    atomic_fetch_add(&gate->mine->burst, 1);
}

/* The first gate above *id that a peer is inside of: true, and which burst it is. */
static bool next_busy(struct pr_local_gates *gates, uint64_t *id, uint64_t *burst)
{
    bool found = false;
    pthread_mutex_lock(&gates->lock);
    for (struct pr_local_gate *gate = gates->first; gate && !found; gate = gate->next) {
        *burst = atomic_load(&gate->theirs->burst);
        found = gate->id > *id && inside(*burst) && !gate->stuck;
        if (found)
            *id = gate->id;
    }
    pthread_mutex_unlock(&gates->lock);
    return found;
}

/* Whether the peer is still in that burst. Asks every time anew: the gate may be freed meanwhile.
 */
static bool still_inside(struct pr_local_gates *gates, uint64_t id, uint64_t burst, bool give_up)
{
    bool result = false;
    pthread_mutex_lock(&gates->lock);
    for (struct pr_local_gate *gate = gates->first; gate; gate = gate->next) {
        if (gate->id != id || atomic_load(&gate->theirs->burst) != burst)
            continue;
        if (give_up)
            atomic_store(&gate->theirs->revoked, 1);
        gate->stuck = give_up || !pr_local_peer_alive(&gate->peer);
        result = !gate->stuck;
    }
    pthread_mutex_unlock(&gates->lock);
    return result;
}

static void wait_for(struct pr_local_gates *gates, uint64_t id, uint64_t burst)
{
    uint64_t deadline = pr_deadline_after_ms(STUCK_MS);
    for (unsigned turn = 0; still_inside(gates, id, burst, false); turn++) {
        if (pr_now_ns() >= deadline) {
            still_inside(gates, id, burst, true);
            pr_log_warn("a peer process stopped amid a transfer; its lane was cut off");
            return;
        }
        if (turn > SPINS)
            pr_sleep_ms(1);
    }
}

void pr_local_gate_shut(struct pr_local_gates *gates, struct pr_local_gate *gate)
{
    atomic_store(&gate->theirs->revoked, 1);
    uint64_t burst = atomic_load(&gate->theirs->burst);
    if (inside(burst) && !pr_fault("local-shut-early"))
        wait_for(gates, gate->id, burst);
}

void pr_local_gates_wait(struct pr_local_gates *gates)
{
    uint64_t id = 0, burst;
    while (next_busy(gates, &id, &burst))
        wait_for(gates, id, burst);
}

void pr_local_gates_close(struct pr_local_gates *gates)
{
    pr_local_gates_wait(gates);
    pthread_mutex_lock(&gates->lock);
    sweep_locked(gates);
    pthread_mutex_unlock(&gates->lock);
}
