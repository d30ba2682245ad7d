/* SPDX-License-Identifier: BSD-2-Clause */
/* A flag that one thread raises and another waits for through pr_poll: an eventfd. */
#ifndef PR_BASE_EVENT_H
#define PR_BASE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct pr_event {
    int fd; /* poll it for POLLIN; -1 when not open */
};
#define PR_EVENT_CLOSED                                                                            \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

int pr_event_open(struct pr_event *event);
void pr_event_close(struct pr_event *event); /* safe on PR_EVENT_CLOSED and twice */

/* Raise from any thread, signal-handler safe. Raising twice is raising once. */
void pr_event_raise(const struct pr_event *event);

/* Lowers it. Look at what it announces after clearing, not before, or a raise is lost. */
void pr_event_clear(const struct pr_event *event);

/* Waits until it is raised or the deadline (pr_deadline_after_ms) passes; true if raised. It stays
 * raised. */
bool pr_event_wait(const struct pr_event *event, uint64_t deadline_ns);

#endif
