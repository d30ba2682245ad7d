/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_peer: the foes and strangers of this folder as a program, against other programs.
 *
 *   hostile_peer client|server PATH NAME                        a stranger, raw.h
 *   hostile_peer source|destination PATH NAME [MOMENT [SEED]]   a foe, foe.h; "nothing" = honest
 *   hostile_peer list client|server|source|destination          the names, one a line
 *
 * As source it has the regions of `pagerail guest --size 64M`. Exit status: 0 it played its part.
 */
#include "base/error.h"
#include "rdma/local/local.h"
#include "tests/hostile/deeds.h"
#include "tests/hostile/raw.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 15000

static const char *name_of(const char *kind, unsigned i)
{
    const struct raw *raw = !strcmp(kind, "client")   ? raw_client(i)
                            : !strcmp(kind, "server") ? raw_server(i)
                                                      : NULL;
    const struct deed *deed = !strcmp(kind, "source")        ? deed_of(FOE_SOURCE, i)
                              : !strcmp(kind, "destination") ? deed_of(FOE_DESTINATION, i)
                                                             : NULL;
    return raw ? raw->name : deed ? deed->name : NULL;
}

static int list(const char *kind)
{
    const char *name;
    for (unsigned i = 0; (name = name_of(kind, i)); i++)
        puts(name);
    return 0;
}

static const struct raw *raw_named(const char *kind, const char *name)
{
    const char *each;
    if (strcmp(kind, "client") && strcmp(kind, "server"))
        return NULL;
    for (unsigned i = 0; (each = name_of(kind, i)); i++) {
        if (!strcmp(each, name))
            return !strcmp(kind, "client") ? raw_client(i) : raw_server(i);
    }
    return NULL;
}

static void complain(struct foe *foe, const char *complaint)
{
    (void)foe;
    fprintf(stderr, "the library misbehaves: %s\n", complaint);
    exit(3);
}

static int play_foe(struct foe *foe)
{
    if (pr_fabric_local_open(&foe->fabric))
        return 2;
    int err = foe_play(foe);
    fprintf(stderr, "%s%s\n", err ? pr_error_message() : "all is well",
            foe->struck ? ", deed done" : "");
    pr_fabric_close(foe->fabric);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: hostile_peer client|server|source|destination PATH NAME "
                    "[MOMENT [SEED]], or hostile_peer list ...\n");
    return 2;
}

static int play(int argc, char **argv)
{
    const char *kind = argv[1], *path = argv[2], *name = argv[3];
    const struct raw *raw = raw_named(kind, name);
    if (raw)
        return !strcmp(kind, "client") ? raw_play_client(raw, path)
                                       : raw_play_server(raw, path, -1);
    struct foe foe = {
        .role = strcmp(kind, "source") ? FOE_DESTINATION : FOE_SOURCE,
        .address = path,
        .patience_ms = PATIENCE_MS,
        .strike_at = argc > 4 ? (unsigned)atoi(argv[4]) : 1,
        .random = {argc > 5 ? strtoull(argv[5], NULL, 0) : 1},
        .complain = complain,
        .regions = 2,
        .region = {{.name = "guest.low", .len = 16 << 20, .page_bytes = 4096},
                   {.name = "guest.high", .len = 48 << 20, .page_bytes = 4096}},
    };
    foe.deed = deed_named(foe.role, name);
    if (!foe.deed && strcmp(name, "nothing"))
        return usage();
    return play_foe(&foe);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && !strcmp(argv[1], "list"))
        return list(argv[2]);
    return argc >= 4 ? play(argc, argv) : usage();
}
