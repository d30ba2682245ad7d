/* SPDX-License-Identifier: BSD-2-Clause */
#include "pagecopy/runs.h"

#include "pagecopy/skip.h"

static struct pr_runs start(struct pr_bitmap bitmap, bool takes, uint64_t first_page,
                            uint64_t pages, uint64_t max_pages)
{
    return (struct pr_runs){
        .bitmap = bitmap,
        .takes = takes,
        .first_page = first_page,
        .end_page = first_page + pages,
        .max_pages = max_pages,
        .next = first_page / PR_WORD_BITS,
    };
}

struct pr_runs pr_runs_take(struct pr_bitmap *bitmap, uint64_t first_page, uint64_t pages,
                            uint64_t max_pages)
{
    return start(*bitmap, true, first_page, pages, max_pages);
}

struct pr_runs pr_runs_over(const uint64_t *words, uint64_t first_page, uint64_t pages,
                            uint64_t max_pages)
{
    /* Casts const away, and `takes` keeps the promise. */
    struct pr_bitmap bitmap = pr_bitmap_over((uint64_t *)words, first_page + pages);
    return start(bitmap, false, first_page, pages, max_pages);
}

/* The bits of a word that are in `mask`; taken out of the bitmap if the iterator takes. */
static inline uint64_t load(struct pr_runs *runs, uint64_t index, uint64_t mask)
{
    if (runs->takes)
        return pr_bitmap_take(&runs->bitmap, index, mask);
    return atomic_load_explicit(&runs->bitmap.words[index], memory_order_relaxed) & mask;
}

/* Of a word that may reach beyond the range. */
static uint64_t load_edge(struct pr_runs *runs, uint64_t index)
{
    return load(runs, index, pr_bits_mask(index, runs->first_page, runs->end_page));
}

/* The bits not handed out yet, of word next - 1: loads words until one has some; 0 at the end. */
static uint64_t seek(struct pr_runs *runs)
{
    uint64_t bits = runs->bits, next = runs->next, stop = pr_bits_words(runs->end_page);
    while (!bits && next < stop) {
        next = pr_skip_zero_words((const uint64_t *)runs->bitmap.words, next, stop);
        if (next < stop)
            bits = load_edge(runs, next++);
    }
    runs->next = next;
    return bits;
}

/* Keeps the bits of the word loaded last that lie above the lowest `count`. */
static void keep_above(struct pr_runs *runs, uint64_t bits, unsigned count)
{
    runs->bits = count < PR_WORD_BITS ? bits & UINT64_MAX << count : 0;
}

static unsigned least(unsigned a, uint64_t b)
{
    return a < b ? a : (unsigned)b;
}

/* Follows a run that reached the end of the word loaded last, and is `pages` long so far. First
 * over words that are in it entirely: no masks, and state in registers, make up most of the speed
 * of long runs. Then into the word where it ends, by itself or by a limit. */
static uint64_t follow(struct pr_runs *runs, uint64_t pages)
{
    const uint64_t whole = runs->end_page / PR_WORD_BITS, stop = pr_bits_words(runs->end_page);
    const uint64_t max = runs->max_pages;
    uint64_t next = runs->next, bits = UINT64_MAX;
    while (next < whole && max - pages >= PR_WORD_BITS) {
        bits = load(runs, next++, UINT64_MAX);
        if (bits != UINT64_MAX)
            break;
        pages += PR_WORD_BITS;
    }
    if (bits == UINT64_MAX)
        bits = next < stop && pages < max ? load_edge(runs, next++) : 0;
    unsigned ones = least(pr_bits_ones(bits), max - pages);
    keep_above(runs, bits, ones);
    runs->next = next;
    return pages + ones;
}

bool pr_runs_next(struct pr_runs *runs, struct pr_run *out)
{
    uint64_t bits = seek(runs);
    if (!bits)
        return false;
    unsigned from = (unsigned)__builtin_ctzll(bits);
    unsigned ones = least(pr_bits_ones(bits >> from), runs->max_pages);
    out->first_page = (runs->next - 1) * PR_WORD_BITS + from;
    keep_above(runs, bits, from + ones);
    out->pages = from + ones < PR_WORD_BITS ? ones : follow(runs, ones);
    return true;
}

void pr_runs_stop(struct pr_runs *runs)
{
    if (runs->takes && runs->bits)
        pr_bitmap_set_word(&runs->bitmap, runs->next - 1, runs->bits);
    runs->bits = 0;
    runs->next = pr_bits_words(runs->end_page);
}
