/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Soft-dirty bits. The kernel sets a page's bit when it is written; writing 4 to
 * /proc/self/clear_refs clears all bits of the process. Between the reading of a bit and the
 * clearing a write could set it and be lost, so both happen while the writers stand still: a
 * harvest, of the whole range, into `log`. Syncs take their part of the log away.
 *
 * A part of the log that has been taken is stale, and so is the whole log once the writers have
 * come to a standstill that it does not know of: then the next sync harvests first. A part not yet
 * taken is good: it lacks only writes since the harvest, by writers that still run, and those are
 * in the next harvest. So one round of syncs over the range costs one harvest, in as many parts as
 * it comes.
 */
#include "base/error.h"
#include "cli/tracker_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_4K 4096u
#define SOFT_DIRTY (1ull << 55)
#define ENTRIES_PER_READ 4096u

struct softdirty {
    struct pr_tracker_range range;
    struct pr_tracker_gate gate;
    int pagemap, clear_refs;
    uint64_t words; /* of log, one bit a page, and of taken, one bit a word of log */
    pthread_mutex_t lock;
    /* under lock */
    uint64_t *log;
    uint64_t *taken;
    uint64_t standstill; /* the writers' at the last harvest */
    uint64_t entries[ENTRIES_PER_READ];
};

static int clear_all(const struct softdirty *soft)
{
    if (pwrite(soft->clear_refs, "4", 1, 0) != 1)
        return pr_error(errno, "cannot clear the soft-dirty bits: %s", strerror(errno));
    return 0;
}

static int read_entries(const struct softdirty *soft, uintptr_t addr, uint64_t *entries,
                        uint64_t count)
{
    size_t len = count * sizeof(*entries);
    ssize_t got = pread(soft->pagemap, entries, len, (off_t)(addr / PAGE_4K * sizeof(*entries)));
    if (got != (ssize_t)len)
        return pr_error(got < 0 ? errno : EIO, "cannot read /proc/self/pagemap");
    return 0;
}

/* Kernels without the feature accept everything and report nothing: try it on a page. */
static int probe_page(const struct softdirty *soft, volatile char *page)
{
    uint64_t entry;
    page[0] = 1;
    int err = clear_all(soft);
    if (!err)
        err = read_entries(soft, (uintptr_t)page, &entry, 1);
    if (err)
        return err;
    bool clean = !(entry & SOFT_DIRTY);
    page[0] = 2;
    err = read_entries(soft, (uintptr_t)page, &entry, 1);
    if (err)
        return err;
    if (!clean || !(entry & SOFT_DIRTY))
        return pr_error(ENOTSUP, "this kernel has no soft-dirty bits: it needs "
                                 "CONFIG_MEM_SOFT_DIRTY");
    return 0;
}

static int probe(const struct softdirty *soft)
{
    void *page = mmap(NULL, PAGE_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return pr_error(errno, "no memory to try the soft-dirty bits");
    int err = probe_page(soft, page);
    munmap(page, PAGE_4K);
    return err;
}

static int open_files(struct softdirty *soft)
{
    soft->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    soft->clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (soft->pagemap < 0 || soft->clear_refs < 0)
        return pr_error(errno, "cannot open /proc/self/pagemap and clear_refs: %s",
                        strerror(errno));
    return probe(soft);
}

static void softdirty_close(void *state)
{
    struct softdirty *soft = state;
    if (soft->pagemap >= 0)
        close(soft->pagemap);
    if (soft->clear_refs >= 0)
        close(soft->clear_refs);
    pthread_mutex_destroy(&soft->lock);
    free(soft->log);
    free(soft->taken);
    free(soft);
}

static int softdirty_open(void **state, const struct pr_tracker_range *range,
                          const struct pr_tracker_gate *gate)
{
    if (range->page_bytes != PAGE_4K)
        return pr_error(ENOTSUP, "soft-dirty bits cannot track huge pages");
    struct softdirty *soft = calloc(1, sizeof(*soft));
    if (!soft)
        return pr_error(ENOMEM, "no memory for the dirty tracker");
    soft->range = *range;
    soft->gate = *gate;
    soft->words = (range->len_bytes / PAGE_4K + 63) / 64;
    pthread_mutex_init(&soft->lock, NULL);
    soft->log = calloc(soft->words, sizeof(*soft->log));
    soft->taken = calloc((soft->words + 63) / 64, sizeof(*soft->taken));
    soft->pagemap = soft->clear_refs = -1;
    int err = soft->log && soft->taken ? open_files(soft)
                                       : pr_error(ENOMEM, "no memory for the dirty log");
    if (err) {
        softdirty_close(soft);
        return err;
    }
    *state = soft;
    return 0;
}

static int collect(struct softdirty *soft)
{
    uint64_t pages = soft->range.len_bytes / PAGE_4K;
    for (uint64_t page = 0; page < pages; page += ENTRIES_PER_READ) {
        uint64_t count = pages - page < ENTRIES_PER_READ ? pages - page : ENTRIES_PER_READ;
        uintptr_t addr = (uintptr_t)soft->range.addr + page * PAGE_4K;
        int err = read_entries(soft, addr, soft->entries, count);
        if (err)
            return err;
        for (uint64_t i = 0; i < count; i++)
            soft->log[(page + i) / 64] |= (soft->entries[i] >> 55 & 1) << (page + i) % 64;
    }
    return 0;
}

/* The lock is held. Only a harvest that went through in full clears the kernel's bits. */
static int harvest(struct softdirty *soft)
{
    soft->gate.close(soft->gate.opaque);
    int err = collect(soft);
    if (!err)
        err = clear_all(soft);
    soft->standstill = soft->gate.standstill(soft->gate.opaque);
    soft->gate.open(soft->gate.opaque);
    if (!err)
        memset(soft->taken, 0, (soft->words + 63) / 64 * sizeof(*soft->taken));
    return err;
}

static int softdirty_start(void *state)
{
    struct softdirty *soft = state;
    pthread_mutex_lock(&soft->lock);
    int err = harvest(soft);
    memset(soft->log, 0, soft->words * sizeof(*soft->log));
    memset(soft->taken, 0xff, (soft->words + 63) / 64 * sizeof(*soft->taken));
    pthread_mutex_unlock(&soft->lock);
    return err;
}

static bool stale(const struct softdirty *soft, uint64_t first_word, uint64_t words)
{
    if (soft->standstill != soft->gate.standstill(soft->gate.opaque))
        return true;
    for (uint64_t word = first_word; word < first_word + words; word++) {
        if (soft->taken[word / 64] >> word % 64 & 1)
            return true;
    }
    return false;
}

static int64_t take(struct softdirty *soft, uint64_t first_word, uint64_t words, uint64_t *bits)
{
    int64_t found = 0;
    for (uint64_t i = 0; i < words; i++) {
        uint64_t *log = &soft->log[first_word + i];
        found += __builtin_popcountll(*log);
        bits[i] |= *log;
        *log = 0;
    }
    pr_tracker_set_bits(soft->taken, first_word, words);
    return found;
}

static int64_t softdirty_sync(void *state, uint64_t first_page, uint64_t pages, uint64_t *bits)
{
    struct softdirty *soft = state;
    uint64_t first_word = first_page / 64;
    uint64_t words = (pages + 63) / 64;
    pthread_mutex_lock(&soft->lock);
    int err = stale(soft, first_word, words) ? harvest(soft) : 0;
    int64_t found = err ? err : take(soft, first_word, words, bits);
    pthread_mutex_unlock(&soft->lock);
    return found;
}

static void softdirty_stop(void *state)
{
    (void)state; /* the kernel keeps its bits whether they are read or not */
}

const struct pr_tracker_ops pr_tracker_softdirty = {
    .describe = "soft-dirty bits (the writers stand still while they are collected)",
    .open = softdirty_open,
    .close = softdirty_close,
    .start = softdirty_start,
    .sync = softdirty_sync,
    .stop = softdirty_stop,
};
