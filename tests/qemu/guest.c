/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest of the QEMU tests: the only program of its initramfs. It fills memory, goes on writing
 * pages of it at a set rate, holds every byte against what it wrote, and prints one line each beat:
 *
 *   beat N gap G written W swept S bad B
 *
 * gap: the longest time in ms between two turns of its loop since the last line, by its own clock.
 * written: pages since it started. swept: how often all of its memory was checked. bad: pages that
 * were found wrong, which stays 0.
 *
 * Kernel command line: guest.mib=200 guest.rate=10 (MiB/s) guest.seed=1 guest.beat=100 (ms).
 *
 * A page is all that follows from its number and how often it was written; each fourth time it is
 * all zero.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / 8)
#define TURN_MS 5

static uint64_t seed, pages, rate_pages, beat_every_ms;
static uint64_t (*memory)[WORDS];
static uint32_t *writes; /* of each page */
static uint64_t written, bad;

static uint64_t setting(const char *line, const char *name, uint64_t otherwise)
{
    const char *at = strstr(line, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : otherwise;
}

static uint64_t start_of(uint64_t page)
{
    uint64_t x = (seed + page) * 0x9e3779b97f4a7c15u + writes[page];
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 27;
}

static void write_page(uint64_t page)
{
    writes[page]++;
    uint64_t x = start_of(page);
    for (unsigned i = 0; i < WORDS; i++)
        memory[page][i] = writes[page] % 4 ? x + i * 0x94d049bb133111ebu : 0;
    written++;
}

static void check_page(uint64_t page)
{
    uint64_t x = start_of(page), wrong = 0;
    for (unsigned i = 0; i < WORDS; i++)
        wrong |= memory[page][i] ^ (writes[page] % 4 ? x + i * 0x94d049bb133111ebu : 0);
    if (!wrong)
        return;
    bad++;
    printf("wrong page %lu after %u writes\n", (unsigned long)page, writes[page]);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run(void)
{
    uint64_t start = now_ms(), last = start, beat = 0, beat_ms = start, gap = 0, draw = seed;
    uint64_t checked = 0;
    for (;;) {
        uint64_t now = now_ms();
        gap = now - last > gap ? now - last : gap;
        last = now;
        for (uint64_t due = (now - start) * rate_pages / 1000; written < due;) {
            draw = draw * 6364136223846793005u + 1442695040888963407u;
            uint64_t page = (draw >> 33) % pages;
            check_page(page);
            write_page(page);
        }
        for (unsigned i = 0; i < 256; i++)
            check_page(checked++ % pages);
        if (now - beat_ms >= beat_every_ms) {
            printf("beat %lu gap %lu written %lu swept %lu bad %lu\n", (unsigned long)++beat,
                   (unsigned long)gap, (unsigned long)written, (unsigned long)(checked / pages),
                   (unsigned long)bad);
            beat_ms = now;
            gap = 0;
        }
        usleep(TURN_MS * 1000);
    }
}

/* Drivers, by number, in the order in which they need each other. */
static void load_modules(void)
{
    char path[32];
    for (int number = 0;; number++) {
        snprintf(path, sizeof(path), "/modules/%d", number);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            return;
        if (syscall(SYS_finit_module, fd, "", 0))
            printf("module %d does not load\n", number);
        close(fd);
    }
}

static void read_settings(void)
{
    char line[4096] = "";
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    int fd = open("/proc/cmdline", O_RDONLY);
    if (fd >= 0 && read(fd, line, sizeof(line) - 1) < 0)
        line[0] = 0;
    close(fd);
    seed = setting(line, "guest.seed=", 1);
    pages = setting(line, "guest.mib=", 200) * (1 << 20) / PAGE;
    rate_pages = setting(line, "guest.rate=", 10) * (1 << 20) / PAGE;
    beat_every_ms = setting(line, "guest.beat=", 100);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_settings();
    load_modules();
    memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    writes = calloc(pages, sizeof(*writes));
    if (memory == MAP_FAILED || !writes) {
        printf("no memory for %lu pages\n", (unsigned long)pages);
        reboot(RB_POWER_OFF);
    }
    for (uint64_t page = 0; page < pages; page++)
        write_page(page);
    written = 0;
    run();
}
