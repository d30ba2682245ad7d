/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/channel.h over a mock lane: credits in both directions, tickets, a hostile peer. */
#include "tests/unit/mock_lane.h"
#include "transport/channel.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

#define DEPTH 16 /* the mock's recv_depth */

struct ends {
    struct mock_fabric *fabric;
    struct mock_lane *lane;
    struct pr_channel channel;
    unsigned heard; /* messages that the handler saw */
    enum pr_wire_type last;
    int answer; /* what the handler returns */
};

static int on_message(void *opaque, enum pr_wire_type type, const void *body, uint32_t len)
{
    (void)body, (void)len;
    struct ends *ends = opaque;
    ends->heard++;
    ends->last = type;
    return ends->answer;
}

static int pump(struct ends *ends)
{
    struct pr_channel_handler handler = {.message = on_message, .opaque = ends};
    return pr_channel_pump(&ends->channel, &handler);
}

static void open_ends(struct ends *ends)
{
    *ends = (struct ends){.fabric = mock_fabric_new()};
    ends->lane = mock_lane_new(ends->fabric);
    pr_channel_open(&ends->channel, &ends->lane->base, NULL);
}

/* As after the handshake. */
static void open_agreed(struct ends *ends)
{
    open_ends(ends);
    pr_channel_agree(&ends->channel, DEPTH, PR_WIRE_MAX_MESSAGE);
    pr_channel_told(&ends->channel);
}

static void close_ends(struct ends *ends)
{
    pr_channel_close(&ends->channel);
    pr_channel_close(&ends->channel);
    mock_fabric_free(ends->fabric);
}

static uint64_t send_bye(struct ends *ends)
{
    uint8_t message[PR_WIRE_HEADER_BYTES];
    uint64_t ticket;
    int len = pr_wire_empty_encode(PR_WIRE_BYE, message, sizeof(message));
    assert_int_equal(pr_channel_send(&ends->channel, message, len, &ticket), 0);
    return ticket;
}

static void a_message_goes_out_once_and_its_ticket_tells(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    uint64_t first = send_bye(&ends), second = send_bye(&ends);
    assert_true(second > first);
    assert_false(pr_channel_posted(&ends.channel, first));
    assert_int_equal(pr_channel_backlog(&ends.channel), 2);
    assert_int_equal(pump(&ends), 1);
    assert_true(pr_channel_posted(&ends.channel, second));
    assert_int_equal(pr_channel_backlog(&ends.channel), 0);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), 2);
    assert_true(ends.lane->posts[1].flushed && ends.lane->posts[1].signaled);
    assert_int_equal(pump(&ends), 0);
    close_ends(&ends);
}

static void an_encoder_error_passes_through(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    assert_int_equal(pr_channel_send(&ends.channel, NULL, -EMSGSIZE, NULL), -EMSGSIZE);
    assert_int_equal(pr_channel_backlog(&ends.channel), 0);
    close_ends(&ends);
}

/* Ordinary messages leave the last credit for a credit message. */
static void messages_stop_before_the_last_credit(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    for (int i = 0; i < DEPTH + 4; i++)
        send_bye(&ends);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), DEPTH - 1);
    assert_int_equal(pump(&ends), 0);
    mock_deliver_empty(ends.lane, PR_WIRE_CREDIT, 3);
    assert_int_equal(pump(&ends), 1);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), DEPTH + 2);
    close_ends(&ends);
}

/* A full lane is not an error, nothing is lost or sent twice. */
static void a_full_lane_holds_messages_back(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    uint64_t ticket = send_bye(&ends);
    mock_post_err(ends.lane, -EAGAIN);
    assert_int_equal(pump(&ends), 0);
    assert_false(pr_channel_posted(&ends.channel, ticket));
    assert_int_equal(pr_channel_backlog(&ends.channel), 1);
    mock_post_err(ends.lane, 0);
    assert_int_equal(pump(&ends), 1);
    assert_true(pr_channel_posted(&ends.channel, ticket));
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), 1);
    close_ends(&ends);
}

static void freed_buffers_ride_on_the_next_message(void **state)
{
    (void)state;
    struct ends ends;
    const void *body;
    open_agreed(&ends);
    for (int i = 0; i < 3; i++)
        mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    pump(&ends);
    assert_int_equal(ends.heard, 3);
    assert_int_equal(ends.lane->out, 0);
    send_bye(&ends);
    send_bye(&ends);
    pump(&ends);
    assert_int_equal(mock_message(ends.lane, PR_WIRE_BYE, 0, &body).credits, 3);
    assert_int_equal(mock_message(ends.lane, PR_WIRE_BYE, 1, &body).credits, 0);
    close_ends(&ends);
}

/* With nothing to say, half of the buffers owed bring a credit message, which takes the last
 * credit if need be. */
static void owed_buffers_bring_a_credit_message(void **state)
{
    (void)state;
    struct ends ends;
    const void *body;
    open_agreed(&ends);
    for (int i = 0; i < DEPTH + 4; i++)
        send_bye(&ends); /* uses up all credits but one */
    pump(&ends);
    for (int i = 0; i < DEPTH / 2 - 1; i++)
        mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_CREDIT), 0);
    mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_CREDIT), 1);
    assert_int_equal(mock_message(ends.lane, PR_WIRE_CREDIT, 0, &body).credits, DEPTH / 2);
    /* No credit left at all: not even a credit message goes. */
    for (int i = 0; i < DEPTH / 2; i++)
        mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_CREDIT), 1);
    mock_deliver_empty(ends.lane, PR_WIRE_CREDIT, DEPTH);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), DEPTH + 4);
    close_ends(&ends);
}

/* Before the handshake is over the peer knows of four buffers only: it must have them back before
 * it is out of credits, or a source with more than two regions could never introduce itself. */
static void a_peer_that_knows_of_few_buffers_gets_them_back_early(void **state)
{
    (void)state;
    struct ends ends;
    const void *body;
    open_ends(&ends);
    for (int i = 0; i < PR_WIRE_MIN_RECV_DEPTH - 1; i++)
        mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_CREDIT), 1);
    assert_int_equal(mock_message(ends.lane, PR_WIRE_CREDIT, 0, &body).credits,
                     PR_WIRE_MIN_RECV_DEPTH - 1);
    close_ends(&ends);
}

static void agreement_adds_what_the_peer_has_more(void **state)
{
    (void)state;
    struct ends ends;
    open_ends(&ends);
    for (int i = 0; i < 8; i++)
        send_bye(&ends);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), PR_WIRE_MIN_RECV_DEPTH - 1);
    pr_channel_agree(&ends.channel, 7, 2048);
    assert_int_equal(ends.channel.message_bytes, 2048);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), 6);
    close_ends(&ends);
}

static void message_bytes_are_the_least_of_all_limits(void **state)
{
    (void)state;
    static const struct {
        uint32_t ours, peers, agreed;
    } rows[] = {
        {4096, 8192, 4096},
        {8192, 4096, 4096},
        {1 << 20, UINT32_MAX, PR_WIRE_MAX_MESSAGE},
        {1024, 1024, 1024},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ends ends;
        open_ends(&ends);
        ends.fabric->base.limits.max_message_bytes = rows[i].ours;
        pr_channel_agree(&ends.channel, UINT32_MAX, rows[i].peers);
        assert_int_equal(ends.channel.message_bytes, rows[i].agreed);
        close_ends(&ends);
    }
}

/* ---- a peer that does not keep to the rules ---- */

static void more_credits_than_the_peer_has_buffers_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    send_bye(&ends);
    pump(&ends);
    mock_deliver_empty(ends.lane, PR_WIRE_CREDIT, 2);
    assert_int_equal(pump(&ends), -EPROTO);
    assert_non_null(strstr(pr_error_message(), "gave back more"));
    close_ends(&ends);
}

/* Every buffer is owed and none was announced, for we have no credit: the peer has none either. */
static void a_message_without_a_credit_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    mock_post_err(ends.lane, -EAGAIN);
    for (int i = 0; i < DEPTH; i++)
        mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    assert_int_equal(pump(&ends), 1);
    assert_int_equal(ends.heard, DEPTH);
    mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    assert_int_equal(pump(&ends), -EPROTO);
    assert_int_equal(ends.heard, DEPTH);
    assert_int_equal(ends.lane->out, 0);
    close_ends(&ends);
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    mock_deliver(ends.lane, "abc", 3);
    assert_int_equal(pump(&ends), -EPROTO);
    uint8_t long_credit[PR_WIRE_HEADER_BYTES + 1] = {PR_WIRE_CREDIT, 0, 0, 0, 1};
    mock_deliver(ends.lane, long_credit, sizeof(long_credit));
    assert_int_equal(pump(&ends), -EPROTO);
    mock_deliver_raw(ends.lane, (struct pr_completion){.op = PR_OP_RECV_IMM});
    assert_int_equal(pump(&ends), -EPROTO);
    assert_int_equal(ends.heard, 0);
    close_ends(&ends);
}

static void an_unknown_completion_is_an_error(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    mock_deliver_raw(ends.lane, (struct pr_completion){.op = (enum pr_op)99});
    assert_int_equal(pump(&ends), -EIO);
    close_ends(&ends);
}

/* ---- the end ---- */

static void a_failed_lane_ends_the_pump_behind_its_last_message(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    mock_fail(ends.lane, -ECONNRESET);
    pump(&ends);
    assert_int_equal(ends.heard, 1);
    assert_int_equal(pump(&ends), -ECONNRESET);
    close_ends(&ends);
}

static void leave_with_a_word(struct mock_lane *lane, const struct mock_post *post)
{
    (void)post;
    lane->mock->on_post = NULL;
    mock_deliver_empty(lane, PR_WIRE_READY, 0);
    mock_fail(lane, -ECONNRESET);
}

/* The peer speaks and leaves after our look at what came in, and before our last post. */
static void a_post_that_fails_does_not_drown_the_last_message(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    ends.answer = -EXDEV;
    ends.fabric->on_post = leave_with_a_word;
    send_bye(&ends);
    send_bye(&ends);
    assert_int_equal(pump(&ends), -EXDEV);
    assert_int_equal(ends.heard, 1);
    close_ends(&ends);
}

static void a_post_that_fails_is_told_when_nothing_else_is(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    mock_post_err(ends.lane, -ECONNRESET);
    send_bye(&ends);
    assert_int_equal(pump(&ends), -ECONNRESET);
    assert_string_equal(pr_error_message(), "the mock refused a post");
    close_ends(&ends);
}

static void a_handler_error_ends_the_pump(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    ends.answer = -EXDEV;
    mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    assert_int_equal(pump(&ends), -EXDEV);
    close_ends(&ends);
}

/* When a session fails, what was queued must not go out behind its back (a release!), later letters
 * neither, and the reason goes first. */
static void the_last_word_is_all_that_still_goes_out(void **state)
{
    (void)state;
    struct ends ends;
    const void *body;
    open_agreed(&ends);
    uint64_t before = send_bye(&ends);
    pump(&ends);
    uint64_t dropped = send_bye(&ends);
    send_bye(&ends);
    uint8_t word[PR_WIRE_HEADER_BYTES];
    int len = pr_wire_empty_encode(PR_WIRE_READY, word, sizeof(word));
    assert_int_equal(pr_channel_last_word(&ends.channel, word, len), 0);
    assert_int_equal(pr_channel_send(&ends.channel, word, len, NULL), -ESHUTDOWN);
    assert_int_equal(pr_channel_backlog(&ends.channel), 1);
    pump(&ends);
    assert_int_equal(mock_messages(ends.lane, PR_WIRE_BYE), 1);
    mock_message(ends.lane, PR_WIRE_READY, 0, &body);
    assert_true(pr_channel_posted(&ends.channel, before));
    assert_false(pr_channel_posted(&ends.channel, dropped));
    close_ends(&ends);
}

static void silence_may_be_the_last_word(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    send_bye(&ends);
    assert_int_equal(pr_channel_last_word(&ends.channel, NULL, 0), 0);
    assert_int_equal(pump(&ends), 0);
    assert_int_equal(ends.lane->posted, 0);
    close_ends(&ends);
}

/* A lane that is closed too soon takes its last message along. */
static void messages_are_out_only_when_they_completed(void **state)
{
    (void)state;
    struct ends ends;
    open_agreed(&ends);
    assert_true(pr_channel_quiet(&ends.channel));
    send_bye(&ends);
    assert_false(pr_channel_quiet(&ends.channel));
    pump(&ends);
    assert_false(pr_channel_quiet(&ends.channel));
    mock_complete(ends.lane, 1);
    pump(&ends);
    assert_true(pr_channel_quiet(&ends.channel));
    close_ends(&ends);
}

static void sleep_only_when_nothing_is_there(void **state)
{
    (void)state;
    struct ends ends;
    struct pollfd fd;
    open_agreed(&ends);
    assert_true(pr_channel_sleep(&ends.channel, &fd));
    assert_int_equal(fd.fd, ends.lane->event);
    mock_deliver_empty(ends.lane, PR_WIRE_READY, 0);
    assert_false(pr_channel_sleep(&ends.channel, &fd));
    close_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_out_once_and_its_ticket_tells),
        cmocka_unit_test(an_encoder_error_passes_through),
        cmocka_unit_test(messages_stop_before_the_last_credit),
        cmocka_unit_test(a_full_lane_holds_messages_back),
        cmocka_unit_test(freed_buffers_ride_on_the_next_message),
        cmocka_unit_test(owed_buffers_bring_a_credit_message),
        cmocka_unit_test(a_peer_that_knows_of_few_buffers_gets_them_back_early),
        cmocka_unit_test(agreement_adds_what_the_peer_has_more),
        cmocka_unit_test(message_bytes_are_the_least_of_all_limits),
        cmocka_unit_test(more_credits_than_the_peer_has_buffers_are_refused),
        cmocka_unit_test(a_message_without_a_credit_is_refused),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
        cmocka_unit_test(an_unknown_completion_is_an_error),
        cmocka_unit_test(a_failed_lane_ends_the_pump_behind_its_last_message),
        cmocka_unit_test(a_post_that_fails_does_not_drown_the_last_message),
        cmocka_unit_test(a_post_that_fails_is_told_when_nothing_else_is),
        cmocka_unit_test(a_handler_error_ends_the_pump),
        cmocka_unit_test(the_last_word_is_all_that_still_goes_out),
        cmocka_unit_test(silence_may_be_the_last_word),
        cmocka_unit_test(messages_are_out_only_when_they_completed),
        cmocka_unit_test(sleep_only_when_nothing_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
