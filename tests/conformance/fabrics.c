/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/fabrics.h"

#include "rdma/local/local.h"

#include <stdio.h>
#include <string.h>

static void file_address(char *out, size_t size, const char *folder, unsigned n)
{
    snprintf(out, size, "%s/%u", folder, n);
}

static const struct test_fabric fabrics[] = {
    {"local", pr_fabric_local_open, file_address},
};

const struct test_fabric *test_fabric_find(const char *name)
{
    for (size_t i = 0; i < sizeof(fabrics) / sizeof(fabrics[0]); i++)
        if (!strcmp(fabrics[i].name, name))
            return &fabrics[i];
    return NULL;
}
