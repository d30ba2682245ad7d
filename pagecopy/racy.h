/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For functions that read, with wide loads, memory which others write meanwhile: guest pages, words
 * of a live dirty bitmap. A stale or half-new answer is fine there, because whoever wrote sets a
 * dirty bit afterwards (read after clear), so ThreadSanitizer is told not to look at them. All
 * other uses of shared memory go through atomics and stay in its sight.
 */
#ifndef PR_PAGECOPY_RACY_H
#define PR_PAGECOPY_RACY_H

#include <stdint.h>

#define PR_RACY __attribute__((no_sanitize("thread")))

/* A word at any address: a plain load, where memcpy could become a call that the sanitizer sees. */
typedef uint64_t pr_racy_word __attribute__((aligned(1), may_alias));

#endif
