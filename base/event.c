/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/event.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int pr_event_open(struct pr_event *event)
{
    event->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event->fd < 0)
        return pr_error(errno, "cannot make an eventfd: %s (raise `ulimit -n`)", strerror(errno));
    return 0;
}

void pr_event_close(struct pr_event *event)
{
    if (event->fd >= 0)
        close(event->fd);
    event->fd = -1;
}

void pr_event_raise(const struct pr_event *event)
{
    uint64_t one = 1;
    int saved = errno;
    /* EAGAIN means the counter is full, so it is raised already. */
    ssize_t done = write(event->fd, &one, sizeof(one));
    (void)done;
    errno = saved;
}

void pr_event_clear(const struct pr_event *event)
{
    uint64_t count;
    ssize_t done = read(event->fd, &count, sizeof(count));
    (void)done; /* EAGAIN: it was not raised */
}

bool pr_event_wait(const struct pr_event *event, uint64_t deadline_ns)
{
    struct pollfd fd = {.fd = event->fd, .events = POLLIN};
    return pr_poll(&fd, 1, pr_deadline_left_ms(deadline_ns)) > 0;
}
