/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef pr_error /* the analyzer's */

static _Thread_local char message[PAGERAIL_ERROR_MAX];

int pr_error(int err, const char *format, ...)
{
    /* The arguments may point into the old sentence, so write the new one beside it first. */
    char fresh[PAGERAIL_ERROR_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(fresh, sizeof(fresh), format, ap);
    va_end(ap);
    pr_text_clean(fresh);
    memcpy(message, fresh, sizeof(message));
    return err > 0 ? -err : -EIO;
}

int pr_error_prefix(int err, const char *format, ...)
{
    char context[PAGERAIL_ERROR_MAX / 2];
    va_list ap;
    va_start(ap, format);
    vsnprintf(context, sizeof(context), format, ap);
    va_end(ap);
    return pr_error(-err, "%s: %s", context, message);
}

const char *pr_error_message(void)
{
    return message;
}

PAGERAIL_API const char *pagerail_error_message(void)
{
    return message;
}

bool pr_failure_set(struct pr_failure *failure, int err)
{
    pthread_mutex_lock(&failure->lock);
    bool first = failure->err == 0;
    if (first) {
        memcpy(failure->message, message, sizeof(message));
        failure->err = err < 0 ? err : -EIO;
    }
    pthread_mutex_unlock(&failure->lock);
    return first;
}

int pr_failure_get(struct pr_failure *failure)
{
    pthread_mutex_lock(&failure->lock);
    int err = failure->err;
    if (err)
        memcpy(message, failure->message, sizeof(message));
    pthread_mutex_unlock(&failure->lock);
    return err;
}
