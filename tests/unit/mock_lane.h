/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fabric in memory that does nothing by itself: what is posted on a lane is recorded, and the
 * test says what completes, what arrives and what fails. Lanes outlive their close, so that a test
 * can look at what was posted; closing one twice, or leaving one or a registration behind, fails
 * it.
 *
 * THREADS. Any: a test may play the peer while the library's own threads work on the lanes.
 */
#ifndef PR_TESTS_UNIT_MOCK_LANE_H
#define PR_TESTS_UNIT_MOCK_LANE_H

#include "rdma/fabric.h"
#include "wire/codec.h"

#include <pthread.h>
#include <stdatomic.h>

struct mock_post {
    enum pr_op op; /* PR_OP_WRITE or PR_OP_SEND */
    bool signaled;
    bool flushed;
    uint64_t tag;
    struct pr_rma rma; /* of a write */
    uint8_t *bytes;    /* of a send: the whole message */
    uint32_t len;
};

struct mock_fabric;

/* True on a thread while the mock itself allocates, for tests in which memory is short for the
 * library alone. */
extern _Thread_local volatile bool mock_allocates;

struct mock_lane {
    struct pr_lane base; /* first: cast back */
    struct mock_fabric *mock;
    struct mock_lane *next;
    int event; /* raised while there is something to poll */
    struct mock_post *posts;
    uint32_t posted, completed; /* posts ever, and those the test completed */
    struct pr_completion *arrivals;
    uint32_t arrived, polled;
    int post_err;    /* what the next posts return; 0 = they succeed */
    int failed;      /* what poll returns behind the last arrival; 0 = it lives */
    uint32_t out;    /* received buffers that the caller holds */
    uint32_t number; /* in the order of opening, from 0 */
    bool shut, closed;
    void *peer;            /* the test's own, as is: */
    _Atomic uint32_t owed; /* credits to give back */
};

struct mock_fabric {
    struct pr_fabric base; /* first: cast back */
    pthread_mutex_t lock;  /* of all lanes */
    pthread_cond_t news;   /* something was posted, polled or closed */
    struct mock_lane *lanes;
    uint32_t lane_count;
    bool closed;
    _Atomic int registered; /* windows now */
    _Atomic int reg_calls;
    _Atomic int reg_err; /* what reg returns; 0 = it succeeds */
    int reg_ms;          /* how long it takes */
    bool all_empty;      /* registering ahead of need never pays */

    /* Of a test that plays whole sessions; NULL: nobody is there. Called with no lock held. */
    int (*connect)(struct mock_fabric *fabric, const void *knock, uint32_t len,
                   struct mock_lane **out);
    int (*accept)(struct mock_fabric *fabric, pr_admit_fn admit, void *opaque,
                  struct mock_lane **out);
    /* After each post, on the thread that posted. */
    void (*on_post)(struct mock_lane *lane, const struct mock_post *post);
    void *peer; /* the test's own */
};

/* send_depth 64, recv_depth 16, writes up to 1 MiB, one lane suggested: change it before use. */
struct mock_fabric *mock_fabric_new(void);

/* Frees it and its lanes; fails the test when the library left any open. */
void mock_fabric_free(struct mock_fabric *fabric);

/* Opens it in the place of the scheme "mock" (transport/uri.h). */
void mock_fabric_override(struct mock_fabric *fabric);

struct mock_lane *mock_lane_new(struct mock_fabric *fabric);

/* A message of the peer arrives. len: what an encoder returned. */
void mock_deliver(struct mock_lane *lane, const void *message, int len);
void mock_deliver_empty(struct mock_lane *lane, enum pr_wire_type type, uint16_t credits);

/* Any completion, as it stands. */
void mock_deliver_raw(struct mock_lane *lane, struct pr_completion completion);

/* Completes the next `count` posts: signalled ones are reported, with all before them. */
void mock_complete(struct mock_lane *lane, uint32_t count);

/* The lane fails behind what has arrived. */
void mock_fail(struct mock_lane *lane, int err);

/* What posts return from now on: -EAGAIN is a full lane; 0 lets them go again. */
void mock_post_err(struct mock_lane *lane, int err);

/* How many posts of the lane are messages of that type / writes. */
uint32_t mock_messages(struct mock_lane *lane, enum pr_wire_type type);
uint32_t mock_writes(struct mock_lane *lane);

/* The n-th message (from 0) of that type: its header, and *body; fails the test if there is none.
 */
struct pr_wire_header mock_message(struct mock_lane *lane, enum pr_wire_type type, uint32_t n,
                                   const void **body);

/* Waits until the library has polled all that arrived. */
void mock_wait_polled(struct mock_lane *lane);

/* Waits until n messages of that type were posted; fails the test after ten seconds. */
void mock_wait_messages(struct mock_lane *lane, enum pr_wire_type type, uint32_t n);

#endif
