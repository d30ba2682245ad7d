/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/fabrics.h"

#include "rdma/fault/fault.h"
#include "rdma/local/local.h"

#include <stdio.h>
#include <string.h>

static void file_address(char *out, size_t size, const char *folder, unsigned n)
{
    snprintf(out, size, "%s/%u", folder, n);
}

/* The fault layer with no rules must change nothing. */
static int open_fault_over_local(struct pr_fabric **out)
{
    struct pr_fabric *local;
    int err = pr_fabric_local_open(&local);
    if (err)
        return err;
    err = pr_fabric_fault_open(local, NULL, 0, out);
    if (err)
        pr_fabric_close(local);
    return err;
}

static const struct test_fabric fabrics[] = {
    {"local", pr_fabric_local_open, file_address},
    {"fault-over-local", open_fault_over_local, file_address},
};

const struct test_fabric *test_fabric_find(const char *name)
{
    for (size_t i = 0; i < sizeof(fabrics) / sizeof(fabrics[0]); i++)
        if (!strcmp(fabrics[i].name, name))
            return &fabrics[i];
    return NULL;
}
