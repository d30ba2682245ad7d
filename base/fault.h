/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Named fault points: places in the product where a test makes something go wrong, or breaks an
 * invariant on purpose to show that its test notices. Compiled in with -Dfaults=true only;
 * otherwise every point is the constant false.
 *
 * A spec is "name[@hit][=action]" and several are joined by ','. The point fires at the hit-th time
 * it is passed (from 1; without it, every time).
 *   break  (default)  pr_fault returns true and the code at the point does the wrong thing
 *   kill              the process ends by SIGKILL
 *   stop              the process stops by SIGSTOP
 *   linger            the thread sleeps for 2 ms, so that others overtake it at a delicate place
 * Several points may have one name; when two fire at once, the first in the spec decides.
 * The environment variable PAGERAIL_FAULT is read once, at the first point passed.
 */
#ifndef PR_BASE_FAULT_H
#define PR_BASE_FAULT_H

#include <stdbool.h>

#ifdef PR_FAULTS
/* True when the point fires with `break`. Thread-safe. */
bool pr_fault(const char *name);

/* Replaces what is armed; NULL or "" disarms. 0, or -EINVAL with a sentence. Not beside sessions.
 */
int pr_fault_arm(const char *spec);
#else
static inline bool pr_fault(const char *name)
{
    (void)name;
    return false;
}
#endif

#endif
