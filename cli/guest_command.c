/* SPDX-License-Identifier: BSD-2-Clause */
/* `pagerail guest`: a live guest that is sent, received, or only run; and what became of it. */
#include "base/error.h"
#include "base/runtime.h"
#include "cli/command.h"
#include "cli/guest_interrupt.h"
#include "cli/guest_vmm.h"
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <pagerail/log.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 50       /* how often a running guest is asked whether all is well */
#define FIRST_BEAT_MS 20 /* a moved guest runs for so long at least, so that it beats */
#define REPORT_SLICE_MS 200

struct run {
    struct pr_guest_options options;
    struct pr_outcome outcome;
    struct pr_guest_vmm vmm;
    struct pr_interrupt *interrupt;
    bool announced; /* the outcome's error */
};

/* --- saying things --- */

static void say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct run *run, const char *format, ...)
{
    if (run->options.quiet)
        return;
    pr_progress_end(&run->vmm.progress);
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* What went wrong is said once, and at once, also when all else is quiet. */
static void announce(struct run *run)
{
    if (run->announced || !run->outcome.error[0])
        return;
    pr_progress_end(&run->vmm.progress);
    fprintf(stderr, "pagerail guest: %s\n", run->outcome.error);
    run->announced = true;
}

/* The thread's sentence becomes the outcome's, unless there is one. */
static void fail(struct run *run, const char *outcome)
{
    run->outcome.outcome = outcome;
    pr_outcome_fail(&run->outcome, pr_error_message());
    announce(run);
}

static void say_guest(struct run *run)
{
    const struct pr_guest_plan *plan = &run->outcome.plan;
    char size[PR_SIZE_TEXT_MAX], rate[PR_SIZE_TEXT_MAX];
    say(run, "guest: %s, %u threads writing %s/s, pattern %s, fill %s, seed %" PRIu64,
        pr_size_text(run->options.len_bytes, size), plan->threads,
        pr_size_text(plan->rate_Bps, rate), pr_guest_pattern_name(plan->pattern),
        pr_guest_fill_name(plan->fill), plan->seed);
    if (run->outcome.tracking[0] && run->options.role == PR_GUEST_SOURCE)
        say(run, "tracking: %s", run->outcome.tracking);
}

static void summarise_migration(const struct pr_outcome *o)
{
    char sent[PR_SIZE_TEXT_MAX];
    printf("moved in %.2f s, %u rounds", o->total_ms / 1e3, o->rounds);
    if (o->role == PR_GUEST_SOURCE && !isnan(o->bytes_sent))
        printf(", %s sent", pr_size_text((uint64_t)o->bytes_sent, sent));
    if (!isnan(o->downtime_ms))
        printf("; downtime %.1f ms", o->downtime_ms);
    if (!isnan(o->downtime_guest_ms))
        printf(", largest gap in the guest's threads %.1f ms", o->downtime_guest_ms);
    putchar('\n');
}

static void summarise(const struct run *run)
{
    const struct pr_outcome *o = &run->outcome;
    if (run->options.quiet)
        return;
    if (!strcmp(o->outcome, "completed") && o->role != PR_GUEST_ALONE)
        summarise_migration(o);
    if (o->verified == 1)
        puts("every page of the guest is right");
    else if (o->verified == 0)
        puts("THE GUEST'S MEMORY IS WRONG");
}

/* --- the guest's life --- */

/* Runs on for so long, until Ctrl-C, or until it fails. */
static void let_run(struct run *run, uint64_t ms)
{
    uint64_t left = ms;
    while (left && !pr_guest_failure(run->vmm.guest)) {
        uint64_t slice = left < LOOK_MS ? left : LOOK_MS;
        if (pr_interrupt_wait(run->interrupt, (int64_t)slice))
            return;
        left -= slice;
    }
}

static void verify(struct run *run)
{
    pr_guest_stop(run->vmm.guest);
    say(run, "checking every page");
    int err = pr_guest_verify(run->vmm.guest);
    run->outcome.verified = !err;
    if (err) { /* worse than whatever was said before */
        run->outcome.error[0] = '\0';
        run->announced = false;
        fail(run, "failed");
    }
    pr_guest_vmm_figures(&run->vmm);
}

static void take_rails(struct run *run)
{
    struct pagerail_rail rail;
    for (uint32_t i = 0; !pagerail_migration_rail(run->vmm.migration, i, &rail); i++)
        pr_outcome_rail(&run->outcome, &rail);
}

/* What the library says at the end, of either side. */
static void take_outcome(struct run *run)
{
    struct pagerail_outcome end;
    pagerail_migration_outcome(run->vmm.migration, &end);
    struct pr_outcome *o = &run->outcome;
    snprintf(o->phase, sizeof(o->phase), "%s", pagerail_phase_name(end.reached));
    o->total_ms = (double)end.total_ns / 1e6;
    double cpu_s = pr_guest_vmm_cpu_s(&run->vmm, &end.stats);
    if (run->options.role == PR_GUEST_DESTINATION) {
        o->destination.cpu_s = cpu_s;
        pr_outcome_session(o, &end.stats);
    } else {
        o->source.cpu_s = cpu_s;
        pr_outcome_stats(o, &end.stats);
        take_rails(run);
        pr_guest_vmm_rounds(&run->vmm);
    }
    if (run->options.role == PR_GUEST_SOURCE && end.phase == PAGERAIL_PHASE_COMPLETED) {
        o->downtime_ms = (double)end.downtime.total_ns / 1e6;
        o->downtime = end.downtime;
        o->downtime_known = true;
    }
}

static bool guest_is_here(const struct run *run)
{
    struct pagerail_outcome end;
    pagerail_migration_outcome(run->vmm.migration, &end);
    /* Idle: the library refused to begin. */
    return run->vmm.guest && (end.guest_is_here || end.phase == PAGERAIL_PHASE_IDLE);
}

static void cancel(void *opaque)
{
    struct run *run = opaque;
    pagerail_migration_cancel(run->vmm.migration);
}

/* Sends or receives, and Ctrl-C cancels it meanwhile. */
static int migrate(struct run *run, int (*move)(struct run *run))
{
    run->vmm.cpu_start_ns = pr_thread_cpu_ns();
    pr_interrupt_on_first(run->interrupt, cancel, run);
    int err = move(run);
    pr_progress_end(&run->vmm.progress);
    if (err)
        fail(run, err == -ECANCELED && pr_interrupted(run->interrupt) ? "cancelled" : "failed");
    pr_interrupt_on_first(run->interrupt, NULL, NULL);
    take_outcome(run);
    return err;
}

/* --- source --- */

static int send(struct run *run)
{
    return pagerail_migration_send(run->vmm.migration, run->options.uri);
}

/* The report whole, to be freed; NULL with a sentence. */
static char *read_report(struct run *run, size_t *out_len)
{
    char *text = malloc(PR_OUTCOME_TEXT_MAX);
    size_t len = 0;
    ssize_t got = text ? 1 : pr_error(ENOMEM, "no memory for the destination's report");
    while (got > 0 || got == -EAGAIN) {
        if (got == -EAGAIN && pr_interrupted(run->interrupt))
            break;
        if (got > 0 && len == PR_OUTCOME_TEXT_MAX)
            break;
        got = pagerail_migration_report_read(run->vmm.migration, text + len,
                                             PR_OUTCOME_TEXT_MAX - len, REPORT_SLICE_MS);
        len += got > 0 ? (size_t)got : 0;
    }
    if (!got) {
        *out_len = len;
        return text;
    }
    if (got == -EAGAIN)
        pr_error(ECANCELED, "interrupted while the destination checked the guest");
    else if (got > 0)
        pr_error(EPROTO, "the destination's report is longer than it can be");
    free(text);
    return NULL;
}

static void take_report(struct run *run)
{
    say(run, "the guest runs at the destination; waiting for its report");
    size_t len;
    char *text = read_report(run, &len);
    int err = text ? pr_outcome_merge(&run->outcome, PR_GUEST_DESTINATION, text, len) : -EIO;
    free(text);
    if (!err) {
        if (run->outcome.verified != 1)
            run->outcome.outcome = "failed";
        announce(run);
        return;
    }
    pr_error_prefix(-EIO, "the guest was handed over, but nobody says whether it is right there");
    fail(run, "completed");
}

static void go_on_here(struct run *run)
{
    pr_guest_throttle(run->vmm.guest, 0);
    pr_guest_run(run->vmm.guest);
    say(run, "the guest runs on here");
    let_run(run, run->options.run_after_ms);
    verify(run);
}

static void run_source(struct run *run)
{
    if (pr_guest_vmm_prepare(&run->vmm)) {
        fail(run, "failed");
        return;
    }
    say_guest(run);
    pr_guest_run(run->vmm.guest);
    let_run(run, run->options.run_before_ms);
    if (!migrate(run, send))
        take_report(run);
    else if (guest_is_here(run))
        go_on_here(run);
}

/* --- destination --- */

static int listen(struct run *run)
{
    int err = pagerail_migration_listen(run->vmm.migration, run->options.uri);
    if (err)
        return err;
    say(run, "waiting at %s", run->options.uri);
    return pagerail_migration_receive(run->vmm.migration);
}

static void report(struct run *run)
{
    char *text = pr_outcome_text(&run->outcome, false);
    if (text)
        (void)pagerail_migration_report(run->vmm.migration, text, strlen(text));
    free(text);
}

static void run_destination(struct run *run)
{
    if (pr_guest_vmm_prepare(&run->vmm)) {
        fail(run, "failed");
        return;
    }
    if (migrate(run, listen))
        return;
    say_guest(run);
    say(run, "the guest runs here");
    let_run(run,
            run->options.run_after_ms > FIRST_BEAT_MS ? run->options.run_after_ms : FIRST_BEAT_MS);
    verify(run);
    report(run);
}

/* --- alone --- */

static void run_alone(struct run *run)
{
    say_guest(run);
    pr_guest_run(run->vmm.guest);
    let_run(run, run->options.run_after_ms);
    if (pr_interrupted(run->interrupt)) {
        pr_error(ECANCELED, "interrupted");
        fail(run, "cancelled");
    }
    verify(run);
}

/* --- the whole --- */

static void live(struct run *run)
{
    if (pr_guest_vmm_open(&run->vmm, &run->options, &run->outcome)) {
        fail(run, "failed");
        return;
    }
    switch (run->options.role) {
    case PR_GUEST_ALONE:
        run_alone(run);
        break;
    case PR_GUEST_SOURCE:
        run_source(run);
        break;
    case PR_GUEST_DESTINATION:
        run_destination(run);
        break;
    }
    pr_guest_vmm_close(&run->vmm);
}

static int exit_status(const struct run *run)
{
    if (run->outcome.verified < 0 && pr_interrupted(run->interrupt) &&
        strcmp(run->outcome.outcome, "failed") != 0)
        return PR_EXIT_CANCELLED;
    if (!strcmp(run->outcome.outcome, "completed") && !run->outcome.error[0])
        return run->outcome.verified == 1 ? PR_EXIT_OK : PR_EXIT_FAILED;
    return strcmp(run->outcome.outcome, "cancelled") ? PR_EXIT_FAILED : PR_EXIT_CANCELLED;
}

static int finish(struct run *run)
{
    int status = exit_status(run);
    summarise(run);
    if (run->options.json_path && pr_outcome_write(&run->outcome, run->options.json_path))
        status = pr_command_failed("guest");
    pr_outcome_free(&run->outcome);
    return status;
}

int pr_cmd_guest(int argc, char **argv)
{
    struct run run = {0};
    int status = pr_guest_options_parse(argc, argv, &run.options);
    if (status >= 0)
        return status;
    pagerail_log_set(run.options.quiet ? PAGERAIL_LOG_WARN : PAGERAIL_LOG_INFO, NULL, NULL);
    if (pr_interrupt_open(&run.interrupt))
        return pr_command_failed("guest");
    pr_outcome_init(&run.outcome, &run.options);
    live(&run);
    status = finish(&run);
    pr_interrupt_close(run.interrupt);
    return status;
}
