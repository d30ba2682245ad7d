/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/fabrics.h"

#include "rdma/fault/fault.h"
#include "rdma/local/local.h"
#include "rdma/verbs/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void file_address(char *out, size_t size, const char *folder, unsigned n)
{
    snprintf(out, size, "%s/%u", folder, n);
}

/* An address of an RDMA device of this host, which the tests connect to themselves. */
#define RDMA_ADDRESS "PAGERAIL_TEST_RDMA_ADDRESS"
#define FIRST_PORT 20000u

/* Ports that nobody has used for a while, whatever process this is. */
static void port_address(char *out, size_t size, const char *folder, unsigned n)
{
    (void)folder;
    const char *host = getenv(RDMA_ADDRESS);
    unsigned port = FIRST_PORT + ((unsigned)getpid() * 64 + n) % 20000;
    snprintf(out, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

static const char *why_no_rdma(void)
{
    return getenv(RDMA_ADDRESS) ? NULL
                                : "set " RDMA_ADDRESS " to the address of an RDMA device of this "
                                  "host (scripts/rig has one)";
}

static int open_verbs(struct pr_fabric **out)
{
    return pr_fabric_verbs_open(NULL, out);
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
    {"local", pr_fabric_local_open, file_address, NULL, false},
    {"fault-over-local", open_fault_over_local, file_address, NULL, false},
    /* Where the tests run, its devices are emulated ones. */
    {"verbs", open_verbs, port_address, why_no_rdma, true},
};

const struct test_fabric *test_fabric_find(const char *name)
{
    for (size_t i = 0; i < sizeof(fabrics) / sizeof(fabrics[0]); i++)
        if (!strcmp(fabrics[i].name, name))
            return &fabrics[i];
    return NULL;
}
