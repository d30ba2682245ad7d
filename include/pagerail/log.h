/* SPDX-License-Identifier: BSD-2-Clause */
/* pagerail/log.h: where the library's log lines go. By default warnings and errors go to stderr. */
#ifndef PAGERAIL_LOG_H
#define PAGERAIL_LOG_H

#include <pagerail/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pagerail_log_level {
    PAGERAIL_LOG_ERROR = 0,
    PAGERAIL_LOG_WARN = 1,
    PAGERAIL_LOG_INFO = 2,
    PAGERAIL_LOG_DEBUG = 3,
};

/* Receives one line without a newline. May be called from any of the library's threads, several at
 * once; must not call back into pagerail. */
typedef void (*pagerail_log_fn)(enum pagerail_log_level level, const char *line, void *opaque);

/*
 * pagerail_log_set: sets the highest level that is logged, and the function that receives it.
 *
 * level: lines above it are dropped. fn: NULL means stderr. opaque: passed to fn unchanged.
 * OWNERSHIP: the library keeps fn and opaque until the next call.
 * THREAD-SAFETY: not safe beside running sessions; call it before the first one.
 * ERRORS: none.
 */
PAGERAIL_API void pagerail_log_set(enum pagerail_log_level level, pagerail_log_fn fn, void *opaque);

#ifdef __cplusplus
}
#endif
#endif
