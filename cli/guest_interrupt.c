/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_interrupt.h"

#include "base/error.h"
#include "base/event.h"
#include "base/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct pr_interrupt {
    int signals;
    struct pr_event first, closing;
    struct pr_thread *thread;
    _Atomic bool raised;
    pthread_mutex_t lock; /* held while fn runs */
    void (*fn)(void *);
    void *opaque;
};

static void call(struct pr_interrupt *interrupt)
{
    if (interrupt->fn)
        interrupt->fn(interrupt->opaque);
    interrupt->fn = NULL;
}

static void signal_set(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGTERM);
}

/* The next one meets its default action, whatever any thread is waiting for. */
static void let_the_next_kill(void)
{
    sigset_t set;
    signal_set(&set);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void take_signal(struct pr_interrupt *interrupt)
{
    struct signalfd_siginfo info;
    if (read(interrupt->signals, &info, sizeof(info)) != sizeof(info))
        return;
    interrupt->raised = true;
    let_the_next_kill();
    pr_event_raise(&interrupt->first);
    pthread_mutex_lock(&interrupt->lock);
    call(interrupt);
    pthread_mutex_unlock(&interrupt->lock);
}

static void watch(void *opaque)
{
    struct pr_interrupt *interrupt = opaque;
    for (;;) {
        struct pollfd fds[] = {{.fd = interrupt->signals, .events = POLLIN},
                               {.fd = interrupt->closing.fd, .events = POLLIN}};
        if (pr_poll(fds, 2, -1) < 0 || fds[1].revents)
            return;
        if (fds[0].revents)
            take_signal(interrupt);
    }
}

static int open_signals(int *out)
{
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *out = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *out < 0 ? pr_error(errno, "cannot watch for signals: %s", strerror(errno)) : 0;
}

int pr_interrupt_open(struct pr_interrupt **out)
{
    struct pr_interrupt *interrupt = calloc(1, sizeof(*interrupt));
    if (!interrupt)
        return pr_error(ENOMEM, "no memory to watch for signals");
    interrupt->signals = -1;
    interrupt->first = interrupt->closing = (struct pr_event)PR_EVENT_CLOSED;
    pthread_mutex_init(&interrupt->lock, NULL);
    int err = open_signals(&interrupt->signals);
    if (!err)
        err = pr_event_open(&interrupt->first);
    if (!err)
        err = pr_event_open(&interrupt->closing);
    if (!err)
        err = pr_thread_spawn(&interrupt->thread, "interrupt", watch, interrupt);
    if (err) {
        pr_interrupt_close(interrupt);
        return err;
    }
    *out = interrupt;
    return 0;
}

void pr_interrupt_close(struct pr_interrupt *interrupt)
{
    if (!interrupt)
        return;
    if (interrupt->thread) {
        pr_event_raise(&interrupt->closing);
        pr_thread_join(interrupt->thread);
    }
    pr_event_close(&interrupt->first);
    pr_event_close(&interrupt->closing);
    if (interrupt->signals >= 0)
        close(interrupt->signals);
    pthread_mutex_destroy(&interrupt->lock);
    free(interrupt);
}

void pr_interrupt_on_first(struct pr_interrupt *interrupt, void (*fn)(void *), void *opaque)
{
    pthread_mutex_lock(&interrupt->lock);
    interrupt->fn = fn;
    interrupt->opaque = opaque;
    if (interrupt->raised)
        call(interrupt);
    pthread_mutex_unlock(&interrupt->lock);
}

bool pr_interrupted(const struct pr_interrupt *interrupt)
{
    return interrupt->raised;
}

bool pr_interrupt_wait(struct pr_interrupt *interrupt, int64_t timeout_ms)
{
    return pr_event_wait(&interrupt->first, pr_deadline_after_ms(timeout_ms));
}
