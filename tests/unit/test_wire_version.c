/* SPDX-License-Identifier: BSD-2-Clause */
/* Which version two peers speak, and what the user reads when there is none. */
#include "base/error.h"
#include "wire/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NONE (-EPROTONOSUPPORT)

static const struct row {
    uint16_t our_min, our_max, peer_min, peer_max;
    int expected;
    const char *sentence; /* a part of it */
} rows[] = {
    {1, 1, 1, 1, 1, NULL},
    {4, 5, 4, 5, 5, NULL},
    {4, 5, 3, 4, 4, NULL}, /* n with n-1, */
    {3, 4, 4, 5, 4, NULL}, /* both ways */
    {1, 9, 3, 5, 5, NULL}, /* one inside the other, */
    {3, 5, 1, 9, 5, NULL}, /* both ways */
    {UINT16_MAX, UINT16_MAX, 1, UINT16_MAX, UINT16_MAX, NULL},
    {4, 5, 2, 3, NONE, "4 to 5, the peer 2 to 3: upgrade pagerail on the peer's side"},
    {2, 3, 4, 5, NONE, "2 to 3, the peer 4 to 5: upgrade pagerail on this side"},
    {1, 1, 2, 2, NONE, "on this side"},
    {2, 2, 1, 1, NONE, "on the peer's side"},
    {1, 5, 4, 2, NONE, "4 to 2, which is none"},
    {1, 5, 0, 0, NONE, "on the peer's side"},
};

static void the_highest_common_version_is_spoken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        int got = pr_wire_version_choose(r->our_min, r->our_max, r->peer_min, r->peer_max);
        assert_int_equal(got, r->expected);
        if (r->sentence && !strstr(pr_error_message(), r->sentence))
            fail_msg("row %zu: \"%s\" is not in \"%s\"", i, r->sentence, pr_error_message());
    }
}

/* Two sides that both choose must choose the same. */
static void both_sides_choose_alike(void **state)
{
    (void)state;
    for (uint16_t a = 1; a < 6; a++)
        for (uint16_t b = a; b < 6; b++)
            for (uint16_t c = 1; c < 6; c++)
                for (uint16_t d = c; d < 6; d++)
                    assert_int_equal(pr_wire_version_choose(a, b, c, d),
                                     pr_wire_version_choose(c, d, a, b));
}

static void this_build_speaks_the_version_before_its_own(void **state)
{
    (void)state;
    assert_true(PR_WIRE_VERSION_MIN >= 1);
    assert_true(PR_WIRE_VERSION == 1 || PR_WIRE_VERSION_MIN < PR_WIRE_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_common_version_is_spoken),
        cmocka_unit_test(both_sides_choose_alike),
        cmocka_unit_test(this_build_speaks_the_version_before_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
