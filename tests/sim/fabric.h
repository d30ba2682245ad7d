/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fabric between the sides of a world that keeps exactly what rdma/fabric.h promises, and no
 * more:
 *
 *  - A source's memory is read in pieces, in any order, at any time between flush and completion.
 *  - A write completes at its source before its bytes are visible at the destination. They become
 *    visible late, in pieces, in the order of the lane; on some lanes not before a receive that
 *    follows them is reaped, which makes all before it visible.
 *  - Lanes have rates and delays of their own, so nothing is ordered between two of them.
 *  - The lane's descriptor is raised once per arm, sometimes for nothing; poll hands out as little
 *    as one completion at a time.
 *  - A freed receive buffer is overwritten at once.
 *
 * These end the run with a sentence (world_fail), for they are errors of the caller: more messages
 * in flight than the peer has buffers, a lane used by two threads at once, recv_done of a buffer
 * that is not out, a fabric closed before what it owns, anything left open at the end of the run.
 */
#ifndef PR_SIM_FABRIC_H
#define PR_SIM_FABRIC_H

#include "rdma/fabric.h"
#include "tests/sim/world.h"

#include <stddef.h>

/* Describes a fabric. A connection takes latency and rates from the side that connects. Start from
 * sim_net_typical or sim_net_draw. */
struct sim_net {
    uint64_t latency_ns;       /* one way */
    uint64_t jitter_ns;        /* up to this much more, drawn per operation */
    uint64_t lane_Bps;         /* each lane gets half of this or more, drawn per lane */
    uint64_t path_Bps;         /* all lanes that send from this fabric share it; 0 = no limit */
    uint64_t placement_ns;     /* bytes stay invisible for up to this long after they arrived */
    unsigned lazy_percent;     /* lanes whose bytes become visible only when they must */
    bool ordered_device;       /* a write that was complete before another was flushed lands before
                                  it, also on another lane: most devices do, the contract is silent */
    unsigned resend_percent;   /* operations that arrive much later and are read again meanwhile */
    unsigned spurious_percent; /* arms after which the descriptor is raised for nothing */
    uint64_t retry_ns;         /* how long until a lane gives up on a silent peer, at most */
    bool cut_is_silent;        /* after world_cut an idle lane does not notice until it sends */
    bool overrun_allowed;      /* a receiver overrun only fails the lane, not the run */

    uint64_t reg_ns;         /* a registration takes this long */
    uint64_t reg_ns_per_MiB; /* and this much more per MiB */
    uint64_t memlock_bytes;  /* pinned bytes a side may have in all its fabrics; 0 = no limit */

    struct pr_fabric_limits limits;
};

/* A data centre network of 100 Gb/s lanes, small depths, everything above switched on. */
struct sim_net sim_net_typical(void);

/* Any network: latency from 1 us to 80 ms, any depth and write size, drawn from the world's seed.
 */
struct sim_net sim_net_draw(struct world *world);

/*
 * Opens a fabric of the calling thread's side. All fabrics of a world reach each other; addresses
 * are names, up to 63 bytes, one space for the whole world.
 */
int pr_fabric_sim_open(struct world *world, const struct sim_net *net, struct pr_fabric **out);

enum sim_fault {
    SIM_FAULT_LANE,    /* the connection breaks instead: both ends get -ECONNRESET */
    SIM_FAULT_DROP,    /* it and all behind it on its lane are lost: -EIO after the retries */
    SIM_FAULT_CORRUPT, /* one byte of it arrives wrong (an empty operation arrives well) */
};

/* Strikes the k-th operation (from 1, over all lanes) that is flushed. A later call replaces it. */
void sim_net_fault(struct world *world, uint64_t k, enum sim_fault fault);

/* What the world's fabrics did and hold. */
struct sim_counts {
    uint64_t operations;      /* flushed; k of sim_net_fault is one of these */
    uint64_t messages;        /* sends and immediates among them that arrived */
    uint64_t write_bytes;     /* that arrived */
    uint64_t invisible_bytes; /* arrived and not visible yet */
    uint64_t forced_bytes;    /* that were visible only because a receive was reaped */
    uint64_t overruns;
    uint64_t lanes_failed;                       /* ends that got an error */
    unsigned fabrics, lanes, listeners, windows; /* live now, of sides that were not killed */
    uint64_t pinned_bytes, pinned_bytes_most;    /* now, and the most of one side so far */
};

struct sim_counts sim_net_counts(struct world *world);

/* How many objects of living sides are open; their names in text. Whatever is left when the run
 * ends fails it, so call this only to check earlier than that. */
unsigned sim_fabric_leaks(struct world *world, char *text, size_t size);

#endif
