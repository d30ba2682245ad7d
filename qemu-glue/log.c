/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library's log lines go where QEMU's own messages go. */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "qemu/module.h"
#include <pagerail/log.h>

static void log_line(enum pagerail_log_level level, const char *line, void *opaque)
{
    switch (level) {
    case PAGERAIL_LOG_ERROR:
        error_report("pagerail: %s", line);
        break;
    case PAGERAIL_LOG_WARN:
        warn_report("pagerail: %s", line);
        break;
    default:
        info_report("pagerail: %s", line);
        break;
    }
}

static void log_init(void)
{
    pagerail_log_set(PAGERAIL_LOG_INFO, log_line, NULL);
}
migration_init(log_init);
