/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest's page must hold: a pure function of the seed, the page's number and how often it
 * has been written. Every 8-byte word of every page and version is different from its fellows at
 * the same offset, so a stale page, one that landed in another's place, and one torn between two
 * versions are all found, and a wrong word can be read backwards: it tells page and version.
 */
#ifndef PR_CLI_GUEST_MODEL_H
#define PR_CLI_GUEST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PR_GUEST_PAGE_BYTES 4096u

/* What pages hold before their first write. */
enum pr_guest_fill {
    PR_GUEST_FILL_ZERO,
    PR_GUEST_FILL_RANDOM,
    PR_GUEST_FILL_MIXED, /* half of the pages zero, in runs of 16 with a few strays */
    PR_GUEST_FILLS
};

const char *pr_guest_fill_name(enum pr_guest_fill fill); /* NULL when out of range */
bool pr_guest_fill_find(const char *name, enum pr_guest_fill *out);

struct pr_guest_model {
    uint64_t seed;
    enum pr_guest_fill fill;
    bool zeroing; /* pages with an odd count are all-zero */
};

/* page: below 2^36. count: versions repeat after 2^28 writes. */
bool pr_guest_model_is_zero(const struct pr_guest_model *model, uint64_t page, uint32_t count);

/* Writes the whole page. `to` is aligned to 64 bytes. */
void pr_guest_model_write(const struct pr_guest_model *model, uint64_t page, uint32_t count,
                          void *to);

/* The offset of the first wrong byte's word, or PR_GUEST_PAGE_BYTES when the page is right. */
size_t pr_guest_model_check(const struct pr_guest_model *model, uint64_t page, uint32_t count,
                            const void *at);

/* Describes a wrong page in words: what is expected, and what was found as far as it can be told.
 * pages: the guest's. offset: what pr_guest_model_check returned. */
void pr_guest_model_describe(const struct pr_guest_model *model, uint64_t pages, uint64_t page,
                             uint32_t count, const void *at, size_t offset, char *to, size_t size);

#endif
