/* SPDX-License-Identifier: BSD-2-Clause */
/* Negative errno plus one sentence per thread. The public half is <pagerail/error.h>. */
#ifndef PR_BASE_ERROR_H
#define PR_BASE_ERROR_H

#include <pagerail/error.h>

#include <pthread.h>
#include <stdbool.h>

/* Records the sentence (it should say what to do, not only what happened) and returns -err. What
 * does not belong into one line of text (a newline in a quoted path) is replaced by '?'.
 * err is a positive errno; 0 counts as EIO, so a failure can never read as a success. */
int pr_error(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the recorded sentence and returns err (negative) unchanged. */
int pr_error_prefix(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* What the implementation promises, for an analyzer that does not see it: never a success. */
static inline int pr_error_never_success(int err)
{
    if (err >= 0)
        __builtin_unreachable();
    return err;
}
#define pr_error(err, ...) pr_error_never_success((pr_error)(err, __VA_ARGS__))
#endif

/* The calling thread's sentence; "" when there is none. */
const char *pr_error_message(void);

/*
 * The first failure of something that several threads work on (a session). Later ones are
 * consequences and are dropped. Zero-initialise with PR_FAILURE_INIT.
 */
struct pr_failure {
    pthread_mutex_t lock;
    int err; /* negative; 0 = none yet. Read it through pr_failure_get. */
    char message[PAGERAIL_ERROR_MAX];
};
#define PR_FAILURE_INIT                                                                            \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/* Stores err with the calling thread's sentence if nothing is stored; returns true if it was. */
bool pr_failure_set(struct pr_failure *failure, int err);

/* The stored error (0 = none); its sentence becomes the calling thread's own. */
int pr_failure_get(struct pr_failure *failure);

#endif
