/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ctrl-C. The first SIGINT or SIGTERM is an announcement: a flag, an event, and one call of a
 * function from a thread of its own. The second ends the process at once.
 */
#ifndef PR_CLI_GUEST_INTERRUPT_H
#define PR_CLI_GUEST_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

struct pr_interrupt; /* opaque */

/* Blocks both signals in the calling thread, so call it before any thread is started. */
int pr_interrupt_open(struct pr_interrupt **out);

/* What to call at the first signal, at once if it has come already; NULL = nothing any more. When
 * it returns, the function that was set before does not run. */
void pr_interrupt_on_first(struct pr_interrupt *interrupt, void (*fn)(void *), void *opaque);

bool pr_interrupted(const struct pr_interrupt *interrupt);

/* Waits for timeout_ms or the first signal; true when it has come. */
bool pr_interrupt_wait(struct pr_interrupt *interrupt, int64_t timeout_ms);

void pr_interrupt_close(struct pr_interrupt *interrupt);

#endif
