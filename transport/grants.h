/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registration at the destination: windows are registered when the source wants them and freed when
 * it drops them, by pool threads, within the destination's own pin budget. Wants that do not fit
 * yet wait in order of arrival.
 *
 * THREADS. The control thread brings wants and drops; pool threads carry them out.
 */
#ifndef PR_TRANSPORT_GRANTS_H
#define PR_TRANSPORT_GRANTS_H

#include "base/pool.h"
#include "transport/registration.h"
#include "transport/session.h"

#include <pthread.h>
#include <stdatomic.h>

enum pr_grant_state {
    PR_GRANT_NONE,
    PR_GRANT_WAITING, /* for room in the budget */
    PR_GRANT_REGISTERING,
    PR_GRANT_GIVEN,
    PR_GRANT_LEAVING,
};

struct pr_grant {
    struct pr_job job; /* first: cast back */
    struct pr_grants *grants;
    uint32_t region, index; /* region: in the destination's own list */
    enum pr_grant_state state;
    bool wanted_again; /* while LEAVING */
    uint64_t ticket;   /* GIVEN: of the grant message */
    struct pr_mr *mr;
    struct pr_grant *next; /* among those that wait */
};

struct pr_grants {
    struct pr_session *session;
    const uint32_t *local_of; /* the source's region index -> ours */
    uint32_t *wire_of;        /* and back */
    pthread_mutex_t lock;
    struct pr_grant **of_region;
    uint64_t budget_bytes, used_bytes;
    struct pr_grant *first, *last;
    _Atomic uint64_t registered_bytes;
    struct pr_registration_cost cost;
};

/* local_of: [regions], borrowed. */
int pr_grants_open(struct pr_grants *grants, struct pr_session *session, const uint32_t *local_of);

/* Ends all registrations, in parallel. When it returns no key of this session works any more. */
void pr_grants_close(struct pr_grants *grants);

/* Control thread. -EPROTO for windows that do not exist or are wanted or dropped out of turn. */
int pr_grants_want(struct pr_grants *grants, const struct pr_wire_want *want);
int pr_grants_drop(struct pr_grants *grants, const struct pr_wire_drop *drop);

#endif
