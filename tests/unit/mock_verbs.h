/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libibverbs and librdmacm for tests: the symbols that rdma/verbs uses, without a device. It counts
 * what is alive, fails a chosen call, plays the peer, and stops the test when objects are destroyed
 * in an order that the real libraries forbid.
 */
#ifndef PR_TESTS_UNIT_MOCK_VERBS_H
#define PR_TESTS_UNIT_MOCK_VERBS_H

#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>

#define MOCK_DEVICES 3 /* that connections can go over */
#define MOCK_SENT_MAX 1024

/* What the peer answers to rdma_connect or rdma_accept. */
struct mock_answer {
    enum rdma_cm_event_type type;
    int status;
    uint8_t data[200];
    uint8_t len;
    bool silent; /* nothing comes */
};

/* A request as the device got it. */
struct mock_sent {
    struct ibv_send_wr wr;
    struct ibv_sge sge;
    unsigned burst; /* the n-th ibv_post_send since the start */
};

struct mock_verbs {
    /* Set by the test. */
    int devices;      /* of them that are listed */
    int route_device; /* the device that connections go over */
    int fail_at;      /* the n-th call from now fails; 0 never */
    int fail_errno;
    bool peer_left;      /* before its request was accepted */
    bool inline_refused; /* queue pairs with inline data are refused */
    int post_errno;      /* ibv_post_send fails */
    struct ibv_device_attr device_attr;
    struct ibv_port_attr port_attr;
    struct ibv_odp_caps odp_caps;
    struct mock_answer address, route, connect, accept;
    int address_misses; /* so often an address is not found in time */
    const char *sysfs;  /* the folder of every device */

    /* Read by the test. */
    int calls; /* that can fail, so far */
    int live;  /* objects and unacknowledged events */
    struct mock_sent sent[MOCK_SENT_MAX];
    unsigned sent_count, bursts;
    unsigned receives; /* that the device has */
    unsigned disconnects, notifies;
    uint8_t private_data[256]; /* of the last connect or accept */
    uint8_t private_len;
    uint8_t reject_data[256]; /* of the last reject */
    uint8_t reject_len;
    unsigned rejects;
    int reg_access;        /* of the last registration */
    uint8_t traffic_class; /* that was set last; 0 none */
};
extern struct mock_verbs mock;

/* Sane devices, a friendly peer, no failures. */
void mock_verbs_start(void);

/* Stops the test if anything is left alive. */
void mock_verbs_finish(void);

/* A connection request comes in at the listener. */
void mock_verbs_request(const void *data, uint8_t len);

/* An event comes in on the newest connection. */
void mock_verbs_event(enum rdma_cm_event_type type, int status);

/* A completion comes in; and wakes whoever is armed. */
void mock_verbs_complete(const struct ibv_wc *wc);

/* The device says something. For a queue pair's events the newest one is meant. */
void mock_verbs_device_event(enum ibv_event_type type);

#endif
