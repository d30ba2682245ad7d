/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/outcome.h"

#include "base/error.h"
#include "cli/json.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 8

static const struct pr_outcome_side side_unknown = {NAN, NAN, NAN, NAN};

void pr_outcome_init(struct pr_outcome *outcome, const struct pr_guest_options *options)
{
    *outcome = (struct pr_outcome){
        .outcome = "completed",
        .verified = -1,
        .total_ms = NAN,
        .downtime_ms = NAN,
        .downtime_guest_ms = NAN,
        .beside_downtime_ms = NAN,
        .bytes_sent = NAN,
        .pages_sent = NAN,
        .zero_pages = NAN,
        .lanes = NAN,
        .rtt_us = NAN,
        .first_byte_ms = NAN,
        .source = side_unknown,
        .destination = side_unknown,
        .role = options->role,
        .plan_known = options->role != PR_GUEST_DESTINATION,
        .plan = options->plan,
        .len_bytes = options->len_bytes,
        .page_bytes = options->page_bytes,
    };
}

void pr_outcome_free(struct pr_outcome *outcome)
{
    free(outcome->round);
    outcome->round = NULL;
    outcome->rounds = 0;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

void pr_outcome_fail(struct pr_outcome *outcome, const char *sentence)
{
    if (!outcome->error[0])
        copy_text(outcome->error, sizeof(outcome->error), sentence);
}

void pr_outcome_stats(struct pr_outcome *outcome, const struct pagerail_stats *stats)
{
    outcome->bytes_sent = (double)stats->bytes_sent;
    outcome->pages_sent = (double)stats->pages_sent;
    outcome->zero_pages = (double)stats->zero_pages;
    if (stats->first_write_ns)
        outcome->first_byte_ms = (double)stats->first_write_ns / 1e6;
    pr_outcome_session(outcome, stats);
}

void pr_outcome_session(struct pr_outcome *outcome, const struct pagerail_stats *stats)
{
    if (stats->lanes)
        outcome->lanes = stats->lanes;
    if (stats->rtt_ns)
        outcome->rtt_us = (double)stats->rtt_ns / 1e3;
    if (stats->fabric)
        copy_text(outcome->fabric, sizeof(outcome->fabric), stats->fabric);
}

void pr_outcome_rail(struct pr_outcome *outcome, const struct pagerail_rail *rail)
{
    if (outcome->rails < PR_OUTCOME_RAILS_MAX)
        outcome->rail[outcome->rails++] = *rail;
}

void pr_outcome_round(struct pr_outcome *outcome, const struct pagerail_round *round)
{
    uint32_t count = outcome->rounds;
    if (count == PR_OUTCOME_ROUNDS_MAX)
        return;
    if (!(count & (count - 1))) { /* full at powers of two, and at first */
        struct pagerail_round *grown =
            realloc(outcome->round, (count ? 2 * count : 1) * sizeof(*grown));
        if (!grown)
            return;
        outcome->round = grown;
    }
    outcome->round[outcome->rounds++] = *round;
}

/* --- out --- */

/* What json-c owns after it was added; a NULL (no memory) becomes a null in the file. */
static void put(struct json_object *to, const char *key, struct json_object *value)
{
    json_object_object_add(to, key, value);
}

/* Known when not empty. */
static void put_text(struct json_object *to, const char *key, const char *text)
{
    pr_json_add_text(to, key, *text ? text : NULL);
}

/* Milliseconds and the like: three decimals are plenty. */
static void put_real(struct json_object *to, const char *key, double value)
{
    char text[48];
    snprintf(text, sizeof(text), "%.3f", value);
    put(to, key, isnan(value) ? NULL : json_object_new_double_s(value, text));
}

static void put_count(struct json_object *to, const char *key, double value)
{
    put(to, key, isnan(value) ? NULL : json_object_new_uint64((uint64_t)value));
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static struct json_object *round_object(const struct pagerail_round *round)
{
    struct json_object *object = json_object_new_object();
    pr_json_add_u64(object, "bytes", round->bytes);
    pr_json_add_u64(object, "pages", round->pages);
    pr_json_add_u64(object, "zero_pages", round->zero_pages);
    put_real(object, "duration_ms", ms(round->duration_ns));
    pr_json_add_u64(object, "bandwidth_Bps", round->bandwidth_Bps);
    pr_json_add_u64(object, "dirty_bytes", round->dirty_bytes);
    pr_json_add_u64(object, "dirty_rate_Bps", round->dirty_rate_Bps);
    put_real(object, "predicted_downtime_ms",
             round->predicted_downtime_ns == UINT64_MAX ? NAN : ms(round->predicted_downtime_ns));
    pr_json_add_u64(object, "throttle_percent", round->throttle_percent);
    return object;
}

static const char *rail_state_name(uint32_t state)
{
    static const char *const names[] = {
        [PAGERAIL_RAIL_UP] = "up",
        [PAGERAIL_RAIL_DOWN] = "down",
        [PAGERAIL_RAIL_FAILED] = "failed",
    };
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "";
}

static struct json_object *rail_object(const struct pagerail_rail *rail)
{
    struct json_object *object = json_object_new_object();
    put_text(object, "name", rail->name);
    put_text(object, "state", rail_state_name(rail->state));
    pr_json_add_u64(object, "lanes", rail->lanes);
    pr_json_add_u64(object, "bytes", rail->bytes_sent);
    pr_json_add_u64(object, "retries", rail->retries);
    return object;
}

static struct json_object *rails_array(const struct pr_outcome *outcome)
{
    struct json_object *array = json_object_new_array();
    for (uint32_t i = 0; i < outcome->rails; i++)
        json_object_array_add(array, rail_object(&outcome->rail[i]));
    return array;
}

static struct json_object *rounds_array(const struct pr_outcome *outcome)
{
    struct json_object *array = json_object_new_array();
    for (uint32_t i = 0; i < outcome->rounds; i++)
        json_object_array_add(array, round_object(&outcome->round[i]));
    return array;
}

static struct json_object *downtime_object(const struct pagerail_downtime *downtime)
{
    struct json_object *object = json_object_new_object();
    put_real(object, "stop_ms", ms(downtime->stop_ns));
    put_real(object, "sync_ms", ms(downtime->sync_ns));
    put_real(object, "copy_ms", ms(downtime->copy_ns));
    put_real(object, "state_ms", ms(downtime->state_ns));
    put_real(object, "resume_ms", ms(downtime->resume_ns));
    pr_json_add_u64(object, "bytes", downtime->bytes);
    return object;
}

static struct json_object *guest_object(const struct pr_outcome *outcome)
{
    struct json_object *object = json_object_new_object();
    pr_json_add_u64(object, "size_bytes", outcome->len_bytes);
    pr_json_add_u64(object, "page_bytes", outcome->page_bytes);
    if (!outcome->plan_known)
        return object;
    const struct pr_guest_plan *plan = &outcome->plan;
    put_text(object, "pattern", pr_guest_pattern_name(plan->pattern));
    put_text(object, "fill", pr_guest_fill_name(plan->fill));
    pr_json_add_u64(object, "threads", plan->threads);
    pr_json_add_u64(object, "dirty_Bps", plan->rate_Bps);
    pr_json_add_u64(object, "seed", plan->seed);
    put_text(object, "tracking", outcome->tracking);
    return object;
}

static struct json_object *side_object(const struct pr_outcome_side *side)
{
    struct json_object *object = json_object_new_object();
    put_count(object, "page_writes", side->writes);
    put_count(object, "wrong_pages", side->wrong_pages);
    put_real(object, "largest_gap_ms", side->largest_gap_ms);
    return object;
}

static struct json_object *whole_object(const struct pr_outcome *outcome)
{
    struct json_object *object = json_object_new_object();
    put_text(object, "schema", PR_OUTCOME_SCHEMA);
    put_text(object, "role", pr_guest_role_name(outcome->role));
    put_text(object, "outcome", outcome->outcome);
    put_text(object, "error", outcome->error);
    put_text(object, "phase", outcome->phase);
    put_text(object, "fabric", outcome->fabric);
    put(object, "verified",
        outcome->verified < 0 ? NULL : json_object_new_boolean(outcome->verified));
    put_real(object, "total_ms", outcome->total_ms);
    put_real(object, "downtime_ms", outcome->downtime_ms);
    put_real(object, "downtime_guest_ms", outcome->downtime_guest_ms);
    put_real(object, "beside_downtime_ms", outcome->beside_downtime_ms);
    put(object, "downtime", outcome->downtime_known ? downtime_object(&outcome->downtime) : NULL);
    put_count(object, "bytes_sent", outcome->bytes_sent);
    put_count(object, "pages_sent", outcome->pages_sent);
    put_count(object, "zero_pages", outcome->zero_pages);
    put_count(object, "lanes", outcome->lanes);
    put_real(object, "rtt_us", outcome->rtt_us);
    put_real(object, "first_byte_ms", outcome->first_byte_ms);
    put_real(object, "cpu_s_source", outcome->source.cpu_s);
    put_real(object, "cpu_s_destination", outcome->destination.cpu_s);
    put(object, "guest", guest_object(outcome));
    put(object, "guest_at_source", side_object(&outcome->source));
    put(object, "guest_at_destination", side_object(&outcome->destination));
    put(object, "rails", rails_array(outcome));
    put(object, "rounds", rounds_array(outcome));
    return object;
}

char *pr_outcome_text(const struct pr_outcome *outcome, bool pretty)
{
    struct json_object *object = whole_object(outcome);
    int style = pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
    const char *text =
        object ? json_object_to_json_string_ext(object, style | JSON_C_TO_STRING_NOSLASHESCAPE)
               : NULL;
    char *copy = text ? strdup(text) : NULL;
    json_object_put(object);
    return copy;
}

static int write_and_rename(const char *text, const char *temporary, const char *path)
{
    FILE *file = fopen(temporary, "we");
    if (!file)
        return pr_error(errno, "cannot make %s: %s", temporary, strerror(errno));
    bool bad = fputs(text, file) < 0 || fputc('\n', file) < 0;
    bad |= fclose(file) != 0;
    if (bad || rename(temporary, path)) {
        int err = pr_error(errno, "cannot write %s: %s", path, strerror(errno));
        unlink(temporary);
        return err;
    }
    return 0;
}

int pr_outcome_write(const struct pr_outcome *outcome, const char *path)
{
    char *text = pr_outcome_text(outcome, true);
    size_t size = strlen(path) + 32;
    char *temporary = malloc(size);
    int err = -ENOMEM;
    if (text && temporary) {
        snprintf(temporary, size, "%s.%d.new", path, (int)getpid());
        err = write_and_rename(text, temporary, path);
    } else {
        pr_error(ENOMEM, "no memory to write %s", path);
    }
    free(temporary);
    free(text);
    return err;
}

/* --- in --- */

/* A number of the peer's; NAN when missing, of another type, negative or beyond what counts exactly
 * as a double. */
static double get_number(const struct json_object *from, const char *key)
{
    struct json_object *value;
    if (!json_object_object_get_ex(from, key, &value) ||
        (!json_object_is_type(value, json_type_int) &&
         !json_object_is_type(value, json_type_double)))
        return NAN;
    double number = json_object_get_double(value);
    return number >= 0 && number < 0x1p63 ? number : NAN;
}

static uint64_t get_count(const struct json_object *from, const char *key)
{
    double number = get_number(from, key);
    return isnan(number) ? 0 : (uint64_t)number;
}

static uint64_t get_ns(const struct json_object *from, const char *key, uint64_t unknown)
{
    double number = get_number(from, key) * 1e6;
    return number < 0x1p63 ? (uint64_t)number : unknown; /* false for NAN */
}

static struct json_object *get_object(const struct json_object *from, const char *key,
                                      enum json_type type)
{
    struct json_object *value;
    if (!json_object_object_get_ex(from, key, &value) || !json_object_is_type(value, type))
        return NULL;
    return value;
}

/* Sentences are shown: no control bytes. */
static void get_text(const struct json_object *from, const char *key, char *to, size_t size)
{
    struct json_object *value = get_object(from, key, json_type_string);
    if (!value)
        return;
    copy_text(to, size, json_object_get_string(value));
    for (char *at = to; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    }
}

static void merge_side(struct pr_outcome_side *side, const struct json_object *from,
                       const char *guest_key, const char *cpu_key)
{
    side->cpu_s = get_number(from, cpu_key);
    struct json_object *guest = get_object(from, guest_key, json_type_object);
    if (!guest)
        return;
    side->writes = get_number(guest, "page_writes");
    side->wrong_pages = get_number(guest, "wrong_pages");
    side->largest_gap_ms = get_number(guest, "largest_gap_ms");
}

static void merge_round(struct pr_outcome *outcome, const struct json_object *from)
{
    if (!json_object_is_type(from, json_type_object))
        return;
    struct pagerail_round round = {
        .bytes = get_count(from, "bytes"),
        .pages = get_count(from, "pages"),
        .zero_pages = get_count(from, "zero_pages"),
        .duration_ns = get_ns(from, "duration_ms", 0),
        .bandwidth_Bps = get_count(from, "bandwidth_Bps"),
        .dirty_bytes = get_count(from, "dirty_bytes"),
        .dirty_rate_Bps = get_count(from, "dirty_rate_Bps"),
        .predicted_downtime_ns = get_ns(from, "predicted_downtime_ms", UINT64_MAX),
        .throttle_percent = (uint32_t)get_count(from, "throttle_percent") % 101,
    };
    pr_outcome_round(outcome, &round);
}

static void merge_source(struct pr_outcome *outcome, const struct json_object *from)
{
    merge_side(&outcome->source, from, "guest_at_source", "cpu_s_source");
    outcome->bytes_sent = get_number(from, "bytes_sent");
    outcome->pages_sent = get_number(from, "pages_sent");
    outcome->zero_pages = get_number(from, "zero_pages");
    outcome->first_byte_ms = get_number(from, "first_byte_ms");
    struct json_object *guest = get_object(from, "guest", json_type_object);
    if (guest)
        get_text(guest, "tracking", outcome->tracking, sizeof(outcome->tracking));
    struct json_object *rounds = get_object(from, "rounds", json_type_array);
    size_t count = rounds ? json_object_array_length(rounds) : 0;
    for (size_t i = 0; i < count && i < PR_OUTCOME_ROUNDS_MAX; i++)
        merge_round(outcome, json_object_array_get_idx(rounds, i));
}

static void merge_destination(struct pr_outcome *outcome, const struct json_object *from)
{
    merge_side(&outcome->destination, from, "guest_at_destination", "cpu_s_destination");
    outcome->downtime_guest_ms = get_number(from, "downtime_guest_ms");
    outcome->beside_downtime_ms = get_number(from, "beside_downtime_ms");
    if (isnan(outcome->downtime_guest_ms)) /* of unknown parts it stays so */
        outcome->downtime_guest_ms = outcome->downtime_ms + outcome->beside_downtime_ms;
    struct json_object *verified = get_object(from, "verified", json_type_boolean);
    if (verified)
        outcome->verified = json_object_get_boolean(verified);
    char error[PAGERAIL_ERROR_MAX] = "";
    get_text(from, "error", error, sizeof(error));
    if (error[0])
        pr_outcome_fail(outcome, error);
}

static struct json_object *parse(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object =
        len <= PR_OUTCOME_TEXT_MAX ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;
    if (object && (json_tokener_get_error(tokener) != json_tokener_success ||
                   !json_object_is_type(object, json_type_object))) {
        json_object_put(object);
        object = NULL;
    }
    json_tokener_free(tokener);
    return object;
}

int pr_outcome_merge(struct pr_outcome *outcome, enum pr_guest_role from, const char *text,
                     size_t len)
{
    struct json_object *object = parse(text, len);
    if (!object)
        return pr_error(EPROTO, "the peer's figures cannot be read: use the same version of "
                                "pagerail on both sides");
    if (from == PR_GUEST_SOURCE)
        merge_source(outcome, object);
    else
        merge_destination(outcome, object);
    json_object_put(object);
    return 0;
}
