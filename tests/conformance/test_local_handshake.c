/* SPDX-License-Identifier: BSD-2-Clause */
/* The local fabric against ends that say nothing, garbage, or may not reach memory. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/packet.h"
#include "rdma/local/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void quiet_open(struct ends *ends)
{
    memset(ends, 0, sizeof(*ends));
    ends->source = harness_open();
    ends->destination = harness_open();
    assert_ok(pr_fabric_listen(ends->destination, harness_fresh_address(), &ends->listener));
}

static int raw_connect(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", harness_address());
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
    return fd;
}

/* Accept meets what `client` sent and must refuse it; then an honest client gets through. */
static void assert_survives(struct ends *ends, int client)
{
    struct pr_lane *to = NULL;
    int err = pr_listener_accept(ends->listener, PATIENCE_MS, NULL, NULL, NULL, &to);
    assert_true(err == -EPROTO || err == -ECONNRESET);
    assert_null(to);
    close(client);
    struct pr_lane *from;
    ends_connect(ends, &from, &to);
    pr_lane_close(from);
    pr_lane_close(to);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    unsigned before = count_fds();
    for (unsigned i = 0; i < 100; i++) {
        uint8_t bytes[2000];
        size_t len = 1 + harness_random() % sizeof(bytes);
        for (size_t at = 0; at < len; at++)
            bytes[at] = (uint8_t)harness_random();
        int client = raw_connect();
        assert_int_equal(send(client, bytes, len, MSG_NOSIGNAL), len);
        assert_survives(&ends, client);
    }
    assert_int_equal(count_fds(), before);
    ends_close(&ends);
}

static struct pr_local_greeting hello_with(int fd0, int fd1)
{
    return (struct pr_local_greeting){
        .kind = PR_LOCAL_HELLO, .proof = 4096, .fds = {fd0, fd1}, .fd_count = 2};
}

/* Well-formed greetings with descriptors that are not what they should be. */
static void wrong_descriptors_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int growable = (int)syscall(SYS_memfd_create, "growable", 1u);
    assert_true(null >= 0 && growable >= 0);
    unsigned before = count_fds();
    for (unsigned i = 0; i < 4; i++) {
        struct pr_local_greeting hello = hello_with(i & 1 ? growable : null, null);
        hello.fd_count = i < 2 ? 2 : i == 2 ? 1 : 0;
        int client = raw_connect();
        assert_ok(pr_local_greeting_send(client, &hello));
        assert_survives(&ends, client);
    }
    assert_int_equal(count_fds(), before);
    close(null);
    close(growable);
    ends_close(&ends);
}

static void out_of_turn_is_refused(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    struct pr_local_greeting ready = {.kind = PR_LOCAL_READY};
    int client = raw_connect();
    assert_ok(pr_local_greeting_send(client, &ready));
    assert_survives(&ends, client);
    ends_close(&ends);
}

static void another_version_learns_why(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_local_greeting answer;
    struct pr_lane *to;
    quiet_open(&ends);
    uint8_t hello[] = {0x50, 0x52, 0x52, 0x4c, 99, 0, 1}; /* version 99 */
    int client = raw_connect();
    assert_int_equal(send(client, hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    assert_int_equal(pr_listener_accept(ends.listener, PATIENCE_MS, NULL, NULL, NULL, &to),
                     -EPROTO);
    assert_non_null(strstr(pr_error_message(), "version 99"));
    assert_ok(pr_local_greeting_receive(client, PR_NEVER, NULL, &answer));
    assert_int_equal(answer.kind, PR_LOCAL_REFUSAL);
    assert_non_null(strstr(answer.sentence, "version 99"));
    close(client);
    ends_close(&ends);
}

static void silent_clients_hold_nobody_up(void **state)
{
    (void)state;
    struct ends ends;
    int silent[3];
    quiet_open(&ends);
    for (unsigned i = 0; i < 3; i++)
        silent[i] = raw_connect();
    /* An honest one gets through at once, in one call of accept. */
    ends_connect(&ends, &ends.from, &ends.to);
    for (unsigned i = 0; i < 3; i++) {
        struct pr_lane *to;
        assert_int_equal(pr_listener_accept(ends.listener, PATIENCE_MS, NULL, NULL, NULL, &to),
                         -EPROTO);
        assert_non_null(strstr(pr_error_message(), "said nothing"));
    }
    char byte;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(recv(silent[i], &byte, 1, 0), 0);
        close(silent[i]);
    }
    ends_close(&ends);
}

static void a_client_that_leaves_silently_is_forgotten(void **state)
{
    (void)state;
    struct ends ends;
    quiet_open(&ends);
    for (unsigned i = 0; i < 30; i++)
        close(raw_connect());
    ends_connect(&ends, &ends.from, &ends.to);
    ends_close(&ends);
}

/* A listener that is no pagerail. */
static int raw_listen(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", harness_fresh_address());
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    assert_ok(listen(fd, 8));
    return fd;
}

struct server {
    int listener;
    const char *answer; /* NULL: close; "": say nothing */
    int client;
};

static void serve_main(void *opaque)
{
    struct server *s = opaque;
    s->client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    if (!s->answer)
        close(s->client); /* before or after the hello has come: the same to connect */
    else if (s->answer[0] && send(s->client, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0)
        perror("send");
}

static void connect_meets_something_else(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    const char *answers[] = {"220 mail.example ESMTP", NULL, ""};
    int expected[] = {-EPROTO, -ECONNREFUSED, -ETIMEDOUT};
    for (unsigned i = 0; i < 3; i++) {
        struct server server = {.listener = raw_listen(), .answer = answers[i]};
        struct pr_thread *thread;
        struct pr_lane *lane = NULL;
        assert_ok(pr_thread_spawn(&thread, "server", serve_main, &server));
        int err = pr_fabric_connect(fabric, harness_address(), NULL, 0, i == 2 ? 100 : PATIENCE_MS,
                                    NULL, &lane);
        pr_thread_join(thread);
        assert_int_equal(err, expected[i]);
        if (answers[i])
            close(server.client);
        close(server.listener);
        unlink(harness_address());
    }
    pr_fabric_close(fabric);
}

/* Makes process_vm_readv and process_vm_writev fail with err for this process, as a container's
 * filter does. */
static int deny_vm_access(int err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 5, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The other process has made no socket yet, or has made it and not begun to listen. */
static bool listens_not_yet(int err)
{
    return err == -ENOENT ||
           (err == -ECONNREFUSED && strstr(pr_error_message(), "nobody listens at"));
}

static struct pr_lane *connect_patiently(struct pr_fabric *fabric, int *err)
{
    struct pr_lane *lane = NULL;
    do {
        *err = pr_fabric_connect(fabric, harness_address(), NULL, 0, PATIENCE_MS, NULL, &lane);
        if (*err)
            pr_sleep_ms(1);
    } while (listens_not_yet(*err));
    return lane;
}

/* A child that may not touch the peer's memory: its connect fails, with what to change. */
static int forbidden_child(int denied)
{
    int err;
    alarm(60);
    struct pr_fabric *fabric = harness_open();
    if (deny_vm_access(denied))
        return 20;
    connect_patiently(fabric, &err);
    pr_fabric_close(fabric);
    if (err != -EACCES)
        return 21;
    const char *word = denied == EPERM ? "process_vm_readv in its seccomp filter" : "seccomp";
    return strstr(pr_error_message(), word) ? 0 : 22;
}

static void assert_exits_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forbidden_connector_says_what_to_change(void **state)
{
    (void)state;
    const int errs[] = {EPERM, ENOSYS};
    for (unsigned i = 0; i < 2; i++) {
        struct pr_listener *listener;
        struct pr_lane *to = NULL;
        harness_fresh_address();
        fflush(NULL);
        pid_t pid = fork();
        if (!pid)
            _exit(forbidden_child(errs[i]));
        struct pr_fabric *fabric = harness_open();
        assert_ok(pr_fabric_listen(fabric, harness_address(), &listener));
        assert_int_equal(pr_listener_accept(listener, PATIENCE_MS, NULL, NULL, NULL, &to),
                         -ECONNRESET);
        assert_non_null(strstr(pr_error_message(), "seccomp")); /* the child's own words */
        assert_null(to);
        assert_exits_well(pid);
        pr_listener_close(listener);
        pr_fabric_close(fabric);
    }
}

/* The accepting child may not either: it can be written to, and its own posts say why not. */
static int forbidden_acceptor(void)
{
    static uint8_t bytes[4096];
    struct pr_listener *listener;
    struct pr_lane *to;
    struct pr_mr *mr;
    struct pr_completion c;
    alarm(60);
    struct pr_fabric *fabric = harness_open();
    if (deny_vm_access(EPERM) || pr_fabric_listen(fabric, harness_address(), &listener) ||
        pr_listener_accept(listener, PATIENCE_MS, NULL, NULL, NULL, &to))
        return 30;
    if (pr_fabric_reg(fabric, bytes, sizeof(bytes), PR_ACCESS_REMOTE_WRITE, &mr) ||
        pr_lane_post_send(to, &mr->key, sizeof(mr->key), 0, false) || pr_lane_flush(to))
        return 31;
    struct pr_rma back = {
        .local = bytes, .mr = mr, .remote = mr->key.addr, .key = &mr->key, .len = 1};
    if (pr_lane_post_write(to, &back) != -EACCES)
        return 32;
    if (lane_next(to, &c) || c.op != PR_OP_RECV || bytes[100] != 42)
        return 33;
    pr_lane_close(to);
    pr_fabric_dereg(mr);
    pr_listener_close(listener);
    pr_fabric_close(fabric);
    return 0;
}

static void a_forbidden_acceptor_can_be_written_to(void **state)
{
    (void)state;
    struct window window;
    int err;
    harness_fresh_address();
    fflush(NULL);
    pid_t pid = fork();
    if (!pid)
        _exit(forbidden_acceptor());
    struct pr_fabric *fabric = harness_open();
    struct pr_lane *lane = connect_patiently(fabric, &err);
    assert_ok(err);
    window_open(&window, fabric, 4096, PR_ACCESS_LOCAL_READ);
    memset(window.bytes, 42, 4096);
    struct pr_key key;
    memcpy(&key, lane_expect(lane, PR_OP_RECV).bytes, sizeof(key));
    struct pr_rma rma = {.local = window.bytes,
                         .mr = window.mr,
                         .remote = key.addr,
                         .key = &key,
                         .len = 4096,
                         .signaled = true};
    assert_ok(pr_lane_post_write(lane, &rma));
    assert_ok(pr_lane_post_send(lane, "done", 4, 0, false));
    assert_ok(pr_lane_flush(lane));
    assert_exits_well(pid);
    pr_lane_close(lane);
    window_close(&window);
    pr_fabric_close(fabric);
}

/* The socket was made by the parent, so its credentials name the parent: the child that accepts is
 * found to be someone else, and nobody's memory is touched. */
static void an_inherited_listener_is_found_out(void **state)
{
    (void)state;
    struct ends ends;
    struct pr_lane *lane = NULL;
    quiet_open(&ends);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        alarm(60);
        int err = pr_listener_accept(ends.listener, PATIENCE_MS, NULL, NULL, NULL, &lane);
        _exit(err == -ECONNRESET ? 0 : 40);
    }
    int err = pr_fabric_connect(ends.source, harness_address(), NULL, 0, PATIENCE_MS, NULL, &lane);
    assert_int_equal(err, -EACCES);
    assert_non_null(strstr(pr_error_message(), "pid namespace"));
    assert_exits_well(pid);
    ends_close(&ends);
}

/* A child in a pid namespace of its own: it cannot even name the listener's process. */
static int secluded_child(void)
{
    struct pr_lane *lane = NULL;
    alarm(60);
    if (unshare(CLONE_NEWPID))
        return errno == EPERM ? 77 : 62;
    pid_t inner = fork();
    if (!inner) {
        struct pr_fabric *fabric = harness_open();
        int err = pr_fabric_connect(fabric, harness_address(), NULL, 0, PATIENCE_MS, NULL, &lane);
        _exit(err == -EACCES && strstr(pr_error_message(), "another pid namespace") ? 0 : 60);
    }
    int status;
    return waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 61;
}

static void another_pid_namespace_is_found_out(void **state)
{
    (void)state;
    struct ends ends;
    int status;
    quiet_open(&ends);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid)
        _exit(secluded_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ends_close(&ends);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* this user may not make one */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void advice_names_the_setting(void **state)
{
    (void)state;
    const struct {
        int err, scope;
        const char *word;
    } cases[] = {
        {EPERM, PR_LOCAL_YAMA_ABSENT, "same user"},
        {EPERM, 0, "same user"},
        {EPERM, 1, "same user"},
        {EPERM, 2, "CAP_SYS_PTRACE"},
        {EPERM, 2, "ptrace_scope is 2"},
        {EPERM, 3, "ptrace_scope is 3"},
        {ENOSYS, 1, "process_vm_writev"},
        {ENOSYS, 3, "seccomp"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_non_null(strstr(pr_local_peer_advice(cases[i].err, cases[i].scope), cases[i].word));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(wrong_descriptors_are_refused),
        cmocka_unit_test(out_of_turn_is_refused),
        cmocka_unit_test(another_version_learns_why),
        cmocka_unit_test(silent_clients_hold_nobody_up),
        cmocka_unit_test(a_client_that_leaves_silently_is_forgotten),
        cmocka_unit_test(connect_meets_something_else),
        cmocka_unit_test(a_forbidden_connector_says_what_to_change),
        cmocka_unit_test(a_forbidden_acceptor_can_be_written_to),
        cmocka_unit_test(an_inherited_listener_is_found_out),
        cmocka_unit_test(another_pid_namespace_is_found_out),
        cmocka_unit_test(advice_names_the_setting),
    };
    return harness_main(argc, argv, "local handshake", tests, sizeof(tests) / sizeof(tests[0]));
}
