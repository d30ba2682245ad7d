/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration's callbacks at the destination; the source is a mock. */
#include "tests/unit/fake_vmm.h"
#include "tests/unit/mock_source.h"

#include "base/runtime.h"
#include "tests/unit/check.h"
#include "transport/mark.h"

#include <errno.h>
#include <string.h>

struct reception {
    struct mock_source s; /* first: cast back */
    struct fake_vmm vmm;
    pagerail_migration *migration;
    struct pagerail_outcome outcome;
    struct pr_thread *player;
    bool releases;    /* the source, when the destination is ready */
    bool short_state; /* its stream ends before load has all, */
    bool no_end;      /* or not at all */
};

/* Plays the source from the moment when all lanes are there. */
static void player_main(void *opaque)
{
    struct reception *r = opaque;
    struct mock_source *s = &r->s;
    uint8_t bytes[PR_MARK_BYTES + 4096] = {0};
    uint32_t len = r->short_state ? PR_MARK_BYTES : sizeof(bytes);
    mock_wait_messages(s->control, PR_WIRE_PING, 1);
    pr_mark_encode(1, bytes);
    mock_source_stream(s, 0, bytes, len);
    if (!r->no_end)
        mock_source_end_stream(s, len);
    mock_source_end_epoch(s, 0, 1);
    mock_source_end_epoch(s, 1, 1);
    if (r->releases) {
        mock_wait_messages(s->control, PR_WIRE_READY, 1);
        mock_deliver_empty(s->control, PR_WIRE_RELEASE, 0);
        if (!r->vmm.fails)
            mock_wait_messages(s->control, PR_WIRE_RUNNING, 1);
        mock_deliver_empty(s->control, PR_WIRE_BYE, 0);
    }
}

static void introduce(struct mock_source *s)
{
    struct reception *r = (struct reception *)s;
    mock_source_introduce(s);
    if (pr_thread_spawn(&r->player, "player", player_main, r))
        abort();
}

static void open_reception(struct reception *r)
{
    memset(r, 0, sizeof(*r));
    mock_source_prepare(&r->s);
    r->s.introduce = introduce;
    fake_vmm_open(&r->vmm, r->s.memory);
    r->vmm.test = r;
    r->vmm.state_bytes = 4096;
    r->releases = true;
}

static int go(struct reception *r)
{
    const struct pagerail_options options = {
        .size = sizeof(options), .connect_timeout_ms = 2000, .silence_timeout_ms = 60000};
    assert_int_equal(pagerail_migration_new(&r->vmm.vmm, &options, &r->migration), 0);
    assert_int_equal(pagerail_migration_listen(r->migration, "mock:x"), 0);
    int err = pagerail_migration_receive(r->migration);
    pagerail_migration_outcome(r->migration, &r->outcome);
    assert_int_equal(r->outcome.error, err);
    return err;
}

static void close_reception(struct reception *r)
{
    pr_thread_join(r->player);
    pagerail_migration_free(r->migration);
    mock_source_release(&r->s);
}

static void a_reception_loads_and_runs(void **state)
{
    (void)state;
    struct reception r;
    open_reception(&r);
    assert_int_equal(go(&r), 0);
    assert_string_equal(r.vmm.calls, "Lr");
    assert_int_equal(r.outcome.phase, PAGERAIL_PHASE_COMPLETED);
    assert_int_equal(r.outcome.guest_is_here, 1);
    assert_int_equal(r.outcome.stats.epoch, 1);
    assert_int_equal(r.outcome.stats.stream_bytes, PR_MARK_BYTES + 4096);
    assert_int_equal(pagerail_migration_cancel(r.migration), -EALREADY);
    close_reception(&r);
}

static void a_guest_that_cannot_be_loaded_stays_at_the_source(void **state)
{
    (void)state;
    struct reception r;
    const void *body;
    struct pr_wire_abort reason;
    open_reception(&r);
    r.vmm.fails = "L";
    r.releases = false;
    assert_int_equal(go(&r), -EIO);
    assert_string_equal(r.vmm.calls, "L");
    assert_int_equal(r.outcome.guest_is_here, 0);
    struct pr_wire_header header = mock_message(r.s.control, PR_WIRE_ABORT, 0, &body);
    assert_int_equal(pr_wire_abort_decode(&reason, body, header.body_len), 0);
    assert_string_equal(reason.reason, "the VMM's load callback failed: Input/output error");
    assert_int_equal(mock_messages(r.s.control, PR_WIRE_READY), 0);
    close_reception(&r);
}

static void state_that_ends_too_early_is_the_callbacks_to_judge(void **state)
{
    (void)state;
    struct reception r;
    open_reception(&r);
    r.short_state = true;
    r.releases = false;
    assert_int_equal(go(&r), -EIO);
    assert_int_equal(r.vmm.io_result, 0);
    close_reception(&r);
}

static void fail_the_lane(struct fake_vmm *vmm, char call)
{
    struct reception *r = vmm->test;
    if (call != 'L')
        return;
    mock_fail(r->s.control, -ECONNRESET);
    vmm->state_bytes = UINT64_C(1) << 40; /* reads on */
}

static void a_load_that_met_a_lost_source_does_not_hide_why(void **state)
{
    (void)state;
    struct reception r;
    open_reception(&r);
    r.vmm.on_call = fail_the_lane;
    r.releases = false;
    r.no_end = true;
    assert_int_equal(go(&r), -ECONNRESET);
    assert_non_null(strstr(r.outcome.message, "lost the source: the mock"));
    assert_int_equal(r.outcome.guest_is_here, 0);
    close_reception(&r);
}

/* It is here, and nowhere else, whatever its VMM can do with it. */
static void a_released_guest_is_here_also_when_run_fails(void **state)
{
    (void)state;
    struct reception r;
    open_reception(&r);
    r.vmm.fails = "r";
    assert_int_equal(go(&r), -EIO);
    assert_string_equal(r.vmm.calls, "Lr");
    assert_int_equal(r.outcome.guest_is_here, 1);
    assert_int_equal(r.outcome.reached, PAGERAIL_PHASE_HANDOVER);
    assert_int_equal(mock_messages(r.s.control, PR_WIRE_RUNNING), 0);
    close_reception(&r);
}

static void cancel_in_load(struct fake_vmm *vmm, char call)
{
    struct reception *r = vmm->test;
    if (call == 'L')
        pagerail_migration_cancel(r->migration);
}

static void a_cancel_while_loading_leaves_no_guest_here(void **state)
{
    (void)state;
    struct reception r;
    open_reception(&r);
    r.vmm.on_call = cancel_in_load;
    r.releases = false;
    assert_int_equal(go(&r), -ECANCELED);
    assert_int_equal(r.outcome.phase, PAGERAIL_PHASE_CANCELLED);
    assert_int_equal(r.outcome.guest_is_here, 0);
    assert_int_equal(mock_messages(r.s.control, PR_WIRE_READY), 0);
    close_reception(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reception_loads_and_runs),
        cmocka_unit_test(a_guest_that_cannot_be_loaded_stays_at_the_source),
        cmocka_unit_test(state_that_ends_too_early_is_the_callbacks_to_judge),
        cmocka_unit_test(a_load_that_met_a_lost_source_does_not_hide_why),
        cmocka_unit_test(a_released_guest_is_here_also_when_run_fails),
        cmocka_unit_test(a_cancel_while_loading_leaves_no_guest_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
