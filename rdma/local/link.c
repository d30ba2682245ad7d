/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/link.h"

#include "base/error.h"
#include "rdma/local/fabric.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Lies in this end's memory for the other end to find. */
struct proof {
    uint8_t secret[PR_LOCAL_SECRET_BYTES];
    uint8_t answer[PR_LOCAL_SECRET_BYTES];
};

static int make_proof(struct proof *proof)
{
    memset(proof, 0, sizeof(*proof));
    if (getrandom(proof->secret, sizeof(proof->secret), 0) != sizeof(proof->secret))
        return pr_error(EIO, "the kernel gave no random number for the handshake");
    return 0;
}

static void present(struct pr_local_greeting *greeting, const struct proof *proof)
{
    greeting->proof = (uintptr_t)proof;
    memcpy(greeting->secret, proof->secret, sizeof(proof->secret));
}

static void answer_to(const uint8_t *secret, uint8_t *answer)
{
    for (unsigned i = 0; i < PR_LOCAL_SECRET_BYTES; i++)
        answer[i] = (uint8_t)~secret[i];
}

static bool is_answered(const struct proof *proof)
{
    uint8_t expected[PR_LOCAL_SECRET_BYTES];
    answer_to(proof->secret, expected);
    return !memcmp(proof->answer, expected, sizeof(expected));
}

static int wrong_process(const struct pr_local_peer *peer)
{
    return pr_error(EACCES,
                    "process %d, which made the peer's socket, is not the one that answers: "
                    "run both ends in one pid namespace, and listen in the process that "
                    "accepts",
                    (int)peer->pid);
}

/* Reads the peer's secret from its memory and answers beside it. */
static int probe(const struct pr_local_peer *peer, const struct pr_local_greeting *greeting)
{
    uint8_t bytes[PR_LOCAL_SECRET_BYTES];
    struct iovec local = {bytes, sizeof(bytes)};
    struct iovec remote = {(void *)(uintptr_t)greeting->proof, sizeof(bytes)};
    ssize_t done = pr_local_peer_move(peer, PR_LOCAL_READ, &local, 1, &remote, 1);
    if (done == -EFAULT ||
        (done == sizeof(bytes) && memcmp(bytes, greeting->secret, sizeof(bytes)) != 0))
        return wrong_process(peer);
    if (done == sizeof(bytes)) {
        answer_to(greeting->secret, bytes);
        remote.iov_base = (void *)(uintptr_t)(greeting->proof + offsetof(struct proof, answer));
        done = pr_local_peer_move(peer, PR_LOCAL_WRITE, &local, 1, &remote, 1);
    }
    return done == sizeof(bytes) ? 0 : pr_local_peer_explain(done < 0 ? (int)done : -EFAULT);
}

void pr_local_link_refuse(int sock, int err)
{
    struct pr_local_greeting g = {.kind = PR_LOCAL_REFUSAL, .err = (uint32_t)-err};
    char own[PAGERAIL_ERROR_MAX];
    snprintf(own, sizeof(own), "%s", pr_error_message());
    snprintf(g.sentence, sizeof(g.sentence), "%.*s", PR_LOCAL_MAX_SENTENCE, own);
    for (char *at = g.sentence; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    pr_local_greeting_send(sock, &g);
    pr_error(-err, "%s", own);
}

void pr_local_link_close(struct pr_local_fabric *fabric, struct pr_local_link *link)
{
    /* The gate first: a peer that sees the socket closed must not get in any more. */
    if (link->gate)
        pr_local_gate_close(&fabric->gates, link->gate);
    pr_local_view_close(&link->view);
    if (link->sock >= 0)
        close(link->sock);
    *link = (struct pr_local_link){.sock = -1};
}

/* Everything that needs the peer's process and its fds. */
static int join_peer(struct pr_local_fabric *fabric, struct pr_local_link *link, int gate_fd,
                     enum pr_local_end end)
{
    struct pr_local_peer peer;
    int err = pr_local_peer_open(&peer, link->sock);
    if (err)
        return err;
    err = pr_local_gate_open(&fabric->gates, gate_fd, end, &peer, &link->gate);
    if (err)
        pr_local_peer_close(&peer);
    return err;
}

static int send_hello(struct pr_local_fabric *fabric, int sock, int gate_fd,
                      const struct proof *proof, const void *private_data, uint32_t len)
{
    struct pr_local_greeting hello = {.kind = PR_LOCAL_HELLO,
                                      .private_len = len,
                                      .fds = {fabric->table.fd, gate_fd},
                                      .fd_count = 2};
    present(&hello, proof);
    if (len)
        memcpy(hello.private_data, private_data, len);
    return pr_local_greeting_send(sock, &hello);
}

static int receive_welcome(int sock, uint64_t deadline_ns, const struct pr_event *cancel,
                           struct pr_local_greeting *welcome)
{
    int err = pr_local_greeting_receive(sock, deadline_ns, cancel, welcome);
    if (err > 0)
        return pr_error(ECONNREFUSED, "the destination closed the connection without a reason");
    if (err)
        return err;
    if (welcome->kind == PR_LOCAL_WELCOME)
        return 0;
    pr_local_greeting_close_fds(welcome);
    if (welcome->kind != PR_LOCAL_REFUSAL)
        return pr_error(EPROTO, "the other end answered out of turn");
    return pr_error(ECONNREFUSED, "%s",
                    welcome->sentence[0] ? welcome->sentence
                                         : "the destination refused without a reason");
}

static int answer_welcome(struct pr_local_link *link, struct pr_local_greeting *welcome)
{
    int err = pr_local_view_open(&link->view, welcome->fds[0]);
    pr_local_greeting_close_fds(welcome);
    if (!err)
        err = probe(&link->gate->peer, welcome);
    if (err) {
        pr_local_link_refuse(link->sock, err);
        return err;
    }
    struct pr_local_greeting ready = {.kind = PR_LOCAL_READY};
    return pr_local_greeting_send(link->sock, &ready);
}

static int connect_steps(struct pr_local_fabric *fabric, struct pr_local_link *link, int gate_fd,
                         const void *private_data, uint32_t len, uint64_t deadline_ns,
                         const struct pr_event *cancel)
{
    struct proof proof;
    struct pr_local_greeting welcome;
    int err = make_proof(&proof);
    if (!err)
        err = join_peer(fabric, link, gate_fd, PR_LOCAL_CONNECTOR);
    if (!err)
        err = send_hello(fabric, link->sock, gate_fd, &proof, private_data, len);
    /* Whether a listener that closes at once does so before or after the hello is left to chance:
     * either way what it may have said before counts, and a silent end is a refusal. */
    if (!err || err == -ECONNRESET)
        err = receive_welcome(link->sock, deadline_ns, cancel, &welcome);
    return err ? err : answer_welcome(link, &welcome);
}

int pr_local_link_connect(struct pr_local_fabric *fabric, int sock, const void *private_data,
                          uint32_t len, uint64_t deadline_ns, const struct pr_event *cancel,
                          struct pr_local_link *out)
{
    struct pr_local_link link = {.sock = sock};
    int gate_fd = pr_local_memfd_make("pagerail-lane", PR_LOCAL_GATE_BYTES);
    int err = gate_fd < 0
                  ? gate_fd
                  : connect_steps(fabric, &link, gate_fd, private_data, len, deadline_ns, cancel);
    if (gate_fd >= 0)
        close(gate_fd);
    if (err) {
        pr_local_link_close(fabric, &link);
        return err;
    }
    *out = link;
    return 0;
}

static int welcome_back(struct pr_local_fabric *fabric, int sock, const struct proof *proof)
{
    struct pr_local_greeting welcome = {
        .kind = PR_LOCAL_WELCOME, .fds = {fabric->table.fd}, .fd_count = 1};
    present(&welcome, proof);
    return pr_local_greeting_send(sock, &welcome);
}

static int receive_ready(int sock, const struct proof *proof, uint64_t deadline_ns,
                         const struct pr_event *cancel)
{
    struct pr_local_greeting ready;
    int err = pr_local_greeting_receive(sock, deadline_ns, cancel, &ready);
    if (err > 0)
        return pr_error(ECONNRESET, "the peer left during the handshake");
    if (err == -ETIMEDOUT)
        return pr_error(EPROTO, "the peer fell silent during the handshake");
    if (err)
        return err;
    pr_local_greeting_close_fds(&ready);
    if (ready.kind == PR_LOCAL_REFUSAL)
        return pr_error(ECONNRESET, "the peer gave up: %s", ready.sentence);
    if (ready.kind != PR_LOCAL_READY || !is_answered(proof))
        return pr_error(EPROTO, "the other end did not finish the handshake");
    return 0;
}

/* What can be refused with a sentence, in the order in which it should be noticed. */
static int examine(struct pr_local_fabric *fabric, struct pr_local_link *link,
                   const struct pr_local_greeting *hello, pr_admit_fn admit, void *opaque)
{
    if (hello->kind != PR_LOCAL_HELLO)
        return pr_error(EPROTO, "the other end began with something else than a request");
    int err = admit ? admit(opaque, hello->private_data, hello->private_len) : 0;
    if (err)
        return pr_error(ECONNREFUSED, "%s", pr_error_message());
    err = join_peer(fabric, link, hello->fds[1], PR_LOCAL_ACCEPTOR);
    if (!err)
        err = pr_local_view_open(&link->view, hello->fds[0]);
    if (err)
        return err;
    link->reach_err = probe(&link->gate->peer, hello);
    return 0;
}

static int accept_steps(struct pr_local_fabric *fabric, struct pr_local_link *link,
                        struct pr_local_greeting *hello, pr_admit_fn admit, void *opaque,
                        uint64_t deadline_ns, const struct pr_event *cancel)
{
    struct proof proof;
    int err = make_proof(&proof);
    if (!err)
        err = examine(fabric, link, hello, admit, opaque);
    if (err) {
        pr_local_link_refuse(link->sock, err);
        return err;
    }
    err = welcome_back(fabric, link->sock, &proof);
    return err ? err : receive_ready(link->sock, &proof, deadline_ns, cancel);
}

int pr_local_link_accept(struct pr_local_fabric *fabric, int sock, struct pr_local_greeting *hello,
                         pr_admit_fn admit, void *opaque, uint64_t deadline_ns,
                         const struct pr_event *cancel, struct pr_local_link *out)
{
    struct pr_local_link link = {.sock = sock};
    int err = accept_steps(fabric, &link, hello, admit, opaque, deadline_ns, cancel);
    pr_local_greeting_close_fds(hello);
    if (err) {
        pr_local_link_close(fabric, &link);
        return err;
    }
    *out = link;
    return 0;
}
