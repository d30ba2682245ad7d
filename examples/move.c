/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest VMM that can be migrated: one region of memory, one vCPU that counts in it, a dirty
 * log that the vCPU keeps itself. Start `move at local:/tmp/here`, then `move to local:/tmp/here`.
 */
#include <errno.h>
#include <pagerail/pagerail.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGES 16384

struct vm {
    uint64_t *memory;                   /* a counter at the start of each page */
    _Atomic uint64_t dirty[PAGES / 64]; /* one bit a page */
    uint64_t steps;                     /* device state: the sum of all counters */
    _Atomic bool run;
    pthread_t vcpu;
};

static uint64_t *counter(struct vm *vm, uint64_t page)
{
    return vm->memory + page * (PAGERAIL_PAGE_BYTES / sizeof(uint64_t));
}

/* Writes, then logs: were it the other way, a write could miss both this log and the next. */
static void *vcpu(void *arg)
{
    struct vm *vm = arg;
    while (atomic_load(&vm->run)) {
        uint64_t page = vm->steps++ * 7919 % PAGES;
        ++*counter(vm, page);
        atomic_fetch_or(&vm->dirty[page / 64], UINT64_C(1) << page % 64);
        if (vm->steps % 512 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static int go(void *opaque)
{
    struct vm *vm = opaque;
    vm->run = true;
    int err = pthread_create(&vm->vcpu, NULL, vcpu, vm);
    if (err)
        vm->run = false;
    return -err;
}

static int stop(void *opaque)
{
    struct vm *vm = opaque;
    vm->run = false;
    return -pthread_join(vm->vcpu, NULL);
}

/* The log is always on. Every page counts as dirty at the beginning, whatever it says. */
static int dirty_start(void *opaque)
{
    (void)opaque;
    return 0;
}

static void dirty_stop(void *opaque)
{
    (void)opaque;
}

static int64_t dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                          uint64_t *bits)
{
    struct vm *vm = opaque;
    int64_t found = 0;
    (void)region;
    for (uint64_t i = 0; i < pages / 64; i++) {
        uint64_t taken = atomic_exchange(&vm->dirty[first_page / 64 + i], 0);
        bits[i] |= taken;
        found += __builtin_popcountll(taken);
    }
    return found;
}

static int save(void *opaque, pagerail_migration *migration)
{
    struct vm *vm = opaque;
    return pagerail_migration_write(migration, &vm->steps, sizeof(vm->steps));
}

/* All memory is here. A real VMM parses what it reads as untrusted bytes. */
static int load(void *opaque, pagerail_migration *migration)
{
    struct vm *vm = opaque;
    uint64_t sum = 0;
    ssize_t got = pagerail_migration_read(migration, &vm->steps, sizeof(vm->steps));
    for (uint64_t page = 0; page < PAGES; page++)
        sum += *counter(vm, page);
    printf("%llu steps, memory says %llu\n", (unsigned long long)vm->steps,
           (unsigned long long)sum);
    return got == sizeof(vm->steps) && sum == vm->steps ? 0 : -EIO;
}

static const struct pagerail_vmm_ops ops = {
    .size = sizeof(ops),
    /* source */
    .dirty_start = dirty_start,
    .dirty_sync = dirty_sync,
    .dirty_stop = dirty_stop,
    .stop = stop,
    .resume = go,
    .save = save,
    /* destination */
    .load = load,
    .run = go,
};

/* here: wait for the guest at the URI; otherwise send it there. */
static int migrate(struct vm *vm, bool here, const char *uri)
{
    struct pagerail_region ram = {"ram", vm->memory, PAGES * PAGERAIL_PAGE_BYTES,
                                  PAGERAIL_PAGE_BYTES, here ? PAGERAIL_REGION_FRESH : 0};
    struct pagerail_vmm vmm = {&ops, vm, &ram, 1};
    struct pagerail_outcome outcome;
    pagerail_migration *migration;
    int err = pagerail_migration_new(&vmm, NULL, &migration);
    if (err)
        return err;
    if (here)
        err = pagerail_migration_listen(migration, uri);
    if (!err)
        err =
            here ? pagerail_migration_receive(migration) : pagerail_migration_send(migration, uri);
    if (err)
        fprintf(stderr, "%s\n", pagerail_error_message());
    pagerail_migration_outcome(migration, &outcome);
    printf("%s, %u rounds; the guest is %s\n", pagerail_phase_name(outcome.phase), outcome.rounds,
           outcome.guest_is_here ? "here" : "not here");
    pagerail_migration_free(migration);
    return err;
}

int main(int argc, char **argv)
{
    struct vm vm = {0};
    bool here = argc == 3 && !strcmp(argv[1], "at");
    if (!here && (argc != 3 || strcmp(argv[1], "to") != 0)) {
        fprintf(stderr, "usage: move at|to local:/path/to.sock\n");
        return 2;
    }
    vm.memory = mmap(NULL, PAGES * PAGERAIL_PAGE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm.memory == MAP_FAILED || (!here && go(&vm)))
        return 1;
    int err = migrate(&vm, here, argv[2]);
    if (vm.run)
        stop(&vm);
    return err ? 1 : 0;
}
