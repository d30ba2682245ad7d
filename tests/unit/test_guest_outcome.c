/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON that --json writes: complete, exchanged between the sides without loss, and safe against
 * whatever a peer sends instead. */
#include "cli/outcome.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct seeded rng;

static const struct pr_guest_options source_options = {
    .role = PR_GUEST_SOURCE,
    .len_bytes = 1u << 30,
    .page_bytes = 4096,
    .plan = {.seed = UINT64_MAX, .pattern = PR_GUEST_HOT, .threads = 3, .rate_Bps = 5},
};
static const struct pr_guest_options destination_options = {
    .role = PR_GUEST_DESTINATION, .len_bytes = 1u << 30, .page_bytes = 4096};

static struct pr_outcome full_source(void)
{
    struct pr_outcome o;
    pr_outcome_init(&o, &source_options);
    struct pagerail_stats stats = {.bytes_sent = 1000,
                                   .pages_sent = 20,
                                   .zero_pages = 30,
                                   .rtt_ns = 4500,
                                   .first_write_ns = 7250000,
                                   .lanes = 2,
                                   .fabric = "local"};
    pr_outcome_stats(&o, &stats);
    for (uint32_t i = 0; i < 100; i++) {
        struct pagerail_round round = {.bytes = i,
                                       .pages = i + 1,
                                       .zero_pages = i + 2,
                                       .duration_ns = (uint64_t)i * 1000000,
                                       .bandwidth_Bps = i + 4,
                                       .dirty_bytes = i + 5,
                                       .dirty_rate_Bps = i + 6,
                                       .predicted_downtime_ns = i ? i * 1000u : UINT64_MAX,
                                       .throttle_percent = i};
        pr_outcome_round(&o, &round);
    }
    struct pagerail_rail rail = {"rxe0", PAGERAIL_RAIL_DOWN, 2, 1000, 3};
    pr_outcome_rail(&o, &rail);
    o.source = (struct pr_outcome_side){1.5, 100, 0, 2.25};
    return o;
}

static struct json_object *parsed(const struct pr_outcome *o)
{
    char *text = pr_outcome_text(o, true);
    assert_non_null(text);
    struct json_object *object = json_tokener_parse(text);
    assert_non_null(object);
    free(text);
    return object;
}

static void test_every_promised_key_is_there(void **state)
{
    (void)state;
    static const char *const keys[] = {"schema",       "outcome",           "error",
                                       "fabric",       "verified",          "total_ms",
                                       "downtime_ms",  "downtime_guest_ms", "bytes_sent",
                                       "pages_sent",   "zero_pages",        "rounds",
                                       "cpu_s_source", "cpu_s_destination", "beside_downtime_ms",
                                       "first_byte_ms"};
    static const char *const round_keys[] = {"bytes",
                                             "pages",
                                             "zero_pages",
                                             "duration_ms",
                                             "bandwidth_Bps",
                                             "dirty_rate_Bps",
                                             "predicted_downtime_ms",
                                             "throttle_percent"};
    struct pr_outcome o = full_source();
    struct json_object *object = parsed(&o), *rounds, *rails;
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_true(json_object_object_get_ex(object, keys[i], NULL));
    assert_true(json_object_object_get_ex(object, "rounds", &rounds));
    assert_int_equal(json_object_array_length(rounds), 100);
    for (unsigned i = 0; i < sizeof(round_keys) / sizeof(round_keys[0]); i++)
        assert_true(
            json_object_object_get_ex(json_object_array_get_idx(rounds, 7), round_keys[i], NULL));
    assert_true(json_object_object_get_ex(object, "rails", &rails));
    assert_string_equal(json_object_to_json_string_ext(rails, JSON_C_TO_STRING_PLAIN),
                        "[{\"name\":\"rxe0\",\"state\":\"down\",\"lanes\":2,\"bytes\":1000,"
                        "\"retries\":3}]");
    json_object_put(object);
    pr_outcome_free(&o);
}

static void test_what_is_not_known_is_null(void **state)
{
    (void)state;
    struct pr_outcome o;
    pr_outcome_init(&o, &destination_options);
    struct json_object *object = parsed(&o), *value;
    static const char *const keys[] = {"error",        "fabric",      "verified",
                                       "total_ms",     "downtime_ms", "bytes_sent",
                                       "cpu_s_source", "downtime",    "first_byte_ms"};
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_true(json_object_object_get_ex(object, keys[i], &value));
        assert_null(value);
    }
    json_object_put(object);
}

static void assert_same_round(const struct pagerail_round *a, const struct pagerail_round *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->pages, b->pages);
    assert_int_equal(a->zero_pages, b->zero_pages);
    assert_int_equal(a->duration_ns, b->duration_ns);
    assert_int_equal(a->bandwidth_Bps, b->bandwidth_Bps);
    assert_int_equal(a->dirty_bytes, b->dirty_bytes);
    assert_int_equal(a->dirty_rate_Bps, b->dirty_rate_Bps);
    assert_int_equal(a->predicted_downtime_ns, b->predicted_downtime_ns);
    assert_int_equal(a->throttle_percent, b->throttle_percent);
}

static void test_the_source_tells_the_destination(void **state)
{
    (void)state;
    struct pr_outcome sent = full_source(), o;
    pr_outcome_init(&o, &destination_options);
    o.destination.cpu_s = 7;
    char *text = pr_outcome_text(&sent, false);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_SOURCE, text, strlen(text)), 0);
    free(text);
    assert_true(o.bytes_sent == 1000 && o.pages_sent == 20 && o.zero_pages == 30);
    assert_true(o.source.cpu_s == 1.5 && o.source.writes == 100 && o.source.largest_gap_ms == 2.25);
    assert_true(o.first_byte_ms == 7.25);
    assert_true(o.destination.cpu_s == 7);
    assert_int_equal(o.verified, -1);
    assert_int_equal(o.rounds, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_same_round(&o.round[i], &sent.round[i]);
    pr_outcome_free(&sent);
    pr_outcome_free(&o);
}

static void test_the_destination_tells_the_source(void **state)
{
    (void)state;
    struct pr_outcome sent, o = full_source();
    pr_outcome_init(&sent, &destination_options);
    sent.verified = 0;
    sent.downtime_guest_ms = 12.345;
    sent.destination = (struct pr_outcome_side){0.5, 200, 1, 3};
    pr_outcome_fail(&sent, "page 7 is wrong");
    char *text = pr_outcome_text(&sent, false);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_DESTINATION, text, strlen(text)), 0);
    free(text);
    assert_int_equal(o.verified, 0);
    assert_string_equal(o.error, "page 7 is wrong");
    assert_true(o.downtime_guest_ms == 12.345);
    assert_true(o.destination.cpu_s == 0.5 && o.destination.wrong_pages == 1);
    assert_true(o.bytes_sent == 1000 && o.source.cpu_s == 1.5);
    pr_outcome_free(&o);
}

/* Where the clocks are two, each side knows a part of what the guest noticed. */
static void test_a_downtime_of_two_clocks(void **state)
{
    (void)state;
    struct pr_outcome sent, o = full_source();
    pr_outcome_init(&sent, &destination_options);
    sent.beside_downtime_ms = 1.5;
    o.downtime_ms = 40;
    char *text = pr_outcome_text(&sent, false);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_DESTINATION, text, strlen(text)), 0);
    free(text);
    assert_true(isnan(sent.downtime_guest_ms));
    assert_true(o.downtime_guest_ms == 41.5);
    pr_outcome_free(&o);
}

static void test_no_json_changes_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "null",
                                        "{}{}",
                                        "{\"verified\":true",
                                        "{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}",
                                        "{\"a\":\"\xff\"}"};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pr_outcome o;
        pr_outcome_init(&o, &source_options);
        if (pr_outcome_merge(&o, PR_GUEST_DESTINATION, texts[i], strlen(texts[i])) != -EPROTO)
            fail_msg("'%s' was accepted", texts[i]);
        assert_int_equal(o.verified, -1);
    }
}

static void test_wrong_types_stay_unknown(void **state)
{
    (void)state;
    static const char text[] =
        "{\"verified\":1,\"downtime_guest_ms\":\"5\",\"cpu_s_destination\":-1,\"error\":7,"
        "\"guest_at_destination\":[],\"rounds\":{},\"bytes_sent\":1e400,\"pages_sent\":[],"
        "\"zero_pages\":null}";
    struct pr_outcome o;
    pr_outcome_init(&o, &source_options);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_DESTINATION, text, strlen(text)), 0);
    assert_int_equal(o.verified, -1);
    assert_true(isnan(o.downtime_guest_ms) && isnan(o.destination.cpu_s));
    assert_string_equal(o.error, "");
    pr_outcome_init(&o, &destination_options);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_SOURCE, text, strlen(text)), 0);
    assert_true(isnan(o.bytes_sent) && isnan(o.pages_sent) && isnan(o.zero_pages));
    assert_int_equal(o.rounds, 0);
}

static void test_sentences_are_printable_and_cut(void **state)
{
    (void)state;
    char text[3000] = "{\"error\":\"\\u001b[2Jx\\n";
    memset(text + strlen(text), 'y', 2000);
    strcat(text, "\"}");
    struct pr_outcome o;
    pr_outcome_init(&o, &source_options);
    assert_int_equal(pr_outcome_merge(&o, PR_GUEST_DESTINATION, text, strlen(text)), 0);
    assert_int_equal(strlen(o.error), sizeof(o.error) - 1);
    for (const char *at = o.error; *at; at++)
        assert_true((unsigned char)*at >= 0x20);
}

/* Damaged text either is refused or gives an outcome that can be written again. */
static void test_damage_is_survived(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        struct pr_outcome sent = full_source(), o;
        pr_outcome_init(&o, i % 2 ? &source_options : &destination_options);
        char *text = pr_outcome_text(&sent, false);
        size_t len = strlen(text);
        for (unsigned n = 0; n < 4; n++)
            text[seeded_below(&rng, len)] = (char)seeded_next(&rng);
        pr_outcome_merge(&o, i % 2 ? PR_GUEST_DESTINATION : PR_GUEST_SOURCE, text, len);
        free(text);
        json_object_put(parsed(&o));
        pr_outcome_free(&o);
        pr_outcome_free(&sent);
    }
}

static void test_rounds_have_a_limit(void **state)
{
    (void)state;
    struct pr_outcome o;
    pr_outcome_init(&o, &source_options);
    struct pagerail_round round = {.bytes = 1};
    for (uint32_t i = 0; i < PR_OUTCOME_ROUNDS_MAX + 100; i++)
        pr_outcome_round(&o, &round);
    assert_int_equal(o.rounds, PR_OUTCOME_ROUNDS_MAX);
    char *text = pr_outcome_text(&o, false);
    assert_true(strlen(text) < PR_OUTCOME_TEXT_MAX);
    free(text);
    pr_outcome_free(&o);
}

static void test_the_first_sentence_stays(void **state)
{
    (void)state;
    struct pr_outcome o;
    pr_outcome_init(&o, &source_options);
    pr_outcome_fail(&o, "first");
    pr_outcome_fail(&o, "second");
    assert_string_equal(o.error, "first");
}

static void test_the_file_is_whole_or_not_there(void **state)
{
    (void)state;
    char folder[] = "/tmp/pagerail-outcome-XXXXXX", path[64], missing[96];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/out.json", folder);
    struct pr_outcome o = full_source();
    assert_int_equal(pr_outcome_write(&o, path), 0);
    struct json_object *object = json_object_from_file(path);
    assert_non_null(object);
    json_object_put(object);
    snprintf(missing, sizeof(missing), "%s/none/out.json", folder);
    assert_int_equal(pr_outcome_write(&o, missing), -ENOENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* so no temporary file was left */
    pr_outcome_free(&o);
}

int main(void)
{
    rng = seeded_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_promised_key_is_there),
        cmocka_unit_test(test_what_is_not_known_is_null),
        cmocka_unit_test(test_the_source_tells_the_destination),
        cmocka_unit_test(test_the_destination_tells_the_source),
        cmocka_unit_test(test_a_downtime_of_two_clocks),
        cmocka_unit_test(test_no_json_changes_nothing),
        cmocka_unit_test(test_wrong_types_stay_unknown),
        cmocka_unit_test(test_sentences_are_printable_and_cut),
        cmocka_unit_test(test_damage_is_survived),
        cmocka_unit_test(test_rounds_have_a_limit),
        cmocka_unit_test(test_the_first_sentence_stays),
        cmocka_unit_test(test_the_file_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
