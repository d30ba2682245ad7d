/* SPDX-License-Identifier: BSD-2-Clause */
/* What this processor offers, asked once. */
#ifndef PR_BASE_CPU_H
#define PR_BASE_CPU_H

#include <stdbool.h>

struct pr_cpu {
    bool avx2;
    bool avx512;    /* F and BW, and the system saves their registers */
    unsigned count; /* processors this process may run on */
};

const struct pr_cpu *pr_cpu_get(void);

#endif
