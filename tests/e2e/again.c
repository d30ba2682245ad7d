/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two processes hand one small guest to and fro, many times, and hold nothing more afterwards than
 * after the first few: descriptors, locked, pinned and resident memory, and what a command says.
 *
 *   again HERE THERE COUNT first|second [COMMAND]
 *
 * HERE, THERE: URIs where this process and the other one listen. COUNT: migrations, an even number.
 * first: has the guest, and starts when the other one waits. COMMAND: its output is compared too.
 * Built against the public headers alone.
 */
#include <dirent.h>
#include <errno.h>
#include <pagerail/pagerail.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES 1024
#define WORDS (PAGERAIL_PAGE_BYTES / sizeof(uint64_t))
#define LEN ((uint64_t)PAGES * PAGERAIL_PAGE_BYTES)

/* Migrations until everything that is kept for good has been made. */
#define WARM 10

/* Heaps and stacks grow a little without a leak: an eighth of what one guest has. */
#define RSS_SLACK_KIB (LEN / 8 / 1024)

struct vm {
    uint64_t *memory;
    uint64_t moves;             /* device state: what page p must hold follows from it */
    uint64_t dirty[PAGES / 64]; /* the writes of the last moment */
};

/* Every fourth page is written while the guest is being stopped, so it is newer by one. */
static uint64_t word_of(uint64_t moves, uint64_t page)
{
    return (moves + (page % 4 == 0)) * PAGES + page;
}

static void write_page(struct vm *vm, uint64_t page, uint64_t word)
{
    for (uint64_t i = 0; i < WORDS; i++)
        vm->memory[page * WORDS + i] = word + i;
}

static void write_all(struct vm *vm)
{
    for (uint64_t page = 0; page < PAGES; page++)
        write_page(vm, page, vm->moves * PAGES + page);
}

static int stop(void *opaque)
{
    struct vm *vm = opaque;
    for (uint64_t page = 0; page < PAGES; page += 4) {
        write_page(vm, page, word_of(vm->moves, page));
        vm->dirty[page / 64] |= UINT64_C(1) << page % 64;
    }
    return 0;
}

static int64_t dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                          uint64_t *bits)
{
    struct vm *vm = opaque;
    int64_t found = 0;
    (void)region;
    for (uint64_t i = 0; i < pages / 64; i++) {
        uint64_t *word = &vm->dirty[first_page / 64 + i];
        bits[i] |= *word;
        found += __builtin_popcountll(*word);
        *word = 0;
    }
    return found;
}

static int dirty_start(void *opaque)
{
    memset(((struct vm *)opaque)->dirty, 0, sizeof(((struct vm *)opaque)->dirty));
    return 0;
}

static void dirty_stop(void *opaque)
{
    (void)opaque;
}

static int go(void *opaque)
{
    (void)opaque;
    return 0;
}

static int save(void *opaque, pagerail_migration *migration)
{
    struct vm *vm = opaque;
    return pagerail_migration_write(migration, &vm->moves, sizeof(vm->moves));
}

static int load(void *opaque, pagerail_migration *migration)
{
    struct vm *vm = opaque;
    if (pagerail_migration_read(migration, &vm->moves, sizeof(vm->moves)) != sizeof(vm->moves))
        return -EIO;
    for (uint64_t at = 0; at < PAGES * WORDS; at++) {
        if (vm->memory[at] != word_of(vm->moves, at / WORDS) + at % WORDS) {
            fprintf(stderr, "page %llu is wrong after %llu moves\n",
                    (unsigned long long)(at / WORDS), (unsigned long long)vm->moves);
            return -EIO;
        }
    }
    return 0;
}

static const struct pagerail_vmm_ops ops = {
    .size = sizeof(ops),
    .dirty_start = dirty_start,
    .dirty_sync = dirty_sync,
    .dirty_stop = dirty_stop,
    .stop = stop,
    .resume = go,
    .save = save,
    .load = load,
    .run = go,
};

/* --- what the process holds --- */

struct holdings {
    unsigned fds;
    unsigned long rss_kib, locked_kib, pinned_kib;
    char said[4096]; /* by the command */
};

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static void listen_to(const char *command, char *to, size_t size)
{
    FILE *pipe = command ? popen(command, "re") : NULL;
    size_t len = pipe ? fread(to, 1, size - 1, pipe) : 0;
    to[len] = '\0';
    if (pipe)
        pclose(pipe);
}

/* What the last connection held goes away a moment later: until it says the same for a while. */
static void listen_until_settled(const char *command, char *to, size_t size)
{
    char before[sizeof(((struct holdings *)0)->said)];
    unsigned same = 0;
    listen_to(command, to, size);
    for (unsigned tries = 0; tries < 200 && same < 5; tries++) {
        memcpy(before, to, size);
        listen_to(command, to, size);
        same = strcmp(before, to) ? 0 : same + 1;
    }
}

static struct holdings look(const char *command)
{
    struct holdings h = {.fds = count_fds()};
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof(line), status)) {
        sscanf(line, "VmRSS: %lu", &h.rss_kib);
        sscanf(line, "VmLck: %lu", &h.locked_kib);
        sscanf(line, "VmPin: %lu", &h.pinned_kib);
    }
    if (status)
        fclose(status);
    listen_until_settled(command, h.said, sizeof(h.said));
    return h;
}

static void show(unsigned moves, const struct holdings *h)
{
    printf("after %u: %u descriptors, %lu KiB resident, %lu locked, %lu pinned\n%s", moves, h->fds,
           h->rss_kib, h->locked_kib, h->pinned_kib, h->said);
}

static bool grew(const struct holdings *before, const struct holdings *after)
{
    return after->fds != before->fds || after->locked_kib != before->locked_kib ||
           after->pinned_kib != before->pinned_kib || strcmp(after->said, before->said) != 0 ||
           after->rss_kib > before->rss_kib + RSS_SLACK_KIB;
}

/* --- to and fro --- */

struct side {
    struct vm vm;
    struct pagerail_region ram;
    const char *here, *there;
    pagerail_migration *next; /* listens, so that the guest can come back at any time */
};

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pagerail_error_message());
    return -1;
}

static pagerail_migration *begin(struct side *side)
{
    struct pagerail_vmm vmm = {&ops, &side->vm, &side->ram, 1};
    pagerail_migration *migration;
    return pagerail_migration_new(&vmm, NULL, &migration) ? NULL : migration;
}

static int await_next(struct side *side)
{
    side->next = begin(side);
    if (!side->next || pagerail_migration_listen(side->next, side->here))
        return fail("listening");
    return 0;
}

static int receive(struct side *side)
{
    int err = pagerail_migration_receive(side->next);
    if (err)
        fail("receiving");
    pagerail_migration_free(side->next);
    side->next = NULL;
    return err;
}

static int send_away(struct side *side)
{
    side->vm.moves++;
    write_all(&side->vm);
    pagerail_migration *migration = begin(side);
    if (!migration)
        return fail("beginning");
    int err = pagerail_migration_send(migration, side->there);
    if (err)
        fail("sending");
    pagerail_migration_free(migration);
    return err;
}

static int move_to_and_fro(struct side *side, bool first)
{
    if (first)
        return await_next(side) || send_away(side) || receive(side) ? -1 : 0;
    return receive(side) || await_next(side) || send_away(side) ? -1 : 0;
}

static int run(struct side *side, unsigned count, bool first, const char *command)
{
    struct holdings warm = {0}, end;
    if (!first && await_next(side))
        return 1;
    printf("waiting\n");
    fflush(stdout);
    for (unsigned moves = 2; moves <= count; moves += 2) {
        if (move_to_and_fro(side, first))
            return 1;
        if (moves == WARM)
            warm = look(command);
    }
    end = look(command);
    show(WARM, &warm);
    show(count, &end);
    if (!grew(&warm, &end))
        return 0;
    fprintf(stderr, "this process holds more than it did\n");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6 || atoi(argv[3]) <= WARM || atoi(argv[3]) % 2) {
        fprintf(stderr, "usage: again HERE THERE COUNT first|second [COMMAND]\n");
        return 2;
    }
    struct side side = {.here = argv[1], .there = argv[2]};
    side.vm.memory =
        mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (side.vm.memory == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    side.ram = (struct pagerail_region){"ram", side.vm.memory, LEN, PAGERAIL_PAGE_BYTES, 0};
    int status =
        run(&side, (unsigned)atoi(argv[3]), !strcmp(argv[4], "first"), argc == 6 ? argv[5] : NULL);
    pagerail_migration_free(side.next);
    munmap(side.vm.memory, LEN);
    return status;
}
