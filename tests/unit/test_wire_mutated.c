/* SPDX-License-Identifier: BSD-2-Clause */
/* Legal messages with a few bytes changed, and plain noise: a small, repeatable share of what the
 * fuzz targets do, for builds without libFuzzer. */
#include "tests/fuzz/property.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 2000

static uint64_t seed;

static void mutate(uint8_t *bytes, size_t len, struct random *r)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    for (uint64_t n = random_between(r, 1, 4); len && n; n--) {
        uint8_t *byte = &bytes[random_between(r, 0, len < 64 ? len - 1 : 63)];
        if (random_next(r) & 1)
            *byte = values[random_next(r) % sizeof(values)];
        else
            *byte ^= (uint8_t)(1 << random_next(r) % 8);
    }
}

/* In memory of exactly that length, so that ASan sees a read past it. */
static void check(const struct sample *s, const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    const char *broken = s ? property_broken(s, exact, len) : property_broken_message(exact, len);
    free(exact);
    if (broken)
        fail_msg("seed %" PRIu64 ", %s: %s", seed, s ? s->name : "message", broken);
}

static void changed_bytes_are_refused_or_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        struct random r = {seed + i};
        size_t header = sample_header_bytes(s);
        for (int round = 0; round < ROUNDS; round++) {
            union any_message message;
            uint8_t bytes[PR_WIRE_MAX_MESSAGE];
            sample_fill(s, &message, &r);
            int len = s->encode(&message, bytes, sizeof(bytes));
            assert_true(len >= 0);
            mutate(bytes + header, (size_t)len - header, &r);
            check(s, bytes + header, (size_t)len - header);
            if (header) {
                mutate(bytes, (size_t)len, &r);
                check(NULL, bytes, (size_t)len);
            }
        }
    }
}

static void noise_is_refused_or_kept(void **state)
{
    (void)state;
    struct random r = {seed};
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[128];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)random_next(&r);
        size_t len = random_between(&r, 0, sizeof(bytes));
        check(NULL, bytes, len);
        for (unsigned i = 0; i < PR_WIRE_TYPES; i++)
            check(&samples[i], bytes, len);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240612;
    printf("seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_bytes_are_refused_or_kept),
        cmocka_unit_test(noise_is_refused_or_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
