/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's log. Log a failure once, where it is first understood. */
#ifndef PR_BASE_LOG_H
#define PR_BASE_LOG_H

#include <pagerail/log.h>

void pr_log(enum pagerail_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define pr_log_error(...) pr_log(PAGERAIL_LOG_ERROR, __VA_ARGS__)
#define pr_log_warn(...) pr_log(PAGERAIL_LOG_WARN, __VA_ARGS__)
#define pr_log_info(...) pr_log(PAGERAIL_LOG_INFO, __VA_ARGS__)
#define pr_log_debug(...) pr_log(PAGERAIL_LOG_DEBUG, __VA_ARGS__)

#endif
