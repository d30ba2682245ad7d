/* SPDX-License-Identifier: BSD-2-Clause */
/* One-line files of /sys and /proc, below a root that tests replace. */
#ifndef PR_CLI_SYSFILE_H
#define PR_CLI_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>

/* The first line of <root>/<formatted path> without its newline, cut to size - 1 bytes. False, and
 * an empty string, when the file cannot be read. */
bool pr_sysfile_line(char *to, size_t size, const char *root, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
