/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hostile/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct judge {
    const struct ending *ending;
    char *text;
    size_t size;
    bool good;
};

static void check(struct judge *judge, bool holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first thing that is wrong counts. */
static void check(struct judge *judge, bool holds, const char *format, ...)
{
    if (holds || !judge->good)
        return;
    char wrong[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(wrong, sizeof(wrong), format, ap);
    va_end(ap);
    judge->good = false;
    const struct ending *e = judge->ending;
    snprintf(judge->text, judge->size,
             "%s\n  the library: %s (%s, reached %s)\n  the foe: %s (struck in %s, now %s)", wrong,
             e->outcome->message[0] ? e->outcome->message : "all is well",
             strerror(-e->outcome->error), pagerail_phase_name(e->outcome->reached),
             e->foe_words[0] ? e->foe_words : "all is well",
             e->foe->struck ? foe_phase_name(e->foe->struck_phase) : "none",
             foe_phase_name(e->foe->phase));
}

/* ---- the guest ---- */

static bool is_deaf(const struct foe *foe)
{
    return foe->hushed || foe->left || !foe->lane[0].heard || foe->deafened;
}

/* A foe that has stopped listening may have been sent the release. */
static void check_guest(struct judge *judge)
{
    const struct ending *e = judge->ending;
    const struct pagerail_outcome *o = e->outcome;
    bool here = o->guest_is_here;
    bool handed_over = o->reached == PAGERAIL_PHASE_HANDOVER || !o->error;
    if (e->foe->role == FOE_SOURCE) {
        check(judge, e->ran == here, "the destination is wrong about having the guest");
        check(judge, !e->ran || e->foe->release_said, "a guest runs that nobody released");
        return;
    }
    check(judge, here != handed_over, "the source is wrong about having the guest");
    check(judge, here || e->foe->released || is_deaf(e->foe), "the source lost its guest");
    check(judge, !here || !e->foe->released, "the source keeps a guest that it gave away");
}

/* ---- the error ---- */

static void check_form(struct judge *judge)
{
    const struct pagerail_outcome *o = judge->ending->outcome;
    check(judge, (o->phase == PAGERAIL_PHASE_COMPLETED) == !o->error, "the phase is wrong");
    check(judge, !o->error || o->message[0], "there is no sentence");
    check(judge, !strpbrk(o->message, "\n\033\a"), "the sentence is not clean");
}

static bool was_done(const struct foe *foe)
{
    return foe->deed && (!foe->deed->act || foe->struck);
}

/* A destination that has said ready takes the guest whatever else the foe says, if it says release:
 * nobody else has the guest then. */
static bool may_complete(const struct foe *foe)
{
    return foe->role == FOE_SOURCE && foe->deed->err > 0 && foe->struck_phase >= FOE_LOADING &&
           foe->release_said;
}

static void check_stranger(struct judge *judge)
{
    const char *words = judge->ending->foe->deed->words;
    check(judge, judge->ending->tired, "a stranger ended the wait");
    check(judge, strstr(judge->ending->foe_words, words), "nobody told the stranger of '%s'",
          words);
}

static void check_row(struct judge *judge)
{
    const struct deed *deed = judge->ending->foe->deed;
    int error = judge->ending->outcome->error;
    if (may_complete(judge->ending->foe) && !error)
        return;
    check(judge, deed->err != DEED_COMPLETES || !error, "it should have completed");
    check(judge, deed->err != DEED_FAILS || error, "it should not have completed");
    check(judge, deed->err <= 0 || error == -deed->err, "it should have ended with: %s",
          strerror(deed->err));
    check(judge, !deed->words || strstr(judge->ending->outcome->message, deed->words),
          "no word of '%s'", deed->words);
}

static void check_error(struct judge *judge)
{
    const struct ending *e = judge->ending;
    const struct foe *foe = e->foe;
    if (!was_done(foe)) {
        check(judge, !e->outcome->error, "nobody did any harm");
        return;
    }
    if (foe->deed->err == DEED_IGNORED) {
        check_stranger(judge);
        return;
    }
    bool late = foe->deed->act && foe->struck_phase == FOE_RELEASED;
    check(judge, !late || !e->outcome->error || foe->role == FOE_DESTINATION || !foe->running,
          "a guest that runs is no failure");
    if (!late && !e->tired)
        check_row(judge);
}

bool verdict_good(const struct ending *ending, char *text, size_t size)
{
    struct judge judge = {ending, text, size, true};
    check_form(&judge);
    check_error(&judge);
    check_guest(&judge);
    return judge.good;
}
