/* SPDX-License-Identifier: BSD-2-Clause */
/* The fabrics that the suite knows, by name. */
#ifndef PR_TESTS_CONFORMANCE_FABRICS_H
#define PR_TESTS_CONFORMANCE_FABRICS_H

#include "rdma/fabric.h"

#include <stdbool.h>
#include <stddef.h>

struct test_fabric {
    const char *name;
    int (*open)(struct pr_fabric **out);
    /* The n-th address to listen at; a fabric that needs a file puts it into `folder`. */
    void (*address)(char *out, size_t size, const char *folder, unsigned n);
    /* Why it cannot be tested here; NULL (or no function): it can. */
    const char *(*missing)(void);
    bool slow; /* what repeats a step many times repeats it less often */
};

const struct test_fabric *test_fabric_find(const char *name);

#endif
