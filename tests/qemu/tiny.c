/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest without a kernel: boots at once, also under emulation within emulation. Writes, checks
 * and prints what tests/qemu/guest.c does, in the same words; it is the kernel, by multiboot, so it
 * brings its own clock (the PIT's interrupt) and its own serial port.
 *
 * Command line: as there. Memory below 16 MiB is not used.
 */
#include <stdint.h>

#define PAGE 4096u
#define WORDS (PAGE / 4)
#define TICKS_PER_S 200u
#define MS_PER_TICK (1000 / TICKS_PER_S)
#define MEMORY 0x1000000u

#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_MEMORY_MAP 2u /* asks for the amount of memory */

__attribute__((section(".multiboot"), used)) static const uint32_t header[] = {
    MULTIBOOT_MAGIC, MULTIBOOT_MEMORY_MAP, -(MULTIBOOT_MAGIC + MULTIBOOT_MEMORY_MAP)};

struct multiboot_info {
    uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device, command_line;
};

static uint8_t stack[16384] __attribute__((aligned(16), used));
static volatile uint32_t ticks;
static uint32_t seed, pages, rate_pages, beat_every_ms, written, bad;
static uint32_t (*memory)[WORDS];
static uint32_t *writes; /* of each page */

/* ---- the machine ---- */

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

__attribute__((used)) void tick(void)
{
    ticks++;
    out8(0x20, 0x20); /* end of interrupt */
}

void on_tick(void);
__asm__(".globl on_tick\n"
        "on_tick: pushal; call tick; popal; iret\n");

/* Flat segments of our own: those of the boot loader may lie anywhere. */
static const uint64_t segments[] = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff};
static uint64_t gates[48];

struct table {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

static void load_tables(void)
{
    uint32_t handler = (uint32_t)on_tick;
    const struct table gdt = {sizeof(segments) - 1, (uint32_t)segments};
    const struct table idt = {sizeof(gates) - 1, (uint32_t)gates};
    gates[32] = (uint64_t)(handler & 0xffff0000) << 32 | 0x8e0000080000 | (handler & 0xffff);
    __asm__ volatile(
        "lgdt %0; ljmp $8, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss; lidt %2" ::"m"(gdt),
        "r"(16), "m"(idt)
        : "memory");
}

static void start_clock(void)
{
    const uint32_t divisor = 1193182 / TICKS_PER_S;
    static const uint16_t pic[][2] = {{0x20, 0x11}, {0x21, 32},  {0x21, 4}, {0x21, 1},
                                      {0x21, 0xfe}, {0xa1, 0xff}}; /* only the timer's interrupt */
    for (unsigned i = 0; i < sizeof(pic) / sizeof(*pic); i++)
        out8(pic[i][0], (uint8_t)pic[i][1]);
    out8(0x43, 0x34);
    out8(0x40, divisor & 0xff);
    out8(0x40, divisor >> 8);
    __asm__ volatile("sti");
}

static void put(const char *text)
{
    for (; *text; text++) {
        while (!(in8(0x3f8 + 5) & 0x20))
            ;
        out8(0x3f8, (uint8_t)*text);
    }
}

static void put_number(const char *name, uint32_t value)
{
    char text[12];
    char *at = text + sizeof(text);
    *--at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(name);
    put(at);
}

/* ---- the command line ---- */

static uint32_t setting(const char *line, const char *name, uint32_t otherwise)
{
    for (; *line; line++) {
        const char *at = line, *want = name;
        while (*want && *at == *want)
            at++, want++;
        if (*want)
            continue;
        uint32_t value = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            value = value * 10 + (uint32_t)(*at - '0');
        return value;
    }
    return otherwise;
}

/* ---- memory ---- */

static uint32_t start_of(uint32_t page)
{
    uint32_t x = (seed + page) * 0x9e3779b9u + writes[page] * 0x85ebca6bu;
    x ^= x >> 16;
    x *= 0xc2b2ae35u;
    return x ^ x >> 13;
}

/* What a word holds; all of it is zero each fourth time. */
static uint32_t word_of(uint32_t page, uint32_t start, uint32_t word)
{
    return writes[page] % 4 ? start + word * 0x94d049bbu : 0;
}

static void write_page(uint32_t page)
{
    writes[page]++;
    uint32_t start = start_of(page);
    for (uint32_t i = 0; i < WORDS; i++)
        memory[page][i] = word_of(page, start, i);
    written++;
}

static void check_page(uint32_t page)
{
    uint32_t start = start_of(page), wrong = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        wrong |= memory[page][i] ^ word_of(page, start, i);
    if (!wrong)
        return;
    bad++;
    put_number("wrong page ", page);
    put_number(" after ", writes[page]);
    put(" writes\n");
}

static void beat(uint32_t number, uint32_t gap_ms, uint32_t checked)
{
    put_number("beat ", number);
    put_number(" gap ", gap_ms);
    put_number(" written ", written);
    put_number(" swept ", checked / pages);
    put_number(" bad ", bad);
    put("\n");
}

/* What is due by the clock, in whole pages; 64 bits would need a library for the division. */
static uint32_t due_pages(uint32_t at)
{
    return at / TICKS_PER_S * rate_pages + at % TICKS_PER_S * rate_pages / TICKS_PER_S;
}

static void run(void)
{
    uint32_t start = ticks, last = start, beat_at = start, number = 0, gap = 0, draw = seed;
    uint32_t checked = 0;
    for (;;) {
        uint32_t now = ticks;
        gap = now - last > gap ? now - last : gap;
        last = now;
        while (written < due_pages(now - start)) {
            draw = draw * 1664525u + 1013904223u;
            uint32_t page = (draw >> 4) % pages;
            check_page(page);
            write_page(page);
        }
        for (uint32_t i = 0; i < 128; i++)
            check_page(checked++ % pages);
        if ((now - beat_at) * MS_PER_TICK >= beat_every_ms) {
            beat(++number, gap * MS_PER_TICK, checked);
            beat_at = now;
            gap = 0;
        }
        __asm__ volatile("hlt");
    }
}

__attribute__((used)) void tiny_main(const struct multiboot_info *info)
{
    const char *line = (const char *)info->command_line;
    seed = setting(line, "guest.seed=", 1);
    pages = setting(line, "guest.mib=", 200) << 8;
    rate_pages = setting(line, "guest.rate=", 10) << 8;
    beat_every_ms = setting(line, "guest.beat=", 100);
    memory = (void *)MEMORY;
    writes = (uint32_t *)(MEMORY + pages * PAGE);
    if (info->mem_upper_kib < ((MEMORY + pages * (PAGE + 4)) >> 10)) {
        put_number("no memory for so many pages: ", pages);
        put("\n");
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    load_tables();
    for (uint32_t page = 0; page < pages; page++)
        writes[page] = 0;
    for (uint32_t page = 0; page < pages; page++)
        write_page(page);
    written = 0;
    start_clock();
    run();
}

/* ebx: the boot loader's struct. */
__asm__(".globl _start\n"
        "_start: mov $stack + 16384, %esp; push $0; popf; push %ebx; call tiny_main\n");
