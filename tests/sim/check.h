/* SPDX-License-Identifier: BSD-2-Clause */
/* Verdicts in cmocka tests. */
#ifndef PR_SIM_CHECK_H
#define PR_SIM_CHECK_H

#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* cmocka cuts messages off at 1024 bytes, so the text goes to stderr by itself. */
static inline void assert_run_ok(const struct world_verdict *verdict)
{
    if (verdict->ok)
        return;
    fprintf(stderr, "%s\n", verdict->text);
    fail();
}

static inline void assert_run_failed(const struct world_verdict *verdict, const char *words)
{
    assert_false(verdict->ok);
    if (strstr(verdict->text, words))
        return;
    fprintf(stderr, "'%s' is missing in: %s\n", words, verdict->text);
    fail();
}

#endif
