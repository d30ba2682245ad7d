/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/path.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 128
#define TURN_MS 1000 /* longest wait for another starter in the same folder */
#define FULL_BACKLOG_MS 10

int pr_local_wait(int fd, short events, uint64_t deadline_ns, const struct pr_event *cancel)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events},
                            {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
    int ready = pr_poll(fds, 2, pr_deadline_left_ms(deadline_ns));
    if (ready < 0)
        return ready;
    if (fds[1].revents)
        return pr_error(ECANCELED, "canceled while waiting for the peer");
    if (fds[0].revents)
        return 0;
    return pr_error(ETIMEDOUT, "the peer did not answer in time");
}

static int set_address(struct sockaddr_un *addr, const char *address)
{
    size_t len = strlen(address);
    if (!len)
        return pr_error(EINVAL, "the address is empty: give the path of a socket file");
    if (len >= sizeof(addr->sun_path))
        return pr_error(EINVAL,
                        "the path %s has %zu bytes and a socket's can have %zu: choose a "
                        "shorter one, e.g. below /run",
                        address, len, sizeof(addr->sun_path) - 1);
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, address, len);
    return 0;
}

static int make_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? pr_error(errno, "cannot make a socket: %s", strerror(errno)) : fd;
}

/* -EADDRINUSE unless the path is a socket of ours at which nobody listens. */
static int check_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st))
        return errno == ENOENT ? 0 : pr_error(errno, "%s: %s", addr->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return pr_error(EADDRINUSE, "%s exists and is no socket: choose another path",
                        addr->sun_path);
    if (st.st_uid != geteuid())
        return pr_error(EADDRINUSE, "%s is another user's socket: choose another path",
                        addr->sun_path);
    int fd = make_socket();
    if (fd < 0)
        return fd;
    int dead = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
    close(fd);
    return dead ? 0
                : pr_error(EADDRINUSE,
                           "a process listens at %s already: end it or choose another "
                           "path",
                           addr->sun_path);
}

static int try_bind(int fd, const struct sockaddr_un *addr)
{
    return bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;
}

static int bind_and_listen(struct pr_local_path *path, int fd)
{
    const char *name = path->addr.sun_path;
    struct stat st;
    /* A socket's own mode becomes its file's, so there is no moment with a wider one. */
    if (fchmod(fd, 0600))
        return pr_error(errno, "cannot set the mode of %s: %s", name, strerror(errno));
    int err = try_bind(fd, &path->addr);
    if (err == -EADDRINUSE) {
        err = check_stale(&path->addr);
        if (err)
            return err;
        (void)pr_fault("local-path-stale");
        unlink(name);
        err = try_bind(fd, &path->addr);
    }
    if (err)
        return pr_error(-err, "cannot listen at %s: %s%s", name, strerror(-err),
                        err == -ENOENT ? " (make its folder first)" : "");
    if (lstat(name, &st))
        return pr_error(errno, "%s vanished while it was made: %s", name, strerror(errno));
    path->dev = st.st_dev;
    path->inode = st.st_ino;
    if (listen(fd, BACKLOG)) {
        err = pr_error(errno, "cannot listen at %s: %s", name, strerror(errno));
        pr_local_path_remove(path);
        return err;
    }
    return 0;
}

/* Locks the folder of the path. -1 when that cannot be had (no permission to read it, or someone
 * holds it for long): a start goes on without, only less well guarded against another one. */
static int take_turn(const struct sockaddr_un *addr)
{
    struct sockaddr_un copy = *addr;
    int fd = open(dirname(copy.sun_path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    uint64_t deadline = pr_deadline_after_ms(TURN_MS);
    while (flock(fd, LOCK_EX | LOCK_NB) && pr_now_ns() < deadline)
        pr_sleep_ms(1);
    return fd;
}

int pr_local_path_listen(struct pr_local_path *path, const char *address)
{
    int err = set_address(&path->addr, address);
    if (err)
        return err;
    int fd = make_socket();
    if (fd < 0)
        return fd;
    int turn = pr_fault("local-no-turns") ? -1 : take_turn(&path->addr);
    err = bind_and_listen(path, fd);
    if (turn >= 0)
        close(turn);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

void pr_local_path_remove(const struct pr_local_path *path)
{
    struct stat st;
    if (!lstat(path->addr.sun_path, &st) && st.st_dev == path->dev && st.st_ino == path->inode)
        unlink(path->addr.sun_path);
}

static int explain_connect(int err, const char *address)
{
    switch (err) {
    case ECONNREFUSED:
        return pr_error(err, "nobody listens at %s: start the destination first", address);
    case ENOENT:
        return pr_error(err, "there is no %s: start the destination first", address);
    case EPROTOTYPE:
        return pr_error(EPROTO, "what listens at %s is no pagerail", address);
    default:
        return pr_error(err, "cannot connect to %s: %s", address, strerror(err));
    }
}

static int connect_loop(int fd, const struct sockaddr_un *addr, uint64_t deadline_ns,
                        const struct pr_event *cancel)
{
    for (;;) {
        if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return explain_connect(errno, addr->sun_path);
        /* The backlog is full, and nothing tells when it is not: look again a little later. */
        uint64_t soon = pr_deadline_after_ms(FULL_BACKLOG_MS);
        int err = pr_local_wait(-1, 0, soon < deadline_ns ? soon : deadline_ns, cancel);
        if (err == -ECANCELED || pr_now_ns() >= deadline_ns)
            return err;
    }
}

int pr_local_path_connect(const char *address, uint64_t deadline_ns, const struct pr_event *cancel)
{
    struct sockaddr_un addr;
    int err = set_address(&addr, address);
    if (err)
        return err;
    int fd = make_socket();
    if (fd < 0)
        return fd;
    err = connect_loop(fd, &addr, deadline_ns, cancel);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}
