/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/standstill.h"

uint64_t pr_standstill_look(struct pr_standstill *standstill, uint64_t now_ns, uint64_t done_bytes,
                            bool under_way)
{
    if (!under_way || done_bytes != standstill->done_bytes || !standstill->since_ns) {
        standstill->done_bytes = done_bytes;
        standstill->since_ns = now_ns;
    }
    return now_ns - standstill->since_ns;
}
