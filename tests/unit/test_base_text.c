/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include "tests/unit/check.h"

#include <string.h>

static const struct {
    const char *in;
    const char *out; /* equal to `in` when that is clean */
} samples[] = {
    {"", ""},
    {"plain ~", "plain ~"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"\xe2\x82\xac \xf0\x9f\x9a\x82", "\xe2\x82\xac \xf0\x9f\x9a\x82"},
    {"\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80", "\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80"},
    {"a\nb\tc", "a?b?c"},
    {"\x1b[31m", "?[31m"},
    {"\x7f", "?"},
    {"\x9b", "?"},                  /* a bare control of the upper half */
    {"\xc2\x9b.", "??."},           /* the same, encoded */
    {"\xc2\xa0.", "\xc2\xa0."},     /* the first character after those */
    {"\xc0\x8a.", "??."},           /* a newline, over-long */
    {"\xe0\x9f\xbf.", "???."},      /* over-long */
    {"\xf0\x8f\xbf\xbf.", "????."}, /* over-long */
    {"\xed\xa0\x80.", "???."},      /* a surrogate */
    {"\xf4\x90\x80\x80.", "????."}, /* beyond the last character */
    {"\xff\xfe", "??"},             /* never in UTF-8 */
    {"\xe2\x28\xa1", "?(?"},        /* broken in the middle */
    {"ok \xc3", "ok "},             /* cut off at the end */
    {"ok \xf0\x9f\x9a", "ok "},     /* cut off at the end */
    {"ok \xe2\x82\xac\xe2\x82", "ok \xe2\x82\xac"},
};

static void judges_and_cleans(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char text[64];
        strcpy(text, samples[i].in);
        bool was_clean = !strcmp(samples[i].in, samples[i].out);
        assert_int_equal(pr_text_is_clean(text, strlen(text)), was_clean);
        pr_text_clean(text);
        assert_string_equal(text, samples[i].out);
        assert_true(pr_text_is_clean(text, strlen(text)));
    }
}

static void nul_is_not_clean(void **state)
{
    (void)state;
    assert_false(pr_text_is_clean("a\0b", 3));
}

/* Whatever the bytes are, cleaning ends in clean text of no greater length. */
static void cleans_anything(void **state)
{
    struct draw draw = draw_open(1);
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char text[24];
        size_t len = draw_below(&draw, sizeof(text));
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(draw_below(&draw, 2) ? 0x80 + draw_below(&draw, 128)
                                                  : 1 + draw_below(&draw, 127));
        text[len] = '\0';
        pr_text_clean(text);
        assert_true(strlen(text) <= len);
        assert_true(pr_text_is_clean(text, strlen(text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_and_cleans),
        cmocka_unit_test(nul_is_not_clean),
        cmocka_unit_test(cleans_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
