/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/command.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int pr_command_usage(const char *command, const char *format, ...)
{
    fprintf(stderr, "pagerail %s: ", command);
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "; try `pagerail %s --help`\n", command);
    return PR_EXIT_USAGE;
}

int pr_command_failed(const char *command)
{
    fprintf(stderr, "pagerail %s: %s\n", command, pr_error_message());
    return PR_EXIT_FAILED;
}
