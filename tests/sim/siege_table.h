/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PR_SIM_SIEGE_TABLE_H
#define PR_SIM_SIEGE_TABLE_H

#include "tests/sim/siege.h"
#include "tests/unit/seed.h"

/* Each deed of the role, `times` times, at moments at which it can be done. A deed that never came
 * about fails the test, like one that went wrong. */
void siege_every_deed(enum foe_role role, unsigned times, struct seeded *random);

/* Random messages at random moments. */
void siege_storms(enum foe_role role, unsigned times, struct seeded *random);

#endif
