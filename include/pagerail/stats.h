/* SPDX-License-Identifier: BSD-2-Clause */
/* pagerail/stats.h: what a session has done so far. A snapshot; every figure only grows, but for
 * those marked "now". */
#ifndef PAGERAIL_STATS_H
#define PAGERAIL_STATS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAGERAIL_PAGE_BYTES                                                                        \
    4096u /* the unit in which pages are counted, whatever backs the guest */

enum pagerail_rail_state {
    PAGERAIL_RAIL_UP = 0,
    PAGERAIL_RAIL_DOWN = 1,   /* the link is down; the session ends if it stays so */
    PAGERAIL_RAIL_FAILED = 2, /* the device is gone or has failed */
};

/* One way out of this host: a device, and what this session has sent over it. */
struct pagerail_rail {
    char name[64];  /* the device's; the fabric's where there is no device; "" = not chosen yet */
    uint32_t state; /* now: enum pagerail_rail_state */
    uint32_t lanes; /* data lanes over it */
    uint64_t bytes_sent; /* of guest memory, completed */
    uint64_t retries; /* what the device has sent again since the session connected, for whomever,
                         by its own counters; 0 where there are none */
};

struct pagerail_stats {
    uint64_t bytes_sent;    /* of guest memory; counted when a write completes, never when posted */
    uint64_t writes;        /* one-sided writes completed */
    uint64_t pages_sent;    /* 4 KiB pages in bytes_sent */
    uint64_t zero_pages;    /* 4 KiB pages found all-zero, told or known to the destination */
    uint64_t pending_bytes; /* now: handed over and neither sent nor found zero yet */
    uint64_t epoch;         /* epochs that the destination has acknowledged */
    uint64_t registered_bytes; /* now: of guest memory, on this side */
    uint64_t registration_ns;  /* spent in registration calls, all threads together */
    uint64_t stream_bytes;     /* device state sent (source) or received (destination) */
    uint64_t rtt_ns; /* now: control round trip, least of the last few; 0 = not measured yet */
    uint64_t cpu_ns; /* processor time of the library's threads of this session */
    uint64_t first_write_ns; /* source: from the connect call until a write had completed, 0 = none
                                has; the wait for registration is in it */
    uint32_t lanes;          /* data lanes */
    uint32_t rail_state;     /* now: enum pagerail_rail_state, of this side's port */
    const char *fabric;      /* "local", ...; static */
};

#ifdef __cplusplus
}
#endif
#endif
