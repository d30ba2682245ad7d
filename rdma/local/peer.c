/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/peer.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Yama keeps one process that may reach us, for the whole of this process: count its lanes. */
static struct {
    pthread_mutex_t lock;
    pid_t pid;
    unsigned lanes;
} tracer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int authorize_locked(struct pr_local_peer *peer)
{
    if (tracer.lanes && tracer.pid != peer->pid)
        return pr_error(EBUSY,
                        "process %d may already reach this one's memory and Yama allows one at a "
                        "time: end its migration first, or set kernel.yama.ptrace_scope to 0",
                        (int)tracer.pid);
    if (!tracer.lanes && prctl(PR_SET_PTRACER, (unsigned long)peer->pid, 0, 0, 0))
        return 0; /* no Yama: nothing to authorise */
    tracer.pid = peer->pid;
    tracer.lanes++;
    peer->authorized = true;
    return 0;
}

static int authorize(struct pr_local_peer *peer)
{
    pthread_mutex_lock(&tracer.lock);
    int err = authorize_locked(peer);
    pthread_mutex_unlock(&tracer.lock);
    return err;
}

static void withdraw(struct pr_local_peer *peer)
{
    pthread_mutex_lock(&tracer.lock);
    if (peer->authorized && --tracer.lanes == 0)
        prctl(PR_SET_PTRACER, 0, 0, 0, 0);
    peer->authorized = false;
    pthread_mutex_unlock(&tracer.lock);
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0)
        return fd;
    if (errno == ESRCH)
        return pr_error(ECONNRESET, "the peer process %d has ended", (int)pid);
    return pr_error(errno, "cannot watch process %d: pidfd_open: %s (needs Linux 5.3)", (int)pid,
                    strerror(errno));
}

int pr_local_peer_open(struct pr_local_peer *peer, int sock)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    *peer = (struct pr_local_peer){.pidfd = -1};
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
        return pr_error(errno, "cannot learn the peer's process: %s", strerror(errno));
    if (cred.pid <= 0)
        return pr_error(EACCES, "the peer is in another pid namespace: run both ends in one "
                                "(containers: share it, e.g. --pid=container:NAME)");
    peer->pid = cred.pid;
    if (peer->pid == getpid())
        return 0;
    peer->pidfd = open_pidfd(peer->pid);
    if (peer->pidfd < 0)
        return peer->pidfd;
    int err = authorize(peer);
    if (err)
        pr_local_peer_close(peer);
    return err;
}

void pr_local_peer_close(struct pr_local_peer *peer)
{
    withdraw(peer);
    if (peer->pidfd >= 0)
        close(peer->pidfd);
    peer->pidfd = -1;
}

bool pr_local_peer_alive(const struct pr_local_peer *peer)
{
    if (peer->pidfd < 0)
        return true;
    struct pollfd fd = {.fd = peer->pidfd, .events = POLLIN};
    return pr_poll(&fd, 1, 0) == 0;
}

ssize_t pr_local_peer_move(const struct pr_local_peer *peer, enum pr_local_direction direction,
                           const struct iovec *local, unsigned locals, const struct iovec *remote,
                           unsigned remotes)
{
    ssize_t done = direction == PR_LOCAL_WRITE
                       ? process_vm_writev(peer->pid, local, locals, remote, remotes, 0)
                       : process_vm_readv(peer->pid, local, locals, remote, remotes, 0);
    return done < 0 ? -errno : done;
}

static int yama_scope(void)
{
    char text[16] = "";
    int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return PR_LOCAL_YAMA_ABSENT;
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    return len > 0 ? atoi(text) : PR_LOCAL_YAMA_ABSENT;
}

const char *pr_local_peer_advice(int err, int ptrace_scope)
{
    if (err == ENOSYS)
        return "a seccomp filter or the kernel's configuration (CONFIG_CROSS_MEMORY_ATTACH) lacks "
               "process_vm_writev and process_vm_readv: allow both in the filter";
    if (ptrace_scope == 3)
        return "kernel.yama.ptrace_scope is 3, which forbids it until the next boot: boot with 1 "
               "or 0";
    if (ptrace_scope == 2)
        return "kernel.yama.ptrace_scope is 2: give the process CAP_SYS_PTRACE, or set it to 1";
    return "run both ends as the same user, give this process CAP_SYS_PTRACE if the peer has more "
           "privilege or is not dumpable, and allow process_vm_writev and process_vm_readv in its "
           "seccomp filter";
}

int pr_local_peer_explain(int err)
{
    switch (err) {
    case -EPERM:
    case -EACCES:
    case -ENOSYS:
        return pr_error(EACCES, "the kernel forbids access to the peer's memory (%s): %s",
                        strerror(-err), pr_local_peer_advice(-err, yama_scope()));
    case -ESRCH:
        return pr_error(ECONNRESET, "the peer process has ended");
    case -EFAULT:
        return pr_error(EACCES, "memory of this transfer is unmapped or protected, here or at the "
                                "peer: keep a window mapped for as long as it is registered");
    default:
        return pr_error(-err, "moving memory to or from the peer failed: %s", strerror(-err));
    }
}
