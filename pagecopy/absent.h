/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that the kernel has made no page for yet. In private anonymous memory such a page reads as
 * zero, and asking for it costs a hundredth of reading it: 1 ms for a GiB, against 136 ms and 2 MiB
 * of page tables when pages of 4 KiB that nobody ever touched are read (Linux 6.1, one processor).
 * Most of a large guest is like that.
 *
 * Everywhere else an absent page says nothing: the bytes may be in a file, or in shared memory that
 * another process fills. So it has to be asked first what kind of memory it is. That userfaultfd
 * fills a range on demand (missing mode) cannot be seen at a bearable price: whoever owns the
 * memory has to say that it is not so. What was swapped out counts as there.
 *
 * As with the zero scan the answer may be old when it comes, and is right for pages whose dirty
 * bits were cleared before the call (read after clear).
 *
 * Thread-safe, but for open and close.
 */
#ifndef PR_PAGECOPY_ABSENT_H
#define PR_PAGECOPY_ABSENT_H

#include <stdbool.h>
#include <stdint.h>

/* Asked for at once: 1 MiB. Fewer pages are as quickly read. */
#define PR_ABSENT_PAGES 256

struct pr_absent;

/* NULL where the kernel does not tell (no /proc, a process without rights to its own, pages that
 * are not 4 KiB, no memory): then nothing counts as absent. */
struct pr_absent *pr_absent_open(void);
void pr_absent_close(struct pr_absent *absent);

/* True when an absent page of [start, start + len_bytes) is a zero page: all of it is private
 * anonymous memory. Reads the list of all mappings of this process; holds until one is changed. */
bool pr_absent_is_zero(const void *start, uint64_t len_bytes);

/*
 * True when none of the PR_ABSENT_PAGES pages of 4 KiB from `start` on is there; false also when
 * that is not known.
 * absent: NULL is allowed. ASSUMPTIONS: pr_absent_is_zero said so.
 */
bool pr_absent_all(const struct pr_absent *absent, const void *start);

#endif
