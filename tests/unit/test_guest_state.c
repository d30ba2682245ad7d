/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's device state: what is encoded is decoded, and a hostile peer gets nothing past it. */
#include "cli/guest_state.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct seeded rng;
static uint8_t bytes[PR_GUEST_STATE_BYTES_MAX];

static struct pr_guest_state some_state(uint32_t threads)
{
    struct pr_guest_state state;
    memset(&state, 0, sizeof(state));
    state.plan = (struct pr_guest_plan){.seed = seeded_next(&rng),
                                        .pattern = PR_GUEST_ZIPF,
                                        .fill = PR_GUEST_FILL_MIXED,
                                        .threads = threads,
                                        .rate_Bps = 500u << 20};
    state.len_bytes = 4ull << 30;
    state.stopped_ns = seeded_next(&rng);
    pr_boot_id(state.boot_id);
    for (uint32_t i = 0; i < threads; i++) {
        state.thread[i].made = seeded_below(&rng, PR_GUEST_WRITES_MAX + 1);
        state.thread[i].beat_ns = seeded_next(&rng);
    }
    return state;
}

static size_t encode(const struct pr_guest_state *state)
{
    int len = pr_guest_state_encode(state, bytes, sizeof(bytes));
    assert_true(len > 0);
    return (size_t)len;
}

static void test_goes_both_ways(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 17, PR_GUEST_THREADS_MAX};
    for (unsigned i = 0; i < 4; i++) {
        struct pr_guest_state in = some_state(threads[i]), out;
        memset(&out, 0, sizeof(out));
        assert_int_equal(pr_guest_state_decode(&out, bytes, encode(&in)), 0);
        assert_memory_equal(out.thread, in.thread, sizeof(in.thread));
        assert_string_equal(out.boot_id, in.boot_id);
        assert_memory_equal(&out.plan, &in.plan, sizeof(in.plan));
        assert_int_equal(out.len_bytes, in.len_bytes);
        assert_int_equal(out.stopped_ns, in.stopped_ns);
    }
}

static void expect_refused(size_t len)
{
    struct pr_guest_state out, before;
    memset(&before, 0x5a, sizeof(before));
    out = before;
    assert_int_equal(pr_guest_state_decode(&out, bytes, len), -EPROTO);
    assert_memory_equal(&out, &before, sizeof(out));
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct pr_guest_state in = some_state(3);
    size_t len = encode(&in);
    for (size_t cut = 0; cut < len; cut++)
        expect_refused(cut);
    expect_refused(len + 1);
}

static void test_fields_out_of_range_are_refused(void **state)
{
    (void)state;
    struct pr_guest_state good = some_state(2), in;
    in = good;
    in.plan.threads = 0;
    expect_refused(encode(&in));
    in = good;
    in.plan.pattern = PR_GUEST_PATTERNS;
    expect_refused(encode(&in));
    in = good;
    in.plan.fill = PR_GUEST_FILLS;
    expect_refused(encode(&in));
    in = good;
    in.plan.rate_Bps = UINT64_MAX;
    expect_refused(encode(&in));
    in = good;
    in.thread[1].made = PR_GUEST_WRITES_MAX + 1;
    expect_refused(encode(&in));
    in = good;
    strcpy(in.boot_id, "\x1b[2J");
    expect_refused(encode(&in));
}

static void test_another_version_is_named(void **state)
{
    (void)state;
    struct pr_guest_state in = some_state(1);
    size_t len = encode(&in);
    bytes[0] = 99;
    expect_refused(len);
}

/* Random damage: whatever decodes is in its ranges. */
static void test_damage_never_gives_a_value_out_of_range(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct pr_guest_state in = some_state(1 + (uint32_t)seeded_below(&rng, 4)), out;
        size_t len = encode(&in);
        for (unsigned n = 0; n < 3; n++)
            bytes[seeded_below(&rng, len)] = (uint8_t)seeded_next(&rng);
        if (pr_guest_state_decode(&out, bytes, len))
            continue;
        assert_non_null(pr_guest_pattern_name(out.plan.pattern));
        assert_non_null(pr_guest_fill_name(out.plan.fill));
        assert_in_range(out.plan.threads, 1, PR_GUEST_THREADS_MAX);
        assert_non_null(memchr(out.boot_id, 0, sizeof(out.boot_id)));
        for (uint32_t t = 0; t < out.plan.threads; t++)
            assert_in_range(out.thread[t].made, 0, PR_GUEST_WRITES_MAX);
    }
}

static void test_a_small_buffer_is_refused(void **state)
{
    (void)state;
    struct pr_guest_state in = some_state(PR_GUEST_THREADS_MAX);
    assert_int_equal(pr_guest_state_encode(&in, bytes, 100), -EMSGSIZE);
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_both_ways),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_fields_out_of_range_are_refused),
        cmocka_unit_test(test_another_version_is_named),
        cmocka_unit_test(test_damage_never_gives_a_value_out_of_range),
        cmocka_unit_test(test_a_small_buffer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
