/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library against hostile processes over the local fabric: real threads, real sockets, real
 * time. Every deed of a foe once, and every stranger; what must hold is in verdict.h. A destination
 * that strangers visited must take a good source in afterwards.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/local.h"
#include "tests/hostile/cases.h"
#include "tests/hostile/raw.h"
#include "tests/hostile/verdict.h"
#include "tests/unit/seed.h"

#include <errno.h>
#include <pagerail/log.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096
#define GUARD (16 * PAGE)
#define RAM (UINT64_C(48) << 20)
#define VGA (24 * PAGE)
#define GROUND (3 * GUARD + RAM + VGA)
#define AT_ONCE 8
#define FOE_PATIENCE_MS 8000

static struct seeded numbers;
static char folder[] = "/tmp/pr-hostile-XXXXXX";

/* What the two processes of a case share. */
struct shared {
    struct foe foe;
    _Atomic bool listens;
    int err;
    char words[512], complaint[512];
};

struct guest {
    const struct scene *scene;
    uint8_t *ground;
    struct pagerail_region regions[2];
    pagerail_migration *migration;
    struct pagerail_outcome outcome;
    bool runs, ran, logging;
};

/* ---- the guest: it stands still, so every byte of it can be known ---- */

static uint8_t ground_byte(uint64_t at)
{
    return (uint8_t)(at * 167 + at / PAGE + 1);
}

static void open_guest(struct guest *guest, const struct scene *scene)
{
    *guest = (struct guest){.scene = scene};
    guest->ground = mmap(NULL, GROUND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guest->ground == MAP_FAILED)
        scene_fail(scene, "no memory for a guest");
    for (uint64_t i = 0; i < GROUND; i++)
        guest->ground[i] = ground_byte(i);
    guest->regions[0] = (struct pagerail_region){
        .name = "ram", .addr = guest->ground + GUARD, .len_bytes = RAM, .page_bytes = PAGE};
    guest->regions[1] = (struct pagerail_region){.name = "vga",
                                                 .addr = guest->ground + 2 * GUARD + RAM,
                                                 .len_bytes = VGA,
                                                 .page_bytes = PAGE};
}

static void check_ground(const struct guest *guest, uint64_t from, uint64_t len, const char *what)
{
    for (uint64_t i = from; i < from + len; i++) {
        if (guest->ground[i] != ground_byte(i))
            scene_fail(guest->scene, "%s has changed", what);
    }
}

static void check_guards(const struct guest *guest)
{
    check_ground(guest, 0, GUARD, "memory before the guest");
    check_ground(guest, GUARD + RAM, GUARD, "memory between the guest's regions");
    check_ground(guest, 2 * GUARD + RAM + VGA, GUARD, "memory behind the guest");
}

static int on_dirty_start(void *opaque)
{
    ((struct guest *)opaque)->logging = true;
    return 0;
}

static int64_t on_dirty_sync(void *opaque, uint32_t region, uint64_t first_page, uint64_t pages,
                             uint64_t *bits)
{
    (void)opaque, (void)region, (void)first_page, (void)pages, (void)bits;
    return 0;
}

static void on_dirty_stop(void *opaque)
{
    ((struct guest *)opaque)->logging = false;
}

static int on_stop(void *opaque)
{
    ((struct guest *)opaque)->runs = false;
    return 0;
}

static int on_resume(void *opaque)
{
    ((struct guest *)opaque)->runs = true;
    return 0;
}

static int on_save(void *opaque, pagerail_migration *migration)
{
    (void)opaque;
    static const uint8_t state[100000];
    return pagerail_migration_write(migration, state, sizeof(state));
}

static int on_load(void *opaque, pagerail_migration *migration)
{
    (void)opaque;
    uint8_t bytes[1000];
    ssize_t got;
    while ((got = pagerail_migration_read(migration, bytes, sizeof(bytes))) > 0)
        continue;
    return (int)got;
}

static int on_run(void *opaque)
{
    ((struct guest *)opaque)->ran = true;
    return 0;
}

static const struct pagerail_vmm_ops vmm_ops = {
    .size = sizeof(vmm_ops),
    .dirty_start = on_dirty_start,
    .dirty_sync = on_dirty_sync,
    .dirty_stop = on_dirty_stop,
    .stop = on_stop,
    .resume = on_resume,
    .save = on_save,
    .load = on_load,
    .run = on_run,
};

static void open_migration(struct guest *guest)
{
    struct pagerail_vmm vmm = {&vmm_ops, guest, guest->regions, 2};
    struct pagerail_options options = {.size = sizeof(options),
                                       .lanes = FOE_DATA_LANES,
                                       .window_bytes = UINT64_C(4) << 20,
                                       .switchover_timeout_ms = 4000};
    if (pagerail_migration_new(&vmm, &options, &guest->migration))
        scene_fail(guest->scene, "%s", pagerail_error_message());
}

static const char *uri_of(const struct scene *scene)
{
    static char uri[300];
    snprintf(uri, sizeof(uri), "local:%s/socket", scene->folder);
    return uri;
}

/* ---- the foe's process ---- */

static void note_complaint(struct foe *foe, const char *complaint)
{
    struct shared *shared = foe->opaque;
    snprintf(shared->complaint, sizeof(shared->complaint), "%s", complaint);
}

static void note_listening(struct foe *foe)
{
    ((struct shared *)foe->opaque)->listens = true;
}

static void play_foe(struct shared *shared)
{
    struct foe *foe = &shared->foe;
    if (pr_fabric_local_open(&foe->fabric))
        _exit(1);
    shared->err = foe_play(foe);
    snprintf(shared->words, sizeof(shared->words), "%s", shared->err ? pr_error_message() : "");
    pr_fabric_close(foe->fabric);
    _exit(0);
}

static struct shared *new_foe(const struct scene *scene, enum foe_role role,
                              const struct deed *deed)
{
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        scene_fail(scene, "no memory for a foe");
    struct seeded random = {scene->seed};
    shared->foe = (struct foe){
        .role = role,
        .address = strchr(uri_of(scene), ':') + 1,
        .random = {seeded_next(&random)},
        .deed = deed,
        .strike_at = (unsigned)seeded_below(&random, 30),
        .patience_ms = FOE_PATIENCE_MS,
        .listens = note_listening,
        .complain = note_complaint,
        .opaque = shared,
        .regions = role == FOE_SOURCE ? 2 : 0,
        .region = {{.name = "ram", .len = RAM, .page_bytes = PAGE},
                   {.name = "vga", .len = VGA, .page_bytes = PAGE}},
    };
    if (deed && deed->prepare)
        shared->foe.strike_at = 1;
    return shared;
}

/* ---- a case with a foe ---- */

static void judge(const struct guest *guest, const struct shared *shared, bool tired)
{
    char text[1024];
    struct ending ending = {&shared->foe, shared->words, &guest->outcome, guest->ran, tired};
    if (shared->complaint[0])
        scene_fail(guest->scene, "the library misbehaves: %s", shared->complaint);
    if (!verdict_good(&ending, text, sizeof(text)))
        scene_fail(guest->scene, "%s", text);
}

static void close_guest(struct guest *guest, unsigned descriptors)
{
    pagerail_migration_free(guest->migration);
    check_guards(guest);
    munmap(guest->ground, GROUND);
    if (scene_descriptors() != descriptors)
        scene_fail(guest->scene, "%u descriptors were left open",
                   scene_descriptors() - descriptors);
}

/* A destination to which nobody was let in waits on; somebody has to tire of it. */
struct tiring {
    struct guest *guest;
    pid_t foe;
    bool tired;
    _Atomic bool over;
};

static void tire(void *opaque)
{
    struct tiring *t = opaque;
    struct pagerail_outcome now = {0};
    while (!t->over && !scene_has_ended(t->foe))
        pr_sleep_ms(2);
    for (int i = 0; i < 500 && !t->over; i++)
        pr_sleep_ms(2);
    if (!t->over)
        pagerail_migration_outcome(t->guest->migration, &now);
    t->tired = now.phase == PAGERAIL_PHASE_CONNECTING;
    if (t->tired)
        pagerail_migration_cancel(t->guest->migration);
}

static void source_attacks(const struct scene *scene)
{
    unsigned descriptors = scene_descriptors();
    struct guest guest;
    struct pr_thread *thread;
    open_guest(&guest, scene);
    open_migration(&guest);
    struct shared *shared = new_foe(scene, FOE_SOURCE, scene->arg);
    if (pagerail_migration_listen(guest.migration, uri_of(scene)))
        scene_fail(scene, "%s", pagerail_error_message());
    struct tiring tiring = {.guest = &guest, .foe = scene_fork()};
    if (!tiring.foe)
        play_foe(shared);
    if (pr_thread_spawn(&thread, "tire", tire, &tiring))
        scene_fail(scene, "no thread");
    pagerail_migration_receive(guest.migration);
    pagerail_migration_outcome(guest.migration, &guest.outcome);
    tiring.over = true;
    pr_thread_join(thread);
    if (!guest.outcome.error)
        pagerail_migration_report(guest.migration, "report", 6);
    pagerail_migration_free(guest.migration);
    guest.migration = NULL;
    scene_end_other(tiring.foe, 10000);
    judge(&guest, shared, tiring.tired);
    munmap(shared, sizeof(*shared));
    close_guest(&guest, descriptors);
}

/* Never released, or not: the memory is untouched, for the guest stands still by itself. */
static void check_source(const struct guest *guest)
{
    check_ground(guest, 0, GROUND, "the source's memory");
    if (guest->logging)
        scene_fail(guest->scene, "the dirty log was left on");
    if (guest->outcome.guest_is_here != guest->runs)
        scene_fail(guest->scene, "the guest %s",
                   guest->runs ? "was given away and runs" : "is here and does not run");
}

static void destination_attacks(const struct scene *scene)
{
    unsigned descriptors = scene_descriptors();
    struct guest guest;
    open_guest(&guest, scene);
    open_migration(&guest);
    guest.runs = true;
    struct shared *shared = new_foe(scene, FOE_DESTINATION, scene->arg);
    pid_t foe = scene_fork();
    if (!foe)
        play_foe(shared);
    for (int i = 0; i < 5000 && !shared->listens; i++)
        pr_sleep_ms(2);
    pagerail_migration_send(guest.migration, uri_of(scene));
    pagerail_migration_outcome(guest.migration, &guest.outcome);
    pagerail_migration_free(guest.migration);
    guest.migration = NULL;
    scene_end_other(foe, 1000);
    unlink(strchr(uri_of(scene), ':') + 1); /* a killed foe's */
    check_source(&guest);
    judge(&guest, shared, false);
    munmap(shared, sizeof(*shared));
    close_guest(&guest, descriptors);
}

/* ---- strangers ---- */

static void stranger_then_source(const struct scene *scene)
{
    const struct raw *raw = scene->arg;
    unsigned descriptors = scene_descriptors();
    struct guest guest;
    open_guest(&guest, scene);
    open_migration(&guest);
    struct shared *shared = new_foe(scene, FOE_SOURCE, NULL);
    if (pagerail_migration_listen(guest.migration, uri_of(scene)))
        scene_fail(scene, "%s", pagerail_error_message());
    pid_t visitor = scene_fork();
    if (!visitor) {
        raw_play_client(raw, shared->foe.address);
        play_foe(shared); /* and now in good order */
    }
    pagerail_migration_receive(guest.migration);
    pagerail_migration_outcome(guest.migration, &guest.outcome);
    if (!guest.outcome.error)
        pagerail_migration_report(guest.migration, "report", 6);
    pagerail_migration_free(guest.migration);
    guest.migration = NULL;
    scene_end_other(visitor, 10000);
    judge(&guest, shared, false);
    munmap(shared, sizeof(*shared));
    close_guest(&guest, descriptors);
}

static void strange_listener(const struct scene *scene)
{
    const struct raw *raw = scene->arg;
    unsigned descriptors = scene_descriptors();
    struct guest guest;
    int ready[2];
    char byte;
    open_guest(&guest, scene);
    open_migration(&guest);
    guest.runs = true;
    if (pipe(ready))
        scene_fail(scene, "no pipe");
    pid_t listener = scene_fork();
    if (!listener)
        _exit(raw_play_server(raw, strchr(uri_of(scene), ':') + 1, ready[1]) ? 1 : 0);
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    close(ready[1]);
    pagerail_migration_send(guest.migration, uri_of(scene));
    pagerail_migration_outcome(guest.migration, &guest.outcome);
    pagerail_migration_free(guest.migration);
    guest.migration = NULL;
    scene_end_other(listener, 10000);
    check_source(&guest);
    const struct pagerail_outcome *o = &guest.outcome;
    if (!o->error || !o->guest_is_here || !o->message[0] || strpbrk(o->message, "\n\033\a"))
        scene_fail(scene, "it ended with %d, '%s'", o->error, o->message);
    close_guest(&guest, descriptors);
}

/* ---- the table ---- */

static bool chosen(const char *name)
{
    const char *only = getenv("SIEGE_DEED");
    return !only || !strcmp(only, name);
}

static void add(struct scene *scenes, unsigned *count, const char *name,
                void (*play)(const struct scene *), const void *arg)
{
    if (chosen(name))
        scenes[(*count)++] =
            (struct scene){.name = name, .play = play, .arg = arg, .seed = seeded_next(&numbers)};
}

static void play_all(struct scene *scenes, unsigned count)
{
    assert_int_equal(scenes_play(scenes, count, AT_ONCE, folder), 0);
    print_message("%u cases\n", count);
}

static void deeds(enum foe_role role, void (*play)(const struct scene *))
{
    struct scene scenes[200];
    const struct deed *deed;
    unsigned count = 0;
    add(scenes, &count, "nothing", play, NULL);
    for (unsigned i = 0; (deed = deed_of(role, i)); i++)
        add(scenes, &count, deed->name, play, deed);
    play_all(scenes, count);
}

static void hostile_sources(void **state)
{
    (void)state;
    deeds(FOE_SOURCE, source_attacks);
}

static void hostile_destinations(void **state)
{
    (void)state;
    deeds(FOE_DESTINATION, destination_attacks);
}

static void strangers(void **state)
{
    (void)state;
    struct scene scenes[200];
    const struct raw *raw;
    unsigned count = 0;
    for (unsigned i = 0; (raw = raw_client(i)); i++)
        add(scenes, &count, raw->name, stranger_then_source, raw);
    play_all(scenes, count);
}

static void strange_listeners(void **state)
{
    (void)state;
    struct scene scenes[200];
    const struct raw *raw;
    unsigned count = 0;
    for (unsigned i = 0; (raw = raw_server(i)); i++)
        add(scenes, &count, raw->name, strange_listener, raw);
    play_all(scenes, count);
}

int main(void)
{
    numbers = seeded_start();
    signal(SIGPIPE, SIG_IGN);
    pagerail_log_set(PAGERAIL_LOG_ERROR, NULL, NULL);
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers),
        cmocka_unit_test(strange_listeners),
        cmocka_unit_test(hostile_sources),
        cmocka_unit_test(hostile_destinations),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
