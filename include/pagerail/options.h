/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagerail/options.h: what a session may be told. Size-stamped, zero = default:
 *
 *     struct pagerail_options options = PAGERAIL_OPTIONS_INIT;
 *     options.pin_budget_bytes = 4ull << 30;
 *
 * A program built against an older header passes a smaller size; the fields it does not know have
 * their defaults. A larger size than the library's is accepted as long as the surplus is zero.
 */
#ifndef PAGERAIL_OPTIONS_H
#define PAGERAIL_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to do when rounds stop shrinking although the guest is throttled as far as allowed. */
enum pagerail_stall {
    PAGERAIL_STALL_ABORT = 0, /* fail with the numbers that explain why; the guest runs on here */
    PAGERAIL_STALL_FORCE = 1, /* switch over all the same and exceed the downtime budget */
};

/* What carries rdma:host:port. */
enum pagerail_fabric {
    PAGERAIL_FABRIC_AUTO = 0,  /* RDMA devices if one is usable; else, and for loopback addresses,
                                  the same-host fabric, if the host is this machine */
    PAGERAIL_FABRIC_VERBS = 1, /* RDMA devices */
    PAGERAIL_FABRIC_LOCAL = 2, /* the same-host fabric; any other host is refused */
};

#define PAGERAIL_RAILS_MAX 256 /* bytes, the terminating 0 among them */

struct pagerail_options {
    size_t size; /* sizeof(struct pagerail_options): PAGERAIL_OPTIONS_INIT sets it */

    /* Either side. */
    uint32_t connect_timeout_ms;   /* each step of connecting and handshake; 0 = 10000 over RDMA
                                      devices, 4000 on one host */
    uint32_t silence_timeout_ms;   /* a peer silent for so long is dead, 300 to 60000; 0 = 8000 over
                                      RDMA devices (a link that was down for 2 s is survived), 3000
                                      on one host */
    uint64_t pin_budget_bytes;     /* guest memory registered at once on this side; 0 = no limit */
    uint32_t registration_threads; /* threads that register memory and scan the dirty log, 1 to 64;
                                      0 = 2 */

    /* Source. */
    uint32_t lanes;        /* data lanes, 1 to 256; 0 = what the fabric suggests */
    uint64_t window_bytes; /* registration window: a power of two, 64 KiB to 1 TiB; 0 = by the
                              guest's pages: 64 MiB for 4 KiB, 256 MiB for 2 MiB, 1 GiB for 1 GiB;
                              smaller when four would not fit the pin budget */

    /* Source, used by pagerail/migrate.h only. */
    uint32_t downtime_budget_ms;    /* switch over when the predicted downtime fits; 0 = 500 */
    uint32_t max_rounds;            /* rounds before a migration counts as stalled; 0 = 60 */
    uint32_t max_throttle_percent;  /* the most the guest may be slowed, 1 to 99; 0 = 90 */
    uint32_t on_stall;              /* enum pagerail_stall */
    uint32_t switchover_timeout_ms; /* the guest resumes here if the destination is not ready so
                                       long after the stop; 0 = 10000 */

    /* Either side, for rdma:host:port. */
    uint32_t fabric;           /* enum pagerail_fabric; both sides must come to the same */
    uint32_t traffic_class;    /* of RoCE packets, 1 to 255: 4 x DSCP; 0 = the host's default */
    uint32_t on_demand_paging; /* 1 = register memory without pinning it where the device can */
    char rails[PAGERAIL_RAILS_MAX]; /* names of the RDMA devices that may be used, with commas
                                       between them; "" = all. Then nothing but devices carries
                                       rdma:host:port, and a connection over another one is refused.
                                       The first connection chooses one of them */
};

#define PAGERAIL_OPTIONS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(struct pagerail_options)                                                    \
    }

#ifdef __cplusplus
}
#endif
#endif
