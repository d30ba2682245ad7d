/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/text.h"

#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE"; /* each 1024 times the one before */

/* The digits at the start of `text`; -EINVAL when there are none. */
static int digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return -ERANGE;
    }
    *out = value;
    *end = at;
    return at == text ? -EINVAL : 0;
}

/* The power of two that a suffix stands for, or -1. */
static int suffix_shift(const char *suffix)
{
    if (!*suffix || !strcasecmp(suffix, "B"))
        return 0;
    for (int i = 0; units[i]; i++) {
        if (strncasecmp(suffix, &units[i], 1))
            continue;
        const char *rest = suffix + 1;
        if (!*rest || !strcasecmp(rest, "B") || !strcasecmp(rest, "iB"))
            return 10 * (i + 1);
    }
    return -1;
}

int pr_size_parse(const char *text, uint64_t *out_bytes)
{
    uint64_t value;
    const char *suffix;
    int err = digits(text, &value, &suffix);
    int shift = err ? 0 : suffix_shift(suffix);
    if (err == -EINVAL || shift < 0)
        return pr_error(EINVAL, "'%s' is no size: write it like 4G, 500M or 65536", text);
    if (err || value > UINT64_MAX >> shift)
        return pr_error(ERANGE, "'%s' is more than 64 bits can count", text);
    *out_bytes = value << shift;
    return 0;
}

int pr_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    const char *end;
    int err = digits(text, &value, &end);
    if (err == -EINVAL || (!err && *end))
        return pr_error(EINVAL, "'%s' is no whole number", text);
    if (err || value < min || value > max)
        return pr_error(ERANGE, "'%s' is not between %llu and %llu", text, (unsigned long long)min,
                        (unsigned long long)max);
    *out = value;
    return 0;
}

const char *pr_size_text(uint64_t bytes, char to[PR_SIZE_TEXT_MAX])
{
    if (bytes < 1024) {
        snprintf(to, PR_SIZE_TEXT_MAX, "%u B", (unsigned)bytes);
        return to;
    }
    int unit = 0;
    while (unit < 5 && bytes >> (10 * (unit + 2)))
        unit++;
    uint64_t whole = bytes >> (10 * (unit + 1));
    /* The first decimal, cut off: what is shown is never more than what is there. */
    uint64_t rest = bytes >> (10 * unit) & 1023;
    unsigned tenth = (unsigned)(rest * 10 / 1024);
    if (tenth)
        snprintf(to, PR_SIZE_TEXT_MAX, "%u.%u %ciB", (unsigned)whole, tenth, units[unit]);
    else
        snprintf(to, PR_SIZE_TEXT_MAX, "%u %ciB", (unsigned)whole, units[unit]);
    return to;
}

struct pr_table {
    unsigned columns;
    unsigned cells; /* so many are in use; the first `columns` are the headers */
    unsigned room;
    char **cell;
    bool lost;
};

struct pr_table *pr_table_open(unsigned columns, const char *const *headers)
{
    struct pr_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->columns = columns;
    pr_table_row(table, headers);
    return table;
}

static bool make_room(struct pr_table *table)
{
    if (table->cells + table->columns <= table->room)
        return true;
    unsigned room = 2 * table->room + 8 * table->columns;
    char **grown = realloc(table->cell, room * sizeof(*grown));
    if (!grown)
        return false;
    table->cell = grown;
    table->room = room;
    return true;
}

void pr_table_row(struct pr_table *table, const char *const *cells)
{
    if (!table || table->lost)
        return;
    if (!make_room(table)) {
        table->lost = true;
        return;
    }
    for (unsigned i = 0; i < table->columns; i++) {
        char *copy = strdup(cells[i] && *cells[i] ? cells[i] : "-");
        table->lost |= !copy;
        table->cell[table->cells++] = copy;
    }
}

static unsigned column_width(const struct pr_table *table, unsigned column)
{
    size_t width = 0;
    for (unsigned i = column; i < table->cells; i += table->columns) {
        size_t len = strlen(table->cell[i]);
        width = len > width ? len : width;
    }
    return (unsigned)width;
}

int pr_table_print(const struct pr_table *table, unsigned indent, FILE *to)
{
    if (!table || table->lost)
        return pr_error(ENOMEM, "no memory for a table");
    for (unsigned i = 0; i < table->cells; i++) {
        unsigned column = i % table->columns;
        bool last = column + 1 == table->columns;
        fprintf(to, "%*s%-*s%s", column ? 2 : (int)indent, "",
                last ? 0 : (int)column_width(table, column), table->cell[i], last ? "\n" : "");
    }
    return 0;
}

void pr_table_close(struct pr_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < table->cells; i++)
        free(table->cell[i]);
    free(table->cell);
    free(table);
}
