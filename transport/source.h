/* SPDX-License-Identifier: BSD-2-Clause */
/* A source, as its files see it, and what migrate/ needs of it beyond the public API. */
#ifndef PR_TRANSPORT_SOURCE_H
#define PR_TRANSPORT_SOURCE_H

#include "transport/crew.h"
#include "transport/session.h"
#include "transport/standstill.h"
#include "transport/windows.h"

#include <pagerail/transport.h>
#include <pthread.h>
#include <stdatomic.h>

struct pagerail_source {
    struct pr_session session;
    struct pr_windows windows;
    struct pr_written *written; /* [regions] */
    struct pr_crew crew;
    _Atomic bool connected;
    uint64_t called_ns; /* pagerail_source_connect */
    bool released;
    _Atomic uint64_t epochs; /* ended by the caller */
    _Atomic bool fenced;
    _Atomic bool ready, running;
    _Atomic uint64_t acked_ns; /* when the last epoch so far was acknowledged */
    struct pagerail_handover handover;
    struct pr_standstill standstill; /* the control thread's */

    /* What was handed over and what became of it, as known when the last epoch was settled. */
    pthread_mutex_t books;
    uint64_t handed_bytes;
    uint64_t ended_bytes; /* handed_bytes at the last end of an epoch */
    uint64_t settled_handed_bytes, settled_done_bytes;
};

/* 0 when the session is connected and well, else its failure or -EINVAL. */
int pr_source_check(pagerail_source *source);

/* When the destination acknowledged the last epoch so far (pr_now_ns); 0 = none yet. */
uint64_t pr_source_acked_ns(pagerail_source *source);

#endif
