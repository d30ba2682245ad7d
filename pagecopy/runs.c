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

/* The range's bits of the next word; moves past it. */
static uint64_t load(struct pr_runs *runs)
{
    uint64_t index = runs->next++;
    uint64_t mask = pr_bits_mask(index, runs->first_page, runs->end_page);
    if (runs->takes)
        return pr_bitmap_take(&runs->bitmap, index, mask);
    return atomic_load_explicit(&runs->bitmap.words[index], memory_order_relaxed) & mask;
}

/* Loads words until one has a bit; false at the end. */
static bool seek(struct pr_runs *runs)
{
    uint64_t stop = pr_bits_words(runs->end_page);
    while (!runs->bits) {
        if (runs->next < stop)
            runs->next = pr_skip_zero_words((const uint64_t *)runs->bitmap.words, runs->next, stop);
        if (runs->next >= stop)
            return false;
        runs->bits = load(runs);
    }
    return true;
}

/* Takes up to `most` ones from the low end of `bits`, shifted down by `from`. */
static unsigned cut(struct pr_runs *runs, unsigned from, uint64_t most)
{
    unsigned ones = pr_bits_ones(runs->bits >> from);
    if (ones > most)
        ones = (unsigned)most;
    uint64_t after = from + ones < PR_WORD_BITS ? UINT64_MAX << (from + ones) : 0;
    runs->bits &= after;
    return ones;
}

bool pr_runs_next(struct pr_runs *runs, struct pr_run *out)
{
    if (!seek(runs))
        return false;
    unsigned from = (unsigned)__builtin_ctzll(runs->bits);
    out->first_page = (runs->next - 1) * PR_WORD_BITS + from;
    out->pages = cut(runs, from, runs->max_pages);
    /* On across words, as long as the run reaches the end of the one before. */
    uint64_t stop = pr_bits_words(runs->end_page);
    while (out->first_page + out->pages == runs->next * PR_WORD_BITS && runs->next < stop &&
           out->pages < runs->max_pages) {
        runs->bits = load(runs);
        out->pages += cut(runs, 0, runs->max_pages - out->pages);
    }
    return true;
}

void pr_runs_stop(struct pr_runs *runs)
{
    if (runs->takes && runs->bits)
        pr_bitmap_set_word(&runs->bitmap, runs->next - 1, runs->bits);
    runs->bits = 0;
    runs->next = pr_bits_words(runs->end_page);
}
