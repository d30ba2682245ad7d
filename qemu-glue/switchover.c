/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "qemu/atomic.h"
#include "switchover.h"

#define MEMORY_MS 1000.0

/* The part of downtime-limit that sending the rest may take while another round helps. */
#define SHARE 64

void rdma_switchover_begin(RdmaSwitchover *s)
{
    *s = (RdmaSwitchover){.least_bytes = UINT64_MAX}; /* nothing was sent yet */
}

void rdma_switchover_look(RdmaSwitchover *s, uint64_t left_bytes)
{
    qatomic_set(&s->rounds_shrink, left_bytes < s->least_bytes / 10 * 8);
    qatomic_set(&s->log_was_read, true);
    s->least_bytes = MIN(s->least_bytes, left_bytes);
}

uint64_t rdma_switchover_pending(const RdmaSwitchover *s, uint64_t pending_bytes,
                                 uint64_t dirty_bytes)
{
    uint64_t left = pending_bytes + dirty_bytes;

    return qatomic_read(&s->rounds_shrink) ? SHARE * left - dirty_bytes : pending_bytes;
}

/* An average over a second at least, so that no burst raises it. */
static void count_reading(RdmaSwitchover *s, double bytes, double ms)
{
    s->reading_bytes += bytes;
    s->reading_ms += ms;
    if (s->reading_ms >= MEMORY_MS) {
        s->bandwidth = MAX(s->bandwidth, s->reading_bytes / s->reading_ms);
        s->reading_bytes = s->reading_ms = 0;
    }
}

double rdma_switchover_bandwidth(RdmaSwitchover *s, double bytes, double ms)
{
    if (qatomic_xchg(&s->log_was_read, false) && s->known_ms) {
        count_reading(s, bytes, ms);
        return s->bandwidth;
    }
    s->reading_bytes = s->reading_ms = 0;
    s->known_ms = MIN(s->known_ms + ms, MEMORY_MS);
    s->bandwidth += (bytes / ms - s->bandwidth) * MIN(ms / s->known_ms, 1.0);
    return s->bandwidth;
}

int64_t rdma_switchover_downtime(int64_t stopped_ms, int64_t released_ns, int64_t told_ns,
                                 uint64_t rtt_ns, uint64_t resume_ns)
{
    uint64_t passed_ns = told_ns > released_ns ? told_ns - released_ns : 0;
    uint64_t there_ns = MIN(MIN(resume_ns, passed_ns) + MIN(rtt_ns / 2, passed_ns), passed_ns);
    int64_t runs_ms = (released_ns + (int64_t)there_ns) / 1000000;

    return runs_ms > stopped_ms ? runs_ms - stopped_ms : 1;
}
