/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The word at index i of a page is base + i * STEP, where base is a bijection of (page, count):
 * two different pages or versions differ in every word, and base is found again from any word.
 */
#include "cli/guest_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS (PR_GUEST_PAGE_BYTES / 8)
#define STEP 0x9e3779b97f4a7c15u
#define COUNT_BITS 28
#define COUNT_MASK ((1u << COUNT_BITS) - 1)

/* Eight words at once: one register where the processor has such, several where not. */
typedef uint64_t words8 __attribute__((vector_size(64), aligned(64), may_alias));
#define VECTORS (WORDS / 8)

static const char *const names[PR_GUEST_FILLS] = {
    [PR_GUEST_FILL_ZERO] = "zero",
    [PR_GUEST_FILL_RANDOM] = "random",
    [PR_GUEST_FILL_MIXED] = "mixed",
};

const char *pr_guest_fill_name(enum pr_guest_fill fill)
{
    return (unsigned)fill < PR_GUEST_FILLS ? names[fill] : NULL;
}

bool pr_guest_fill_find(const char *name, enum pr_guest_fill *out)
{
    for (unsigned i = 0; i < PR_GUEST_FILLS; i++) {
        if (!strcmp(name, names[i])) {
            *out = (enum pr_guest_fill)i;
            return true;
        }
    }
    return false;
}

static inline uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93u;
    z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93u;
    return z ^ (z >> 32);
}

/* Undoes mix: the shift by half the width is its own inverse, the odd factor has one. */
static uint64_t unmix(uint64_t z)
{
    z = (z ^ (z >> 32)) * 0xcfee444d8b59a89bu;
    z = (z ^ (z >> 32)) * 0xcfee444d8b59a89bu;
    return z ^ (z >> 32);
}

static inline uint64_t base_of(const struct pr_guest_model *model, uint64_t page, uint32_t count)
{
    return mix((page << COUNT_BITS | (count & COUNT_MASK)) ^ mix(model->seed));
}

/* Zero before the first write, in a `mixed` guest. */
static bool starts_zero(const struct pr_guest_model *model, uint64_t page)
{
    bool zero = mix(model->seed ^ ~(page / 16)) & 1;
    bool stray = mix(~model->seed ^ page) % 32 == 0;
    return zero != stray;
}

bool pr_guest_model_is_zero(const struct pr_guest_model *model, uint64_t page, uint32_t count)
{
    if (count)
        return model->zeroing && count % 2;
    return model->fill == PR_GUEST_FILL_ZERO ||
           (model->fill == PR_GUEST_FILL_MIXED && starts_zero(model, page));
}

/* What a page holds, as its first eight words and the step to the next eight. */
struct content {
    words8 words, step;
    uint64_t base, base_step;
};

static inline void content_of(struct content *content, const struct pr_guest_model *model,
                              uint64_t page, uint32_t count)
{
    bool zero = pr_guest_model_is_zero(model, page, count);
    content->base = zero ? 0 : base_of(model, page, count);
    content->base_step = zero ? 0 : STEP;
    for (unsigned i = 0; i < 8; i++) {
        content->words[i] = content->base + i * content->base_step;
        content->step[i] = 8 * content->base_step;
    }
}

/* Not watched by ThreadSanitizer: that the library reads a page while its guest writes it is how
 * live migration works, and the dirty log is what makes it right. */
#define PR_RACY __attribute__((no_sanitize("thread")))

PR_RACY void pr_guest_model_write(const struct pr_guest_model *model, uint64_t page, uint32_t count,
                                  void *to)
{
    struct content content;
    content_of(&content, model, page, count);
    words8 words = content.words, step = content.step;
    words8 *out = to;
    for (unsigned i = 0; i < VECTORS; i++, words += step)
        out[i] = words;
}

PR_RACY static size_t first_wrong(const uint64_t *at, uint64_t base, uint64_t step)
{
    for (size_t i = 0; i < WORDS; i++, base += step) {
        if (at[i] != base)
            return i * 8;
    }
    return PR_GUEST_PAGE_BYTES;
}

PR_RACY size_t pr_guest_model_check(const struct pr_guest_model *model, uint64_t page,
                                    uint32_t count, const void *at)
{
    struct content content;
    content_of(&content, model, page, count);
    words8 words = content.words, step = content.step, wrong = {};
    const words8 *in = at;
    for (unsigned i = 0; i < VECTORS; i++, words += step)
        wrong |= in[i] ^ words;
    uint64_t any = 0;
    for (unsigned i = 0; i < 8; i++)
        any |= wrong[i];
    return any ? first_wrong(at, content.base, content.base_step) : PR_GUEST_PAGE_BYTES;
}

/* Which page and version a word at this offset belongs to; false when no page of the guest. */
static bool decode(const struct pr_guest_model *model, uint64_t pages, uint64_t word, size_t offset,
                   uint64_t *page, uint32_t *count)
{
    uint64_t key = unmix(word - offset / 8 * STEP) ^ mix(model->seed);
    *page = key >> COUNT_BITS;
    *count = (uint32_t)key & COUNT_MASK;
    return *page < pages;
}

static void describe_found(const struct pr_guest_model *model, uint64_t pages, uint64_t page,
                           uint32_t count, uint64_t word, size_t offset, char *to, size_t size)
{
    uint64_t found_page;
    uint32_t found_count;
    if (word == 0)
        snprintf(to, size, "zeroes");
    else if (!decode(model, pages, word, offset, &found_page, &found_count))
        snprintf(to, size, "0x%016" PRIx64 ", which belongs to no page", word);
    else if (found_page != page)
        snprintf(to, size, "page %" PRIu64 " after %u writes", found_page, found_count);
    else if (found_count < (count & COUNT_MASK))
        snprintf(to, size, "a version %u writes old", (count & COUNT_MASK) - found_count);
    else
        snprintf(to, size, "the version after write %u, from the future", found_count);
}

void pr_guest_model_describe(const struct pr_guest_model *model, uint64_t pages, uint64_t page,
                             uint32_t count, const void *at, size_t offset, char *to, size_t size)
{
    uint64_t word;
    memcpy(&word, (const char *)at + offset, sizeof(word));
    char found[96];
    describe_found(model, pages, page, count, word, offset, found, sizeof(found));
    snprintf(to, size,
             "guest page %" PRIu64 " is wrong from byte %zu on: expected %s after %u writes, found "
             "%s%s",
             page, offset, pr_guest_model_is_zero(model, page, count) ? "zeroes" : "its data",
             count, found, offset ? " (a torn page: its first bytes are right)" : "");
}
