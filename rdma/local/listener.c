/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client that has connected waits here until it has said something, beside others, so that one
 * that stays silent holds nobody up. Clients wait across calls of accept.
 */
#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/fabric.h"
#include "rdma/local/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_WAITING 8
#define SILENCE_MS 1000 /* from the connection to the first word */
#define FINISH_MS 2000  /* from there to the end of the handshake */

struct waiting {
    int sock; /* -1: free place */
    uint64_t deadline_ns;
};

struct local_listener {
    struct pr_listener base; /* first: cast back */
    int sock;
    struct pr_local_path path;
    struct waiting waiting[MAX_WAITING];
};

static struct local_listener *listener_of(struct pr_listener *listener)
{
    return (struct local_listener *)listener;
}

int pr_local_listener_open(struct pr_fabric *fabric, const char *address, struct pr_listener **out)
{
    struct local_listener *l = calloc(1, sizeof(*l));
    if (!l)
        return pr_error(ENOMEM, "no memory for a listener");
    l->base = (struct pr_listener){.ops = fabric->ops, .fabric = fabric};
    for (unsigned i = 0; i < MAX_WAITING; i++)
        l->waiting[i].sock = -1;
    l->sock = pr_local_path_listen(&l->path, address);
    if (l->sock < 0) {
        int err = l->sock;
        free(l);
        return err;
    }
    *out = &l->base;
    return 0;
}

void pr_local_listener_close(struct pr_listener *listener)
{
    struct local_listener *l = listener_of(listener);
    /* The file goes first: a path that exists has a listener, or is left over from a dead one. */
    pr_local_path_remove(&l->path);
    for (unsigned i = 0; i < MAX_WAITING; i++)
        if (l->waiting[i].sock >= 0)
            close(l->waiting[i].sock);
    close(l->sock);
    free(l);
}

static struct waiting *free_place(struct local_listener *l)
{
    for (unsigned i = 0; i < MAX_WAITING; i++)
        if (l->waiting[i].sock < 0)
            return &l->waiting[i];
    return NULL;
}

static int take_in(struct local_listener *l, struct waiting *place)
{
    int sock = accept4(l->sock, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (sock < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
        return 0;
    if (sock < 0)
        return pr_error(errno, "cannot accept a connection: %s (raise `ulimit -n`?)",
                        strerror(errno));
    *place = (struct waiting){.sock = sock, .deadline_ns = pr_deadline_after_ms(SILENCE_MS)};
    return 0;
}

enum { SLOT_CANCEL, SLOT_LISTEN, SLOT_WAITING, SLOTS = SLOT_WAITING + MAX_WAITING };

/* Waits until there is something to do; fills fds. */
static int wait_for_clients(struct local_listener *l, uint64_t deadline_ns,
                            const struct pr_event *cancel, struct pollfd *fds)
{
    fds[SLOT_CANCEL] = (struct pollfd){.fd = cancel ? cancel->fd : -1, .events = POLLIN};
    fds[SLOT_LISTEN] = (struct pollfd){.fd = free_place(l) ? l->sock : -1, .events = POLLIN};
    for (unsigned i = 0; i < MAX_WAITING; i++) {
        fds[SLOT_WAITING + i] = (struct pollfd){.fd = l->waiting[i].sock, .events = POLLIN};
        if (l->waiting[i].sock >= 0 && l->waiting[i].deadline_ns < deadline_ns)
            deadline_ns = l->waiting[i].deadline_ns;
    }
    int ready = pr_poll(fds, SLOTS, pr_deadline_left_ms(deadline_ns));
    if (ready > 0 && fds[SLOT_CANCEL].revents)
        return pr_error(ECANCELED, "canceled while waiting for a peer to connect");
    return ready < 0 ? ready : 0;
}

/* Serves a client that has said something, or left. 1: it left without a word. */
static int serve(struct local_listener *l, struct waiting *client, const struct pr_event *cancel,
                 pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    struct pr_local_fabric *fabric = (struct pr_local_fabric *)l->base.fabric;
    struct pr_local_greeting hello;
    struct pr_local_link link;
    int sock = client->sock;
    client->sock = -1;
    int err = pr_local_greeting_receive(sock, 0, NULL, &hello);
    if (err) {
        if (err < 0)
            pr_local_link_refuse(sock, err);
        close(sock);
        return err;
    }
    err = pr_local_link_accept(fabric, sock, &hello, admit, opaque, pr_deadline_after_ms(FINISH_MS),
                               cancel, &link);
    return err ? err : pr_local_lane_open(fabric, &link, out);
}

static int drop_silent(struct local_listener *l)
{
    uint64_t now = pr_now_ns();
    for (unsigned i = 0; i < MAX_WAITING; i++) {
        if (l->waiting[i].sock < 0 || l->waiting[i].deadline_ns > now)
            continue;
        close(l->waiting[i].sock);
        l->waiting[i].sock = -1;
        return pr_error(EPROTO, "a client connected and said nothing for %d ms", SILENCE_MS);
    }
    return 0;
}

int pr_local_listener_accept(struct pr_listener *listener, int timeout_ms,
                             const struct pr_event *cancel, pr_admit_fn admit, void *opaque,
                             struct pr_lane **out)
{
    struct local_listener *l = listener_of(listener);
    uint64_t deadline = pr_deadline_after_ms(timeout_ms);
    for (;;) {
        struct pollfd fds[SLOTS];
        int err = wait_for_clients(l, deadline, cancel, fds);
        if (err)
            return err;
        bool idle = true;
        for (unsigned i = 0; i < MAX_WAITING; i++) {
            if (!fds[SLOT_WAITING + i].revents)
                continue;
            err = serve(l, &l->waiting[i], cancel, admit, opaque, out);
            if (err <= 0)
                return err;
            idle = false;
        }
        if (fds[SLOT_LISTEN].revents) {
            err = take_in(l, free_place(l));
            idle = false;
        }
        if (!err || err > 0)
            err = drop_silent(l);
        if (err)
            return err;
        if (idle && pr_now_ns() >= deadline)
            return pr_error(ETIMEDOUT, "nobody connected to %s in %d ms", l->path.addr.sun_path,
                            timeout_ms);
    }
}
