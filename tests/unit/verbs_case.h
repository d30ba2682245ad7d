/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of rdma/verbs against mocked libraries share. */
#ifndef PR_TESTS_UNIT_VERBS_CASE_H
#define PR_TESTS_UNIT_VERBS_CASE_H

#include "base/error.h"
#include "rdma/verbs/verbs.h"
#include "tests/unit/check.h"
#include "tests/unit/mock_verbs.h"

#include <string.h>

#define ADDRESS "192.0.2.1:4444"
#define PATIENCE_MS 30000

static inline int start(void **state)
{
    (void)state;
    mock_verbs_start();
    return 0;
}

static inline int finish(void **state)
{
    (void)state;
    mock_verbs_finish();
    return 0;
}

static inline struct pr_fabric *open_fabric(void)
{
    struct pr_fabric *fabric = NULL;
    if (pr_fabric_verbs_open(NULL, &fabric))
        fail_msg("open: %s", pr_error_message());
    return fabric;
}

static inline int connect_to(struct pr_fabric *fabric, struct pr_lane **out)
{
    return pr_fabric_connect(fabric, ADDRESS, "knock", 5, PATIENCE_MS, NULL, out);
}

static inline void says(const char *text)
{
    if (!strstr(pr_error_message(), text))
        fail_msg("expected '%s' in: %s", text, pr_error_message());
}

#endif
