/* SPDX-License-Identifier: BSD-2-Clause */
/* What a foe does to the library, and what must come of it: one row each. */
#ifndef PR_TESTS_HOSTILE_DEEDS_H
#define PR_TESTS_HOSTILE_DEEDS_H

#include "tests/hostile/foe.h"

/* Beside a positive errno, with which the library must end its session. */
#define DEED_COMPLETES 0 /* no harm: the session completes */
#define DEED_ANYTHING (-1)
#define DEED_FAILS (-2) /* whatever the errno */
#define DEED_IGNORED                                                                               \
    (-3) /* a stranger's: the destination waits on, and `words` tell the foe why                   \
          */

/* Where it can be done. */
#define IN(phase) (1u << (phase))
#define FROM_GREETING (IN(FOE_GREETING) | IN(FOE_JOINING) | FROM_MOVING)
#define FROM_MOVING (WHILE_MOVING | IN(FOE_READY) | IN(FOE_RELEASED))
#define WHILE_MOVING (IN(FOE_MOVING) | IN(FOE_LOADING))
#define BEFORE_RELEASE (IN(FOE_GREETING) | IN(FOE_JOINING) | WHILE_MOVING | IN(FOE_READY))
#define WITH_LANES (WHILE_MOVING | IN(FOE_READY))
#define ANYWHEN (IN(FOE_KNOCKING) | FROM_GREETING)

struct deed {
    const char *name;
    unsigned phases;   /* bits: where `act` can be done */
    int err;           /* what the library must end with */
    const char *words; /* of its sentence; NULL */

    /* Before anything. */
    void (*prepare)(struct foe *foe);

    /* At the moment. 0, or why the session broke. */
    int (*act)(struct foe *foe);

    /* To every message that the foe says, from the first on: its fields, or its encoded bytes.
     * type 0 is the knock. */
    void (*twist)(struct foe *foe, unsigned type, union any_message *message);
    void (*twist_bytes)(struct foe *foe, unsigned type, uint8_t *bytes, int *len);
};

struct deeds {
    const struct deed *list;
    unsigned count;
};

/* What both roles can do; what only a source, and only a destination. */
struct deeds deeds_of_both(void);
struct deeds deeds_of_source(void);
struct deeds deeds_of_destination(void);

/* Deed number i of a role; NULL past the last. */
const struct deed *deed_of(enum foe_role role, unsigned i);

/* The deed of that name; NULL. */
const struct deed *deed_named(enum foe_role role, const char *name);

#endif
