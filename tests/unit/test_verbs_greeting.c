/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/greeting.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

static void greetings_survive_padding(void **state)
{
    (void)state;
    uint8_t sent[PR_VERBS_MAX_PRIVATE], wire[256];
    for (unsigned i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)(i + 1);
    for (uint32_t len = 0; len <= sizeof(sent); len++) {
        const uint8_t *bytes;
        uint32_t got;
        memset(wire, 0, sizeof(wire));
        assert_int_equal(pr_verbs_greeting_encode(PR_VERBS_REQUEST, 0, sent, len, wire), 8 + len);
        assert_int_equal(pr_verbs_greeting_decode(wire, 56, PR_VERBS_REQUEST, &bytes, &got), 0);
        assert_int_equal(got, len);
        assert_memory_equal(bytes, sent, len);
    }
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char sentence[400];
    uint8_t wire[PR_VERBS_MAX_GREETING];
    const uint8_t *bytes;
    uint32_t len;
    memset(sentence, 'x', sizeof(sentence));
    assert_int_equal(
        pr_verbs_greeting_encode(PR_VERBS_REFUSAL, 0, sentence, sizeof(sentence), wire), 148);
    assert_int_equal(pr_verbs_greeting_decode(wire, 148, PR_VERBS_REFUSAL, &bytes, &len), 0);
    assert_int_equal(len, PR_VERBS_MAX_SENTENCE);
}

static void others_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        uint8_t size;
        const char *says;
    } table[] = {
        {{0, 0, 0, 1, 0, 0, 0, 0}, 8, "QEMU's own rdma"},
        {{0, 0, 0, 1, 0, 0, 0, 1}, 12, "QEMU's own rdma"},
        {{0}, 0, "no pagerail"},
        {{0}, 12, "no pagerail"},
        {{'P', 'g', 'R', 'l', 1, 1, 0}, 7, "no pagerail"},
        {{'p', 'g', 'R', 'l', 1, 1, 0, 0}, 8, "no pagerail"},
        {{'P', 'g', 'R', 'l', 2, 1, 0, 0}, 8, "same release"},
        {{'P', 'g', 'R', 'l', 1, 2, 0, 0}, 8, "malformed"},
        {{'P', 'g', 'R', 'l', 1, 1, 1, 0}, 8, "malformed"},
        {{'P', 'g', 'R', 'l', 1, 1, 5, 0}, 12, "malformed"},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        const uint8_t *bytes;
        uint32_t len;
        assert_int_equal(
            pr_verbs_greeting_decode(table[i].bytes, table[i].size, PR_VERBS_REQUEST, &bytes, &len),
            -EPROTO);
        if (!strstr(pr_error_message(), table[i].says))
            fail_msg("case %u gives: %s", i, pr_error_message());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greetings_survive_padding),
        cmocka_unit_test(long_sentences_are_cut),
        cmocka_unit_test(others_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
