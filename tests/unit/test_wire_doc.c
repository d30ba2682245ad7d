/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/wire.md keeps step with wire/messages.h: every message with its number, every limit with its
 * value, every limit that the header defines. */
#include "wire/codec.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_BYTES (256 * 1024)

static char *page, *header;

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, FILE_BYTES);
    assert_non_null(file);
    assert_non_null(text);
    size_t len = fread(text, 1, FILE_BYTES - 1, file);
    assert_true(len > 0 && len < FILE_BYTES - 1);
    fclose(file);
    return text;
}

static void expect(const char *text)
{
    if (!strstr(page, text))
        fail_msg("docs/wire.md has no \"%s\"", text);
}

static void every_type_stands_in_the_table(void **state)
{
    (void)state;
    char row[64];
    for (unsigned type = 1; type < PR_WIRE_TYPES; type++) {
        snprintf(row, sizeof(row), "\n| %u | `%s` |", type, pr_wire_name(type));
        expect(row);
    }
    snprintf(row, sizeof(row), "\n| %u |", PR_WIRE_TYPES);
    assert_null(strstr(page, row));
}

static void every_type_has_a_layout(void **state)
{
    (void)state;
    for (unsigned type = 1; type < PR_WIRE_TYPES; type++) {
        char heading[64];
        snprintf(heading, sizeof(heading), "**%s**", pr_wire_name(type));
        expect(heading);
    }
    expect("**knock**");
}

#define LIMIT(name)                                                                                \
    {                                                                                              \
#name, name                                                                                \
    }

static const struct limit {
    const char *name;
    uint64_t value;
} limits[] = {
    LIMIT(PR_WIRE_KNOCK_BYTES),      LIMIT(PR_WIRE_HEADER_BYTES),
    LIMIT(PR_WIRE_MAX_MESSAGE),      LIMIT(PR_WIRE_MIN_MESSAGE),
    LIMIT(PR_WIRE_MAX_REGIONS),      LIMIT(PR_WIRE_MAX_NAME),
    LIMIT(PR_WIRE_MAX_REGION_BYTES), LIMIT(PR_WIRE_MAX_LANES),
    LIMIT(PR_WIRE_MAX_RAILS),        LIMIT(PR_WIRE_MAX_RAIL_NAME),
    LIMIT(PR_WIRE_MIN_WINDOW_BYTES), LIMIT(PR_WIRE_MAX_WINDOW_BYTES),
    LIMIT(PR_WIRE_MIN_RECV_DEPTH),   LIMIT(PR_WIRE_MIN_SILENCE_MS),
    LIMIT(PR_WIRE_MAX_REASON),       LIMIT(PR_WIRE_MAX_ZERO_RANGES),
    LIMIT(PR_WIRE_MAX_WANTED),       LIMIT(PR_WIRE_TOKEN_BYTES),
    LIMIT(PR_WIRE_MAX_STREAM_BYTES),
};

static void every_limit_stands_with_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char row[96];
        snprintf(row, sizeof(row), "| `%s` | %" PRIu64 " |", limits[i].name, limits[i].value);
        expect(row);
    }
    char version[64];
    snprintf(version, sizeof(version), "This build speaks version %d.", PR_WIRE_VERSION);
    expect(version);
}

/* A limit that is new in the header must come into the table above, and so onto the page. */
static void every_define_of_the_header_is_known_here(void **state)
{
    (void)state;
    unsigned found = 0;
    for (const char *at = header; (at = strstr(at, "#define PR_WIRE_M")); at++) {
        const char *name = at + strlen("#define ");
        size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        if (strncmp(name, "PR_WIRE_MAX", 11) != 0 && strncmp(name, "PR_WIRE_MIN", 11) != 0)
            continue;
        found++;
        bool known = false;
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
            known |= strlen(limits[i].name) == len && !strncmp(limits[i].name, name, len);
        if (!known)
            fail_msg("%.*s is not in this test's table", (int)len, name);
    }
    assert_true(found > 10);
}

static int setup(void **state)
{
    (void)state;
    page = read_file(PR_SOURCE_ROOT "/docs/wire.md");
    header = read_file(PR_SOURCE_ROOT "/wire/messages.h");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(page);
    free(header);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_stands_in_the_table),
        cmocka_unit_test(every_type_has_a_layout),
        cmocka_unit_test(every_limit_stands_with_its_value),
        cmocka_unit_test(every_define_of_the_header_is_known_here),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
