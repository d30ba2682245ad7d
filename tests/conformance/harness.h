/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every conformance test stands on: the fabric named on the command line, two ends of it in
 * one process, and waits that end with the test rather than never.
 *
 * A test program is started as `conformance_x FABRIC`; harness_main runs its table, or those tests
 * of it that match the pattern in PAGERAIL_TEST_ONLY.
 */
#ifndef PR_TESTS_CONFORMANCE_HARNESS_H
#define PR_TESTS_CONFORMANCE_HARNESS_H

/* cmocka wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rdma/fabric.h"

/* Longer than any wait of a test that passes. */
#define PATIENCE_MS 30000

/* Opens the fabric under test. Fails the test when it cannot. */
struct pr_fabric *harness_open(void);

/* An address to listen at that nothing else uses: the same until harness_fresh_address. */
const char *harness_address(void);
const char *harness_fresh_address(void);

/* The folder of this program's files, removed at its end. */
const char *harness_folder(void);

/* Random numbers of this run; its seed is printed, and set by PAGERAIL_TEST_SEED. */
uint64_t harness_random(void);

/* How often to do what `often` times suits a fast fabric; PAGERAIL_SOAK=1 spares no slow one. */
unsigned harness_times(unsigned often);

/* Two fabrics, a listener, and lanes between them. */
struct ends {
    struct pr_fabric *source; /* connects */
    struct pr_fabric *destination;
    struct pr_listener *listener;
    struct pr_lane *from; /* of source */
    struct pr_lane *to;   /* of destination */
};

void ends_open(struct ends *ends);
void ends_close(struct ends *ends);

/* One more lane between the same two fabrics. */
void ends_connect(struct ends *ends, struct pr_lane **from, struct pr_lane **to);

/* Memory with a registration. */
struct window {
    uint8_t *bytes;
    uint64_t len;
    struct pr_mr *mr;
};

void window_open(struct window *window, struct pr_fabric *fabric, uint64_t len, unsigned access);
void window_close(struct window *window);

/* A whole or partial transfer between two windows at equal offsets. */
struct pr_rma window_rma(const struct window *local, const struct window *remote, uint64_t offset,
                         uint64_t len, uint64_t tag);

/* The next completion, sleeping by arm and fd; or the lane's failure (negative). */
int lane_next(struct pr_lane *lane, struct pr_completion *out);

/* The same, and it must be a success of this kind. */
struct pr_completion lane_expect(struct pr_lane *lane, enum pr_op op);

/* Polls until the lane fails, giving received buffers back; returns the failure. */
int lane_until_failed(struct pr_lane *lane);

/* How many descriptors this process has open. */
unsigned count_fds(void);

#define assert_ok(expression) assert_int_equal(expression, 0)

int harness_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests,
                 size_t count);

#endif
