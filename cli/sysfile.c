/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/sysfile.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool pr_sysfile_line(char *to, size_t size, const char *root, const char *format, ...)
{
    char below[PATH_MAX], path[2 * PATH_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(below, sizeof(below), format, ap);
    va_end(ap);
    snprintf(path, sizeof(path), "%s/%s", root, below);
    to[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    /* Some attributes exist and answer an error to every read. */
    bool read = fgets(to, (int)size, file) != NULL;
    fclose(file);
    to[strcspn(to, "\n")] = '\0';
    return read;
}
