/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/peer.h"

#include "bench/memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Caller -> child; each is answered by one u64. */
enum ask {
    ASK_MAP,
    ASK_TOUCH,
    ASK_FORGET,
    ASK_LISTEN,
    ASK_PART,
    ASK_EXPECT,
    ASK_CPU,
    ASK_REGISTERED
};

struct question {
    enum ask ask;
    uint64_t a, b;
};

struct child {
    int sock;
    const char *uri;
    uint8_t *memory;
    size_t len_bytes;
    pagerail_destination *session;
};

void pr_bench_must(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "%s failed (%s): %s\n", what, strerror(-err), pagerail_error_message());
    exit(2);
}

struct pagerail_region pr_bench_region(void *memory, size_t len_bytes, bool fresh)
{
    return (struct pagerail_region){
        .name = "guest",
        .addr = memory,
        .len_bytes = len_bytes,
        .page_bytes = PAGERAIL_PAGE_BYTES,
        .flags = PAGERAIL_REGION_NO_LAZY_FILL | (fresh ? PAGERAIL_REGION_FRESH : 0),
    };
}

/* ---- the child ---- */

static void answer(const struct child *child, uint64_t value)
{
    if (write(child->sock, &value, sizeof(value)) != sizeof(value))
        exit(2);
}

static uint64_t map(struct child *child, size_t len_bytes, bool huge)
{
    if (child->memory)
        munmap(child->memory, child->len_bytes);
    child->memory = pr_bench_reserve(len_bytes, huge);
    child->len_bytes = len_bytes;
    return (uintptr_t)child->memory;
}

static void touch(struct child *child, size_t stride)
{
    for (size_t at = 0; at < child->len_bytes; at += stride)
        child->memory[at] = 1;
}

static void serve_session(struct child *child, bool fresh)
{
    pr_bench_must(pagerail_destination_new(NULL, &child->session), "making a destination");
    pr_bench_must(pagerail_destination_listen(child->session, child->uri), "listening");
    answer(child, 0);
    struct pagerail_region region = pr_bench_region(child->memory, child->len_bytes, fresh);
    pr_bench_must(pagerail_destination_accept(child->session, &region, 1, -1), "accepting");
}

static uint64_t registered(const struct child *child)
{
    struct pagerail_stats stats = {0};
    if (child->session)
        pagerail_destination_stats(child->session, &stats);
    return stats.registered_bytes;
}

static void part(struct child *child)
{
    pagerail_destination_free(child->session);
    child->session = NULL;
}

static void serve(struct child *child, const struct question *q)
{
    switch (q->ask) {
    case ASK_MAP:
        answer(child, map(child, q->a, q->b));
        return;
    case ASK_TOUCH:
        touch(child, q->a);
        break;
    case ASK_FORGET:
        madvise(child->memory, child->len_bytes, MADV_DONTNEED);
        break;
    case ASK_LISTEN:
        serve_session(child, q->a); /* answers itself */
        return;
    case ASK_PART:
        part(child);
        break;
    case ASK_EXPECT:
        answer(child, pr_bench_stamped(child->memory, child->len_bytes, q->a, q->b));
        return;
    case ASK_CPU:
        answer(child, pr_bench_cpu_ns());
        return;
    case ASK_REGISTERED:
        answer(child, registered(child));
        return;
    }
    answer(child, 0);
}

static void child_main(int sock, const char *uri)
{
    struct child child = {.sock = sock, .uri = uri};
    struct question q;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(sock, &q, sizeof(q)) == sizeof(q))
        serve(&child, &q);
    pagerail_destination_free(child.session);
    _exit(0);
}

/* ---- the caller ---- */

static uint64_t ask(struct pr_bench_peer *peer, enum ask what, uint64_t a, uint64_t b)
{
    struct question q = {what, a, b};
    uint64_t value;
    if (write(peer->sock, &q, sizeof(q)) == sizeof(q) &&
        read(peer->sock, &value, sizeof(value)) == sizeof(value))
        return value;
    fprintf(stderr, "the destination's process has ended: see its message above\n");
    exit(2);
}

void pr_bench_peer_start(struct pr_bench_peer *peer)
{
    int socks[2];
    snprintf(peer->folder, sizeof(peer->folder), "/tmp/pagerail-bench-XXXXXX");
    if (!mkdtemp(peer->folder) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks)) {
        perror("cannot start a second process");
        exit(2);
    }
    snprintf(peer->uri, sizeof(peer->uri), "local:%s/sock", peer->folder);
    peer->pid = fork();
    if (peer->pid < 0) {
        perror("fork");
        exit(2);
    }
    if (!peer->pid) {
        close(socks[0]);
        child_main(socks[1], peer->uri);
    }
    close(socks[1]);
    peer->sock = socks[0];
}

void pr_bench_peer_stop(struct pr_bench_peer *peer)
{
    close(peer->sock);
    waitpid(peer->pid, NULL, 0);
    rmdir(peer->folder);
}

void pr_bench_peer_map(struct pr_bench_peer *peer, size_t len_bytes, bool huge)
{
    peer->memory = (void *)(uintptr_t)ask(peer, ASK_MAP, len_bytes, huge);
    peer->len_bytes = len_bytes;
}

void pr_bench_peer_touch(struct pr_bench_peer *peer, size_t stride)
{
    ask(peer, ASK_TOUCH, stride, 0);
}

void pr_bench_peer_forget(struct pr_bench_peer *peer)
{
    ask(peer, ASK_FORGET, 0, 0);
}

void pr_bench_peer_listen(struct pr_bench_peer *peer, bool fresh)
{
    ask(peer, ASK_LISTEN, fresh, 0);
}

void pr_bench_peer_part(struct pr_bench_peer *peer)
{
    ask(peer, ASK_PART, 0, 0);
}

void pr_bench_peer_expect(struct pr_bench_peer *peer, uint64_t stride, uint64_t stamp)
{
    if (ask(peer, ASK_EXPECT, stride, stamp))
        return;
    fprintf(stderr, "a page did not arrive: the figures mean nothing\n");
    abort();
}

uint64_t pr_bench_peer_cpu_ns(struct pr_bench_peer *peer)
{
    return ask(peer, ASK_CPU, 0, 0);
}

uint64_t pr_bench_peer_registered_bytes(struct pr_bench_peer *peer)
{
    return ask(peer, ASK_REGISTERED, 0, 0);
}
