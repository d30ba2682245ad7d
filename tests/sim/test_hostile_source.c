/* SPDX-License-Identifier: BSD-2-Clause */
/* A hostile source against the library's destination: tests/sim/siege.h says what must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/siege_table.h"

static struct seeded numbers;

static unsigned effort(unsigned usual)
{
    return (unsigned)(world_seed_end(usual) - world_seed_first());
}

static void every_deed(void **state)
{
    (void)state;
    siege_every_deed(FOE_SOURCE, effort(2), &numbers);
}

static void storms(void **state)
{
    (void)state;
    siege_storms(FOE_SOURCE, effort(100), &numbers);
}

int main(void)
{
    numbers = seeded_start();
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_deed), cmocka_unit_test(storms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
