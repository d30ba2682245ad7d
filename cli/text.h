/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and tables as people read and type them; shared by all commands. */
#ifndef PR_CLI_TEXT_H
#define PR_CLI_TEXT_H

#include <stdint.h>
#include <stdio.h>

/*
 * A size as typed: digits and an optional K, M, G, T, P or E for powers of 1024, in either case,
 * with or without "B" or "iB" after it ("4G", "500M", "64KiB", "4096").
 * ERRORS: -EINVAL no such size, -ERANGE it does not fit 64 bits; the sentence quotes the text.
 */
int pr_size_parse(const char *text, uint64_t *out_bytes);

/* A decimal number between min and max. ERRORS: -EINVAL no number, -ERANGE outside. */
int pr_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* A size as shown: "0 B", "4 GiB", "1.5 GiB", "768 MiB"; at most one decimal. Returns `to`. */
#define PR_SIZE_TEXT_MAX 16
const char *pr_size_text(uint64_t bytes, char to[PR_SIZE_TEXT_MAX]);

/*
 * A table that prints with its columns aligned. Cells are copied; memory that runs out shows in
 * pr_table_print's result only, so rows are added without checks.
 */
struct pr_table;

/* headers: `columns` strings, copied. NULL when memory is short, which the other calls accept. */
struct pr_table *pr_table_open(unsigned columns, const char *const *headers);

/* Adds a row of `columns` strings; NULL and "" print as "-". */
void pr_table_row(struct pr_table *table, const char *const *cells);

/* Prints each line with `indent` spaces in front. 0, or -ENOMEM when anything was lost. */
int pr_table_print(const struct pr_table *table, unsigned indent, FILE *to);

void pr_table_close(struct pr_table *table);

#endif
