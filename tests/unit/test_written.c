/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/written.h: what may be at the destination, from both starts, against an array. */
#include "transport/written.h"

#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define PAGES 1000

static void none_is_refused(void **state)
{
    (void)state;
    struct pr_written written = {0};
    assert_int_equal(pr_written_open(&written, 0, true), -EINVAL);
    pr_written_close(&written);
}

/* All that may be there comes out, once, and nothing of other pages. */
static void take(struct pr_written *written, bool model[PAGES], uint64_t first, uint64_t pages)
{
    uint64_t bits[PR_WRITTEN_WORDS], base = first - first % PR_WORD_BITS;
    memset(bits, 0xff, sizeof(bits));
    pr_written_take(written, first, pages, bits);
    uint64_t words = pr_bits_words(first - base + pages);
    for (uint64_t i = 0; i < words * PR_WORD_BITS; i++) {
        bool inside = base + i >= first && base + i < first + pages;
        assert_int_equal(pr_bits_test(bits, i), inside && model[base + i]);
    }
    memset(model + first, 0, pages * sizeof(*model));
}

static void set(struct pr_written *written, bool model[PAGES], uint64_t first, uint64_t pages)
{
    pr_written_set(written, first, pages);
    memset(model + first, 1, pages * sizeof(*model));
}

static void any_order(struct draw *draw, bool fresh)
{
    struct pr_written written;
    bool model[PAGES];
    memset(model, !fresh, sizeof(model));
    assert_int_equal(pr_written_open(&written, PAGES, fresh), 0);
    for (unsigned turn = 0; turn < 2000; turn++) {
        uint64_t pages = 1 + draw_below(draw, PR_WRITTEN_MAX_PAGES);
        uint64_t first = draw_below(draw, PAGES - pages + 1);
        (draw_below(draw, 2) ? set : take)(&written, model, first, pages);
    }
    pr_written_close(&written);
    pr_written_close(&written);
}

static void a_fresh_destination(void **state)
{
    (void)state;
    struct draw draw = draw_open(1);
    any_order(&draw, true);
}

static void a_destination_that_holds_anything(void **state)
{
    (void)state;
    struct draw draw = draw_open(2);
    any_order(&draw, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_refused),
        cmocka_unit_test(a_fresh_destination),
        cmocka_unit_test(a_destination_that_holds_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
