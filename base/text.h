/* SPDX-License-Identifier: BSD-2-Clause */
/* What may stand in a line that ends up on somebody's terminal, whoever wrote it. */
#ifndef PR_BASE_TEXT_H
#define PR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* True when the bytes are UTF-8 without control characters (neither ASCII's nor U+0080..U+009F,
 * which terminals obey as well). */
bool pr_text_is_clean(const void *bytes, size_t len);

/* Makes the terminated string clean: each byte that does not belong becomes '?'. A character that
 * was cut off at the end is dropped. */
void pr_text_clean(char *text);

#endif
