/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes are under way, none completes, and the peer answers all the same: a way that swallows
 * large packets and lets small ones through, for example. Devices try again for ever or nearly so;
 * somebody has to notice. Pure.
 */
#ifndef PR_TRANSPORT_STANDSTILL_H
#define PR_TRANSPORT_STANDSTILL_H

#include <stdbool.h>
#include <stdint.h>

/* A standstill is a failure after so many times the silence after which a peer counts as dead. */
#define PR_STANDSTILL_SILENCES 4

/* Zero to begin with. */
struct pr_standstill {
    uint64_t done_bytes;
    uint64_t since_ns; /* when it last moved, or nothing was under way */
};

/* done_bytes: completed, ever. Returns for how long nothing has moved though it should; ns. */
uint64_t pr_standstill_look(struct pr_standstill *standstill, uint64_t now_ns, uint64_t done_bytes,
                            bool under_way);

#endif
