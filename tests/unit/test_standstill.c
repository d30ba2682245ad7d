/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/standstill.h: writes that are under way and never complete. */
#include "transport/standstill.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "tests/unit/mock_destination.h"

#include <errno.h>
#include <string.h>

static void only_what_should_move_can_stand_still(void **state)
{
    (void)state;
    static const struct {
        uint64_t now_ns, done_bytes;
        bool under_way;
        uint64_t still_ns;
    } looks[] = {
        {1000, 0, true, 0},   {1500, 0, true, 500}, {1600, 0, false, 0},
        {1900, 0, true, 300}, {2000, 10, true, 0},  {2400, 10, true, 400},
        {2500, 11, true, 0},  {9000, 11, false, 0}, {9100, 11, true, 100},
    };
    struct pr_standstill standstill = {0};
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        uint64_t still_ns = pr_standstill_look(&standstill, looks[i].now_ns, looks[i].done_bytes,
                                               looks[i].under_way);
        if (still_ns != looks[i].still_ns)
            fail_msg("look %zu: %llu", i, (unsigned long long)still_ns);
    }
}

/* The destination answers pings, and no write completes: without this the source waits for ever. */
static void a_session_that_stands_still_fails(void **state)
{
    (void)state;
    struct mock_destination d;
    struct pagerail_options options = {.size = sizeof(options),
                                       .lanes = MOCK_LANES,
                                       .window_bytes = 64 << 10,
                                       .silence_timeout_ms = 300};
    mock_destination_open(&d);
    d.hold_completions = true;
    d.answer_pings = true;
    assert_int_equal(mock_destination_connect(&d, &options), 0);
    assert_int_equal(pagerail_source_push(d.source, 0, 0, PAGERAIL_PAGE_BYTES), 0);
    if (pagerail_source_pending_wait(d.source, 0, 60000) != -ETIMEDOUT)
        fail_msg("%s", pagerail_error_message());
    assert_non_null(strstr(pr_error_message(), "large packets"));
    mock_destination_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_should_move_can_stand_still),
        cmocka_unit_test(a_session_that_stands_still_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
