/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the next word that is not zero, at the speed of reading memory. */
#ifndef PR_PAGECOPY_SKIP_H
#define PR_PAGECOPY_SKIP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The first index in [at, end) whose word is not zero; end when there is none. Others may set bits
 * meanwhile: a word that became non-zero after it was passed is not seen. No ordering: what is read
 * here only says where to look with an atomic.
 */
uint64_t pr_skip_zero_words(const uint64_t *words, uint64_t at, uint64_t end);

/* As pr_zero_variant: every compiled-in way, slowest first. */
struct pr_skip_variant {
    const char *name; /* "scalar", "avx2" */
    bool supported;
    uint64_t (*find)(const uint64_t *words, uint64_t at, uint64_t end);
};

bool pr_skip_variant_get(unsigned index, struct pr_skip_variant *out);

#endif
