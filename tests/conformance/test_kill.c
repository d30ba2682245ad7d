/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers that are killed. The other end is a forked process; it opens its fabric itself, uses no
 * cmocka, and says by its exit status what went wrong if it was not killed.
 *
 * All of them are forked before this process touches a fabric, and wait for their turn: the RDMA
 * libraries do not work in a child of a process that has used them.
 */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define WINDOW (4 * MIB)
#define ALL (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

/* What the two processes see of each other beside the fabric. */
struct shared {
    char address[128];
    bool writing; /* what the child does: it writes, or offers its window */
    _Atomic unsigned written;
};

#define CHILDREN 10

static struct {
    struct shared *shared; /* [CHILDREN] */
    pid_t pid[CHILDREN];
    int go[CHILDREN]; /* pipes: a byte starts the child, their end ends it */
    unsigned used;
} children;

static void child_check(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "child: %s: %s\n", what, pr_error_message());
    _exit(10);
}

static struct pr_lane *child_connect(struct pr_fabric *fabric, const char *address)
{
    struct pr_lane *lane = NULL;
    int err;
    do {
        err = pr_fabric_connect(fabric, address, NULL, 0, PATIENCE_MS, NULL, &lane);
        if (err)
            pr_sleep_ms(1);
    } while (err == -ENOENT || err == -ECONNREFUSED); /* the parent does not listen yet */
    child_check(err, "connect");
    return lane;
}

static uint8_t *child_window(struct pr_fabric *fabric, struct pr_mr **mr)
{
    uint8_t *bytes = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(bytes, 0xee, WINDOW);
    child_check(pr_fabric_reg(fabric, bytes, WINDOW, ALL, mr), "reg");
    return bytes;
}

static void child_wait(struct pr_lane *lane, struct pr_completion *out)
{
    int count;
    while (!(count = pr_lane_poll(lane, out, 1)))
        ;
    if (count < 0)
        child_check(count, "poll");
}

/* Writes MiB by MiB into the window whose key comes as a message, until it is killed. */
static void writing_child(struct shared *shared)
{
    struct pr_fabric *fabric;
    struct pr_mr *mr;
    struct pr_completion c;
    struct pr_key key;
    alarm(60);
    fabric = harness_open();
    struct pr_lane *lane = child_connect(fabric, shared->address);
    uint8_t *bytes = child_window(fabric, &mr);
    child_wait(lane, &c);
    memcpy(&key, c.bytes, sizeof(key));
    for (unsigned i = 0;; i++) {
        struct pr_rma rma = {.local = bytes + i % 4 * MIB,
                             .mr = mr,
                             .remote = key.addr + i % 4 * MIB,
                             .key = &key,
                             .len = MIB,
                             .signaled = true};
        child_check(pr_lane_post_write(lane, &rma), "post");
        child_check(pr_lane_flush(lane), "flush");
        child_wait(lane, &c);
        atomic_fetch_add(&shared->written, 1);
    }
}

/* Offers its window and lives until it is killed. */
static void offering_child(const struct shared *shared)
{
    struct pr_fabric *fabric;
    struct pr_mr *mr;
    struct pr_completion c;
    alarm(60);
    fabric = harness_open();
    struct pr_lane *lane = child_connect(fabric, shared->address);
    child_window(fabric, &mr);
    child_check(pr_lane_post_send(lane, &mr->key, sizeof(mr->key), 0, true), "send");
    child_check(pr_lane_flush(lane), "flush");
    child_wait(lane, &c);
    for (;;)
        pause();
}

static void child_main(struct shared *shared, int go)
{
    char byte;
    if (read(go, &byte, 1) != 1)
        _exit(0);
    if (shared->writing)
        writing_child(shared);
    offering_child(shared);
}

static void fork_children(void)
{
    children.shared = mmap(NULL, CHILDREN * sizeof(*children.shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(children.shared != MAP_FAILED);
    fflush(NULL);
    for (unsigned i = 0; i < CHILDREN; i++) {
        int ends[2];
        assert_ok(pipe2(ends, O_CLOEXEC));
        children.go[i] = ends[1];
        children.pid[i] = fork();
        assert_true(children.pid[i] >= 0);
        if (children.pid[i]) {
            close(ends[0]);
            continue;
        }
        /* Whoever holds the writing end keeps its reader waiting. */
        for (unsigned j = 0; j <= i; j++)
            close(children.go[j]);
        child_main(&children.shared[i], ends[0]);
        _exit(11);
    }
}

/* Starts a child that connects to harness_address; what it shares is in *shared. */
static pid_t start(bool writing, struct shared **shared)
{
    if (!children.shared)
        fork_children();
    assert_true(children.used < CHILDREN);
    unsigned i = children.used++;
    *shared = &children.shared[i];
    snprintf((*shared)->address, sizeof((*shared)->address), "%s", harness_address());
    (*shared)->writing = writing;
    assert_int_equal(write(children.go[i], "g", 1), 1);
    return children.pid[i];
}

static void assert_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Accepts the child's lane as the only end. */
static void half_open(struct ends *ends)
{
    memset(ends, 0, sizeof(*ends));
    ends->destination = harness_open();
    ends->source = harness_open();
    assert_ok(pr_fabric_listen(ends->destination, harness_address(), &ends->listener));
    if (pr_listener_accept(ends->listener, PATIENCE_MS, NULL, NULL, NULL, &ends->to))
        fail_msg("accept: %s", pr_error_message());
}

static void a_writer_is_killed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct ends ends;
        struct window window;
        struct shared *shared;
        harness_fresh_address();
        pid_t pid = start(true, &shared);
        half_open(&ends);
        window_open(&window, ends.destination, WINDOW, ALL);
        assert_ok(pr_lane_post_send(ends.to, &window.mr->key, sizeof(window.mr->key), 0, false));
        assert_ok(pr_lane_flush(ends.to));
        while (atomic_load(&shared->written) < 3 + round)
            pr_sleep_ms(1);
        kill(pid, SIGKILL);
        assert_int_equal(lane_until_failed(ends.to), -ECONNRESET);
        pr_fabric_dereg(window.mr);
        window.mr = NULL;
        memset(window.bytes, 0, WINDOW);
        assert_killed(pid);
        for (unsigned i = 0; i < WINDOW; i++)
            assert_int_equal(window.bytes[i], 0);
        window_close(&window);
        ends_close(&ends);
    }
}

struct killing {
    pid_t pid;
    _Atomic unsigned writes;
    unsigned after;
};

static void kill_main(void *opaque)
{
    struct killing *killing = opaque;
    while (atomic_load(&killing->writes) < killing->after)
        ;
    kill(killing->pid, SIGKILL);
}

static struct pr_key offered_key(struct pr_lane *lane)
{
    struct pr_key key;
    struct pr_completion c = lane_expect(lane, PR_OP_RECV);
    memcpy(&key, c.bytes, sizeof(key));
    pr_lane_recv_done(lane, c.bytes);
    return key;
}

/* The peer dies while we write into it without pause. */
static void a_written_one_is_killed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct ends ends;
        struct window local;
        struct pr_thread *thread;
        struct shared *shared;
        harness_fresh_address();
        struct killing killing = {.pid = start(false, &shared), .after = 2 + round};
        half_open(&ends);
        window_open(&local, ends.destination, WINDOW, PR_ACCESS_LOCAL_READ);
        struct pr_key key = offered_key(ends.to);
        assert_ok(pr_thread_spawn(&thread, "kill", kill_main, &killing));
        int err = 0;
        while (!err) {
            struct pr_rma rma = {.local = local.bytes,
                                 .mr = local.mr,
                                 .remote = key.addr,
                                 .key = &key,
                                 .len = MIB,
                                 .signaled = true};
            struct pr_completion c;
            err = pr_lane_post_write(ends.to, &rma);
            if (!err)
                err = pr_lane_flush(ends.to);
            int count = 0;
            while (!err && !(count = pr_lane_poll(ends.to, &c, 1)))
                ;
            if (count < 0)
                err = count;
            atomic_fetch_add(&killing.writes, 1);
        }
        pr_thread_join(thread);
        /* A kernel may take the dead one's memory from its device before its connections. */
        err = lane_until_failed(ends.to);
        assert_true(err == -ECONNRESET || err == -EACCES);
        assert_killed(killing.pid);
        window_close(&local);
        ends_close(&ends);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_is_killed),
        cmocka_unit_test(a_written_one_is_killed),
    };
    return harness_main(argc, argv, "kill", tests, sizeof(tests) / sizeof(tests[0]));
}
