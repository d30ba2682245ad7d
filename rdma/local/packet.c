/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/packet.h"

#include "base/cursor.h"
#include "base/error.h"
#include "rdma/local/path.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int encode(const struct pr_local_greeting *g, struct pr_writer *w)
{
    pr_write_u32(w, PR_LOCAL_MAGIC);
    pr_write_u16(w, PR_LOCAL_VERSION);
    pr_write_u8(w, (uint8_t)g->kind);
    if (g->kind == PR_LOCAL_HELLO || g->kind == PR_LOCAL_WELCOME) {
        pr_write_u64(w, g->proof);
        pr_write_bytes(w, g->secret, sizeof(g->secret));
    }
    if (g->kind == PR_LOCAL_HELLO) {
        pr_write_u16(w, (uint16_t)g->private_len);
        pr_write_bytes(w, g->private_data, g->private_len);
    }
    if (g->kind == PR_LOCAL_REFUSAL) {
        pr_write_u32(w, g->err);
        pr_write_string(w, g->sentence);
    }
    return pr_writer_end(w, "greeting");
}

static unsigned fds_of(enum pr_local_greeting_kind kind)
{
    return kind == PR_LOCAL_HELLO ? 2 : kind == PR_LOCAL_WELCOME ? 1 : 0;
}

static int decode(const void *bytes, size_t len, struct pr_local_greeting *g)
{
    struct pr_reader r = pr_reader_over(bytes, len);
    if (pr_read_u32(&r) != PR_LOCAL_MAGIC)
        return pr_error(EPROTO, "the other end is no pagerail");
    unsigned version = pr_read_u16(&r);
    if (version != PR_LOCAL_VERSION)
        return pr_error(EPROTO,
                        "the other end speaks version %u of the local fabric and this one "
                        "%u: install one version of pagerail",
                        version, PR_LOCAL_VERSION);
    g->kind = pr_read_u8(&r);
    if (g->kind < PR_LOCAL_HELLO || g->kind > PR_LOCAL_READY)
        return pr_error(EPROTO, "the other end sent an unknown greeting (%u)", g->kind);
    if (g->kind == PR_LOCAL_HELLO || g->kind == PR_LOCAL_WELCOME) {
        g->proof = pr_read_u64(&r);
        pr_read_bytes(&r, g->secret, sizeof(g->secret));
    }
    if (g->kind == PR_LOCAL_HELLO) {
        g->private_len = pr_read_u16(&r);
        if (g->private_len > sizeof(g->private_data))
            return pr_error(EPROTO, "the other end sent too much private data");
        pr_read_bytes(&r, g->private_data, g->private_len);
    }
    if (g->kind == PR_LOCAL_REFUSAL) {
        g->err = pr_read_u32(&r);
        pr_read_string(&r, g->sentence, sizeof(g->sentence));
    }
    return pr_reader_end(&r, "greeting");
}

union fd_control {
    char bytes[CMSG_SPACE(sizeof(int) * PR_LOCAL_MAX_FDS)];
    struct cmsghdr align;
};

static void attach_fds(struct msghdr *msg, union fd_control *control,
                       const struct pr_local_greeting *g)
{
    if (!g->fd_count)
        return;
    memset(control, 0, sizeof(*control));
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(sizeof(int) * g->fd_count);
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * g->fd_count);
    memcpy(CMSG_DATA(head), g->fds, sizeof(int) * g->fd_count);
}

int pr_local_greeting_send(int sock, const struct pr_local_greeting *greeting)
{
    uint8_t bytes[PR_LOCAL_MAX_GREETING];
    struct pr_writer w = pr_writer_over(bytes, sizeof(bytes));
    int len = encode(greeting, &w);
    if (len < 0)
        return len;
    struct iovec iov = {bytes, (size_t)len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union fd_control control;
    attach_fds(&msg, &control, greeting);
    /* The socket is empty but for this, so it never has to wait for room. */
    if (sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == len)
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return pr_error(ECONNRESET, "the peer left during the handshake");
    return pr_error(errno, "cannot send a greeting: %s", strerror(errno));
}

static void take_fds(struct msghdr *msg, struct pr_local_greeting *g)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        g->fd_count = (unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(g->fds, CMSG_DATA(head), sizeof(int) * g->fd_count);
    }
}

void pr_local_greeting_close_fds(struct pr_local_greeting *greeting)
{
    while (greeting->fd_count)
        close(greeting->fds[--greeting->fd_count]);
}

static int receive_now(int sock, struct pr_local_greeting *out)
{
    uint8_t bytes[PR_LOCAL_MAX_GREETING];
    union fd_control control;
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (len < 0 && errno == ECONNRESET)
        return 1;
    if (len < 0)
        return pr_error(errno, "cannot receive a greeting: %s", strerror(errno));
    take_fds(&msg, out);
    if (len == 0)
        return 1;
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return pr_error(EPROTO, "the other end is no pagerail: its greeting is too long");
    int err = decode(bytes, (size_t)len, out);
    if (err)
        return err;
    if (out->fd_count != fds_of(out->kind))
        return pr_error(EPROTO, "the other end sent %u descriptors where %u belong", out->fd_count,
                        fds_of(out->kind));
    return 0;
}

int pr_local_greeting_receive(int sock, uint64_t deadline_ns, const struct pr_event *cancel,
                              struct pr_local_greeting *out)
{
    int err = pr_local_wait(sock, POLLIN, deadline_ns, cancel);
    if (err)
        return err;
    memset(out, 0, sizeof(*out));
    err = receive_now(sock, out);
    if (err)
        pr_local_greeting_close_fds(out);
    return err;
}
