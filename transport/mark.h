/* SPDX-License-Identifier: BSD-2-Clause */
/* The fence's mark in the device-state stream: "all before this is in memory once epoch N is". */
#ifndef PR_TRANSPORT_MARK_H
#define PR_TRANSPORT_MARK_H

#include "base/cursor.h"
#include "base/error.h"

#include <errno.h>

#define PR_MARK_BYTES 16
#define PR_MARK_MAGIC UINT64_C(0x45434e4546525020) /* " PRFENCE" in memory order */

static inline void pr_mark_encode(uint64_t epoch, uint8_t to[PR_MARK_BYTES])
{
    struct pr_writer w = pr_writer_over(to, PR_MARK_BYTES);
    pr_write_u64(&w, PR_MARK_MAGIC);
    pr_write_u64(&w, epoch);
}

static inline int pr_mark_decode(const uint8_t from[PR_MARK_BYTES], uint64_t *epoch)
{
    struct pr_reader r = pr_reader_over(from, PR_MARK_BYTES);
    if (pr_read_u64(&r) != PR_MARK_MAGIC)
        return pr_error(EPROTO, "the source's stream has no fence where one must be");
    *epoch = pr_read_u64(&r);
    return 0;
}

#endif
