/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void to_stderr(enum pagerail_log_level level, const char *line, void *opaque)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)opaque;
    fprintf(stderr, "pagerail: %s: %s\n", names[level], line);
}

static struct {
    enum pagerail_log_level level;
    pagerail_log_fn fn;
    void *opaque;
} sink = {PAGERAIL_LOG_WARN, to_stderr, NULL};

PAGERAIL_API void pagerail_log_set(enum pagerail_log_level level, pagerail_log_fn fn, void *opaque)
{
    sink.level = level;
    sink.fn = fn ? fn : to_stderr;
    sink.opaque = opaque;
}

void pr_log(enum pagerail_log_level level, const char *format, ...)
{
    if (level > sink.level)
        return;
    char line[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    sink.fn(level, line, sink.opaque);
}
