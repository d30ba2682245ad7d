/* SPDX-License-Identifier: BSD-2-Clause */
/* What only the local fabric promises of a lane, and the parts that its promises rest on. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/gate.h"
#include "rdma/local/table.h"

#include <errno.h>
#include <pagerail/log.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* More messages than the socket holds and than there are buffers: the chain waits, goes on in
 * order, wakes its sleeper, and a write posted after them happens after them. */
static void a_full_socket_holds_the_chain(void **state)
{
    (void)state;
    enum { MESSAGES = 1000 };
    struct ends ends;
    struct window local, remote;
    struct pr_completion c;
    ends_open(&ends);
    window_open(&local, ends.source, 4096, PR_ACCESS_LOCAL_READ);
    window_open(&remote, ends.destination, 4096, PR_ACCESS_REMOTE_WRITE);
    local.bytes[0] = 1;
    uint32_t len = ends.source->limits.max_message_bytes;
    uint8_t *bytes = calloc(1, len);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        memcpy(bytes, &i, sizeof(i));
        assert_ok(pr_lane_post_send(ends.from, bytes, len, i, false));
    }
    struct pr_rma rma = window_rma(&local, &remote, 0, 1, MESSAGES);
    assert_ok(pr_lane_post_write(ends.from, &rma));
    assert_ok(pr_lane_flush(ends.from));
    assert_int_equal(pr_lane_poll(ends.from, &c, 1), 0);
    assert_int_equal(remote.bytes[0], 0);
    struct pollfd fd = {.fd = pr_lane_fd(ends.from), .events = POLLIN};
    assert_int_equal(pr_lane_arm(ends.from), 0);
    assert_int_equal(pr_poll(&fd, 1, 0), 0);
    for (uint32_t i = 0; i < MESSAGES;) {
        while (i < MESSAGES && pr_lane_poll(ends.to, &c, 1) == 1) {
            assert_memory_equal(c.bytes, &i, sizeof(i));
            assert_int_equal(c.len, len);
            pr_lane_recv_done(ends.to, c.bytes);
            i++;
        }
        if (i < MESSAGES) {
            assert_int_equal(remote.bytes[0], 0);
            if (!pr_lane_arm(ends.from))
                assert_int_equal(pr_poll(&fd, 1, PATIENCE_MS), 1);
            assert_true(pr_lane_poll(ends.from, &c, 1) >= 0 && i < MESSAGES);
        }
    }
    if (!remote.bytes[0]) /* else the last poll above took its completion */
        lane_expect(ends.from, PR_OP_WRITE);
    assert_int_equal(remote.bytes[0], 1);
    free(bytes);
    window_close(&local);
    window_close(&remote);
    ends_close(&ends);
}

static uint32_t take_all(struct pr_lane *lane)
{
    struct pr_completion c[16];
    int count = pr_lane_poll(lane, c, 16);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++)
        pr_lane_recv_done(lane, c[i].bytes);
    return (uint32_t)count;
}

/* Both ends send more than the sockets hold before either receives; neither waits for the other. */
static void both_sockets_may_be_full(void **state)
{
    (void)state;
    enum { MESSAGES = 800 };
    struct ends ends;
    ends_open(&ends);
    uint32_t len = ends.source->limits.max_message_bytes;
    uint8_t *bytes = calloc(1, len);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        assert_ok(pr_lane_post_send(ends.from, bytes, len, i, false));
        assert_ok(pr_lane_post_send(ends.to, bytes, len, i, false));
    }
    assert_ok(pr_lane_flush(ends.from));
    assert_ok(pr_lane_flush(ends.to));
    uint64_t deadline = pr_deadline_after_ms(PATIENCE_MS);
    uint32_t from = 0, to = 0;
    while ((from < MESSAGES || to < MESSAGES) && pr_now_ns() < deadline) {
        from += take_all(ends.from);
        to += take_all(ends.to);
    }
    assert_int_equal(from, MESSAGES);
    assert_int_equal(to, MESSAGES);
    free(bytes);
    ends_close(&ends);
}

/* With every buffer held the lane neither reads on nor wakes its sleeper over and over, not even
 * when the peer leaves; what was sent is all there afterwards. */
static void held_buffers_stop_the_socket(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_completion c;
    ends_open(&ends);
    uint32_t depth = ends.destination->limits.recv_depth;
    const void **held = calloc(depth, sizeof(*held));
    for (uint32_t i = 0; i < depth + 3; i++)
        assert_ok(pr_lane_post_send(ends.from, &i, sizeof(i), i, false));
    assert_ok(pr_lane_flush(ends.from));
    for (uint32_t i = 0; i < depth; i++)
        held[i] = lane_expect(ends.to, PR_OP_RECV).bytes;
    pr_lane_close(ends.from);
    ends.from = NULL;
    assert_int_equal(pr_lane_poll(ends.to, &c, 1), 0);
    assert_int_equal(pr_lane_arm(ends.to), 0);
    struct pollfd fd = {.fd = pr_lane_fd(ends.to), .events = POLLIN};
    assert_int_equal(pr_poll(&fd, 1, 0), 0);
    for (uint32_t i = 0; i < depth; i++)
        pr_lane_recv_done(ends.to, held[i]);
    for (uint32_t i = depth; i < depth + 3; i++)
        assert_memory_equal(lane_expect(ends.to, PR_OP_RECV).bytes, &i, sizeof(i));
    assert_int_equal(lane_until_failed(ends.to), -ECONNRESET);
    free(held);
    ends_close(&ends);
}

/* The peer dies but its child still holds the socket open: its process descriptor tells. */
static void death_is_seen_without_the_socket(void **state)
{
    (void)state;
    struct pr_listener *listener;
    struct pr_lane *to, *lane;
    int ready[2];
    harness_fresh_address();
    assert_ok(pipe(ready));
    struct pr_fabric *fabric = harness_open();
    assert_ok(pr_fabric_listen(fabric, harness_address(), &listener));
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        alarm(60);
        struct pr_fabric *own = harness_open();
        if (pr_fabric_connect(own, harness_address(), NULL, 0, PATIENCE_MS, NULL, &lane))
            _exit(50);
        pid_t grandchild = fork();
        if (grandchild && write(ready[1], &grandchild, sizeof(grandchild)) < 0)
            _exit(51);
        alarm(60);
        for (;;)
            pause();
    }
    pid_t grandchild = 0;
    assert_ok(pr_listener_accept(listener, PATIENCE_MS, NULL, NULL, NULL, &to));
    assert_int_equal(read(ready[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    struct pollfd fd = {.fd = pr_lane_fd(to), .events = POLLIN};
    assert_int_equal(pr_lane_arm(to), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(pr_poll(&fd, 1, PATIENCE_MS), 1);
    assert_int_equal(lane_until_failed(to), -ECONNRESET);
    kill(grandchild, SIGKILL);
    close(ready[0]);
    close(ready[1]);
    pr_lane_close(to);
    pr_listener_close(listener);
    pr_fabric_close(fabric);
}

static void grants_end_at_the_windows_edges(void **state)
{
    (void)state;
    struct pr_local_table table;
    struct pr_local_view view;
    uint64_t key = 0;
    const unsigned w = PR_ACCESS_REMOTE_WRITE, r = PR_ACCESS_REMOTE_READ;
    assert_ok(pr_local_table_open(&table));
    assert_ok(pr_local_view_open(&view, table.fd));
    assert_ok(pr_local_table_add(&table, 1000, 100, w, &key));
    const struct {
        uint64_t rkey, at, len;
        unsigned access;
        bool granted;
    } cases[] = {
        {key, 1000, 100, w, true},       {key, 1099, 1, w, true},
        {key, 1000, 101, w, false},      {key, 999, 1, w, false},
        {key, 1100, 1, w, false},        {key, 1000, UINT64_MAX, w, false},
        {key, UINT64_MAX, 2, w, false},  {key, 1000, 1, r, false},
        {key ^ 1, 1000, 1, w, false},    {key + (1u << PR_LOCAL_SLOT_BITS), 1000, 1, w, false},
        {0, 1000, 1, w, false},          {1, 1000, 1, w, false},
        {UINT64_MAX, 1000, 1, w, false},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            pr_local_view_grants(&view, cases[i].rkey, cases[i].at, cases[i].len, cases[i].access),
            cases[i].granted);
    pr_local_table_revoke(&table, key);
    assert_false(pr_local_view_grants(&view, key, 1000, 1, w));
    pr_local_table_recycle(&table, key);
    pr_local_view_close(&view);
    pr_local_table_close(&table);
}

static void nobody_else_can_write_the_table(void **state)
{
    (void)state;
    struct pr_local_table table;
    assert_ok(pr_local_table_open(&table));
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, table.fd, 0) == MAP_FAILED);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, table.fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(write(table.fd, "x", 1), -1);
    assert_int_equal(ftruncate(table.fd, 0), -1);
    munmap(map, 4096);
    pr_local_table_close(&table);
}

/* 24 TiB in windows of 64 MiB, some of them given back and taken anew. */
static void slots_for_the_largest_guest(void **state)
{
    (void)state;
    enum { SLOTS = 393216 };
    struct pr_local_table table;
    struct pr_local_view view;
    uint64_t *keys = calloc(SLOTS, sizeof(*keys));
    assert_ok(pr_local_table_open(&table));
    assert_ok(pr_local_view_open(&view, table.fd));
    for (uint64_t i = 0; i < SLOTS; i++)
        assert_ok(pr_local_table_add(&table, i << 26, 1 << 26, PR_ACCESS_REMOTE_WRITE, &keys[i]));
    for (uint64_t i = 0; i < SLOTS; i += 3) {
        uint64_t old = keys[i];
        pr_local_table_revoke(&table, old);
        pr_local_table_recycle(&table, old);
        assert_ok(pr_local_table_add(&table, i << 26, 1 << 26, PR_ACCESS_REMOTE_WRITE, &keys[i]));
        assert_false(pr_local_view_grants(&view, old, i << 26, 1, PR_ACCESS_REMOTE_WRITE));
    }
    for (uint64_t i = 0; i < SLOTS; i++)
        assert_true(pr_local_view_grants(&view, keys[i], i << 26, 1 << 26, PR_ACCESS_REMOTE_WRITE));
    assert_int_equal(table.used, SLOTS);
    free(keys);
    pr_local_view_close(&view);
    pr_local_table_close(&table);
}

/* Both ends of one gate in this process. */
struct gate_pair {
    struct pr_local_gates posters, owners;
    struct pr_local_gate *poster, *owner;
};

static void gate_pair_open(struct gate_pair *pair)
{
    int fd = pr_local_memfd_make("gate", PR_LOCAL_GATE_BYTES);
    assert_true(fd >= 0);
    struct pr_local_peer a = {.pid = getpid(), .pidfd = -1}, b = a;
    pr_local_gates_open(&pair->posters);
    pr_local_gates_open(&pair->owners);
    assert_ok(pr_local_gate_open(&pair->posters, fd, PR_LOCAL_CONNECTOR, &a, &pair->poster));
    assert_ok(pr_local_gate_open(&pair->owners, fd, PR_LOCAL_ACCEPTOR, &b, &pair->owner));
    close(fd);
}

struct waiter {
    struct pr_local_gates *gates;
    _Atomic bool begun, ended;
    bool left_before; /* what the poster had done when the wait ended */
    _Atomic bool left;
};

static void wait_main(void *opaque)
{
    struct waiter *w = opaque;
    atomic_store(&w->begun, true);
    pr_local_gates_wait(w->gates);
    w->left_before = atomic_load(&w->left);
    atomic_store(&w->ended, true);
}

/* The lane is gone; its gate is waited for all the same. */
static void close_while_inside(struct gate_pair *pair)
{
    pr_local_gate_close(&pair->owners, pair->owner);
    assert_non_null(pair->owners.first);
}

static void a_wait_lasts_as_long_as_the_burst(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct gate_pair pair;
        struct pr_thread *thread;
        gate_pair_open(&pair);
        pr_local_gates_wait(&pair.owners); /* nobody inside: at once */
        assert_true(pr_local_gate_enter(pair.poster));
        struct waiter waiter = {.gates = &pair.owners};
        assert_ok(pr_thread_spawn(&thread, "wait", wait_main, &waiter));
        while (!atomic_load(&waiter.begun))
            ;
        for (unsigned i = 0; i < 200 && !atomic_load(&waiter.ended); i++)
            sched_yield();
        if (round % 2)
            close_while_inside(&pair);
        atomic_store(&waiter.left, true);
        pr_local_gate_leave(pair.poster);
        /* The next burst is not the one that is waited for. */
        assert_int_equal(pr_local_gate_enter(pair.poster), round % 2 == 0);
        pr_thread_join(thread);
        assert_true(waiter.left_before);
        if (round % 2 == 0) {
            pr_local_gate_leave(pair.poster);
            pr_local_gate_close(&pair.owners, pair.owner);
        }
        pr_local_gate_close(&pair.posters, pair.poster);
        pr_local_gates_close(&pair.owners);
        pr_local_gates_close(&pair.posters);
        assert_null(pair.owners.first);
        assert_null(pair.posters.first);
    }
}

static void count_line(enum pagerail_log_level level, const char *line, void *opaque)
{
    (void)level, (void)line;
    ++*(unsigned *)opaque;
}

static void a_stopped_peer_is_cut_off(void **state)
{
    (void)state;
    struct gate_pair pair;
    unsigned lines = 0;
    gate_pair_open(&pair);
    pagerail_log_set(PAGERAIL_LOG_WARN, count_line, &lines);
    assert_true(pr_local_gate_enter(pair.poster));
    pr_local_gates_wait(&pair.owners); /* gives up after a second */
    assert_int_equal(lines, 1);
    pr_local_gates_wait(&pair.owners); /* and does not wait again */
    assert_int_equal(lines, 1);
    pr_local_gate_leave(pair.poster);
    assert_false(pr_local_gate_enter(pair.poster));
    pagerail_log_set(PAGERAIL_LOG_WARN, NULL, NULL);
    pr_local_gate_close(&pair.owners, pair.owner);
    pr_local_gate_close(&pair.posters, pair.poster);
    pr_local_gates_close(&pair.owners);
    pr_local_gates_close(&pair.posters);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_socket_holds_the_chain),
        cmocka_unit_test(both_sockets_may_be_full),
        cmocka_unit_test(held_buffers_stop_the_socket),
        cmocka_unit_test(death_is_seen_without_the_socket),
        cmocka_unit_test(grants_end_at_the_windows_edges),
        cmocka_unit_test(nobody_else_can_write_the_table),
        cmocka_unit_test(slots_for_the_largest_guest),
        cmocka_unit_test(a_wait_lasts_as_long_as_the_burst),
        cmocka_unit_test(a_stopped_peer_is_cut_off),
    };
    return harness_main(argc, argv, "local lane", tests, sizeof(tests) / sizeof(tests[0]));
}
