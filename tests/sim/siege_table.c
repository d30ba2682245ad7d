/* SPDX-License-Identifier: BSD-2-Clause */
/* Every deed of a role at some moments of a session, and storms of anything. */
#include "tests/sim/siege_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* When a session of this role reaches its phases: the first moments, and the last of all. */
struct course {
    uint64_t first[FOE_PHASES], last;
};

/* One that fails does not keep the others from being tried. */
static bool run(struct siege *siege, uint64_t seed, struct world_verdict *verdict)
{
    if (siege_run(siege, seed, verdict))
        return true;
    fprintf(stderr, "'%s' by a %s, from moment %u, seed %llu: %s\n",
            siege->deed ? siege->deed->name : "nothing",
            siege->role == FOE_SOURCE ? "source" : "destination", siege->strike_at,
            (unsigned long long)seed, verdict->text);
    return false;
}

/* SIEGE_DEED=name in the environment: only that one. */
static bool chosen(const struct deed *deed)
{
    const char *only = getenv("SIEGE_DEED");
    return !only || !strcmp(only, deed->name);
}

static struct course honest_course(enum foe_role role, uint64_t seed)
{
    struct siege siege = {.role = role};
    struct world_verdict verdict;
    struct course course;
    assert_true(run(&siege, seed, &verdict));
    course.last = verdict.values[SIEGE_MOMENTS];
    for (unsigned p = FOE_PHASES; p-- > 0;) {
        uint64_t next = p + 1 < FOE_PHASES ? course.first[p + 1] : course.last;
        uint64_t first = verdict.values[SIEGE_FIRST + p];
        course.first[p] = first ? first : next;
    }
    return course;
}

/* A moment of one of the phases, each as likely, whatever its length. */
static unsigned draw_moment(const struct course *course, unsigned phases, struct seeded *random)
{
    unsigned phase;
    do
        phase = (unsigned)seeded_below(random, FOE_PHASES);
    while (!(phases & IN(phase)));
    uint64_t first = course->first[phase];
    uint64_t end = phase + 1 < FOE_PHASES ? course->first[phase + 1] : course->last;
    return (unsigned)(first + (end > first ? seeded_below(random, end - first) : 0));
}

void siege_every_deed(enum foe_role role, unsigned times, struct seeded *random)
{
    struct course course = honest_course(role, seeded_next(random));
    const struct deed *deed;
    unsigned runs = 0, never = 0, failed = 0;
    for (unsigned i = 0; (deed = deed_of(role, i)); i++) {
        unsigned done = 0;
        if (!chosen(deed))
            continue;
        for (unsigned k = 0; k < (deed->act ? times : 1); k++) {
            struct siege siege = {.role = role, .deed = deed};
            struct world_verdict verdict;
            if (deed->act && !deed->prepare && k) /* and once at the first moment that will do */
                siege.strike_at = draw_moment(&course, deed->phases, random);
            failed += !run(&siege, seeded_next(random), &verdict);
            done += !deed->act || verdict.values[SIEGE_STRUCK];
            runs++;
        }
        if (!done)
            print_message("'%s' was never done\n", deed->name);
        never += !done;
    }
    print_message("%u sieges, %u lost; the honest one has %llu moments\n", runs, failed,
                  (unsigned long long)course.last);
    assert_int_equal(failed + never, 0);
}

void siege_storms(enum foe_role role, unsigned times, struct seeded *random)
{
    static const char *const names[] = {"any sample", "any mutation", "a storm",
                                        "a storm and silence", "the last words again"};
    struct course course = honest_course(role, seeded_next(random));
    unsigned failed = 0;
    for (unsigned k = 0; k < times; k++) {
        const struct deed *deed = deed_named(role, names[k % (sizeof(names) / sizeof(names[0]))]);
        struct siege siege = {.role = role, .deed = deed};
        struct world_verdict verdict;
        siege.strike_at = draw_moment(&course, deed->phases, random);
        failed += !run(&siege, seeded_next(random), &verdict);
    }
    assert_int_equal(failed, 0);
}
