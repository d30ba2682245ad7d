/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is memory all zero? Zero pages are named to the peer instead of written, and most of a fresh
 * guest is zero, so this runs at the speed of reading memory on zero pages and leaves data pages
 * after a few words.
 *
 * The guest may write the memory while it is read. The answer is then that of some mixture of old
 * and new bytes: right for a page whose dirty bit was cleared before the call, since the store sets
 * it again (read after clear).
 *
 * Thread-safe: nothing is kept between calls. Reading a hole of a shared-memory file makes the
 * kernel fill it with a page; who wants holes kept must not scan them.
 */
#ifndef PR_PAGECOPY_ZERO_H
#define PR_PAGECOPY_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The grain of the zero scan, whatever page size backs the guest. */
#define PR_ZERO_PAGE_BYTES 4096

/* True when all of [start, start + len_bytes) is zero. Any address, any length; true for none. */
bool pr_zero_is(const void *start, size_t len_bytes);

/*
 * Scans `pages` pages of PR_ZERO_PAGE_BYTES from `start`: bit i of zero_bits becomes one when page
 * i is all zero. Writes pr_bits_words(pages) words; bits past the last page become 0.
 * RETURN VALUE: how many pages are zero.
 */
uint64_t pr_zero_scan(const void *start, uint64_t pages, uint64_t *zero_bits);

/* One way to do it; the two functions above use the fastest that this processor can run. */
struct pr_zero_variant {
    const char *name; /* "scalar" (the reference), "avx2", "avx512" */
    bool supported;   /* may be called on this processor */
    bool (*is)(const void *start, size_t len_bytes);
};

/* The index-th variant that was compiled in, from 0, slowest first; false past the last. */
bool pr_zero_variant_get(unsigned index, struct pr_zero_variant *out);

/* pr_zero_scan by a chosen, supported variant: for tests and benchmarks. */
uint64_t pr_zero_scan_by(const struct pr_zero_variant *variant, const void *start, uint64_t pages,
                         uint64_t *zero_bits);

#endif
