/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a session with a foe ended as it must: by the deed's row, and with one guest at most. */
#ifndef PR_TESTS_HOSTILE_VERDICT_H
#define PR_TESTS_HOSTILE_VERDICT_H

#include "tests/hostile/deeds.h"

#include <pagerail/migrate.h>

struct ending {
    const struct foe *foe;
    const char *foe_words; /* its sentence, "" when all went well for it */
    const struct pagerail_outcome *outcome;
    bool ran;   /* destination: the VMM was told to run the guest */
    bool tired; /* destination: cancelled, since nobody was let in */
};

/* True; or false with what is wrong, and both sides' words. */
bool verdict_good(const struct ending *ending, char *text, size_t size);

#endif
