/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/progress.h"

#include "cli/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CELLS 20u
#define COLUMNS_DEFAULT 100u

void pr_progress_init(struct pr_progress *progress, FILE *to, bool quiet)
{
    enum pr_progress_style style = isatty(fileno(to)) ? PR_PROGRESS_BAR : PR_PROGRESS_LINES;
    *progress = (struct pr_progress){
        .style = quiet ? PR_PROGRESS_NONE : style, .to = to, .phase = PAGERAIL_PHASE_IDLE};
}

/* Appends, and says how long it is; what does not fit is cut. */
__attribute__((format(printf, 3, 4))) static size_t append(char *to, size_t at, const char *format,
                                                           ...)
{
    va_list ap;
    va_start(ap, format);
    int len = vsnprintf(to + at, PR_PROGRESS_TEXT_MAX - at, format, ap);
    va_end(ap);
    size_t end = len > 0 ? at + (size_t)len : at;
    return end < PR_PROGRESS_TEXT_MAX ? end : PR_PROGRESS_TEXT_MAX - 1;
}

static size_t append_bar(char *to, size_t at, const struct pagerail_progress *now)
{
    uint64_t all = now->round_bytes ? now->round_bytes : 1;
    uint64_t left = now->remaining_bytes < all ? now->remaining_bytes : all;
    unsigned full = (unsigned)((double)(all - left) / (double)all * BAR_CELLS);
    char cells[BAR_CELLS + 1];
    memset(cells, '.', BAR_CELLS);
    memset(cells, '#', full < BAR_CELLS ? full : BAR_CELLS);
    cells[BAR_CELLS] = '\0';
    return append(to, at, "[%s]", cells);
}

static size_t append_time(char *to, size_t at, const char *what, uint64_t ns)
{
    if (ns == UINT64_MAX)
        return append(to, at, "  %s -", what);
    if (ns < 10000000000u)
        return append(to, at, "  %s %" PRIu64 " ms", what, ns / 1000000);
    return append(to, at, "  %s %" PRIu64 " s", what, ns / 1000000000);
}

void pr_progress_text(const struct pagerail_progress *now, unsigned columns,
                      char to[PR_PROGRESS_TEXT_MAX])
{
    char left[PR_SIZE_TEXT_MAX], speed[PR_SIZE_TEXT_MAX], dirty[PR_SIZE_TEXT_MAX];
    size_t at = append_bar(to, 0, now);
    at = append(to, at, " round %u  %s left  %s/s  dirty %s/s", now->round,
                pr_size_text(now->remaining_bytes, left), pr_size_text(now->bandwidth_Bps, speed),
                pr_size_text(now->dirty_rate_Bps, dirty));
    at = append_time(to, at, "downtime", now->predicted_downtime_ns);
    at = append_time(to, at, "ETA", now->eta_ns);
    if (now->stats.rail_state != PAGERAIL_RAIL_UP)
        at = append(to, at, "  LINK DOWN");
    if (now->throttle_percent)
        append(to, at, "  slowed by %u %%", now->throttle_percent);
    if (columns && columns < PR_PROGRESS_TEXT_MAX)
        to[columns] = '\0';
}

static unsigned columns_of(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) || !size.ws_col)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

static void show_bar(struct pr_progress *progress, const struct pagerail_progress *now)
{
    char text[PR_PROGRESS_TEXT_MAX];
    /* One column stays free: some terminals wrap when the last one is written. */
    pr_progress_text(now, columns_of(progress->to) - 1, text);
    fprintf(progress->to, "\r%s\033[K", text);
    fflush(progress->to);
    progress->open = true;
}

static void show_line(struct pr_progress *progress, const struct pagerail_progress *now)
{
    fprintf(progress->to, "phase: %s", pagerail_phase_name(now->phase));
    if (now->phase == PAGERAIL_PHASE_SWITCHOVER && now->predicted_downtime_ns != UINT64_MAX)
        fprintf(progress->to, " after %u rounds, predicted downtime %" PRIu64 " ms", now->round - 1,
                now->predicted_downtime_ns / 1000000);
    fputc('\n', progress->to);
}

void pr_progress_show(struct pr_progress *progress, const struct pagerail_progress *now)
{
    bool changed = now->phase != progress->phase;
    progress->phase = now->phase;
    if (progress->style == PR_PROGRESS_BAR && now->round)
        show_bar(progress, now);
    else if (progress->style != PR_PROGRESS_NONE && changed)
        show_line(progress, now);
}

void pr_progress_end(struct pr_progress *progress)
{
    if (progress->open)
        fputc('\n', progress->to);
    progress->open = false;
}
