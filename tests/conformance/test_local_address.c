/* SPDX-License-Identifier: BSD-2-Clause */
/* The local fabric's socket file. */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    return addr;
}

/* A socket file as a dead listener leaves it. */
static void leave_stale(const char *path)
{
    struct sockaddr_un addr = address_of(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    assert_ok(listen(fd, 1));
    close(fd);
}

static void assert_refused(struct pr_fabric *fabric, const char *path, int err)
{
    struct pr_listener *listener = NULL;
    assert_int_equal(pr_fabric_listen(fabric, path, &listener), err);
    assert_null(listener);
    assert_true(strlen(pr_error_message()) > 10);
}

static void a_left_over_file_is_replaced(void **state)
{
    (void)state;
    struct ends ends;
    leave_stale(harness_fresh_address());
    memset(&ends, 0, sizeof(ends));
    ends.source = harness_open();
    ends.destination = harness_open();
    struct pr_lane *lane;
    assert_int_equal(pr_fabric_connect(ends.source, harness_address(), NULL, 0, 1000, NULL, &lane),
                     -ECONNREFUSED);
    assert_ok(pr_fabric_listen(ends.destination, harness_address(), &ends.listener));
    ends_connect(&ends, &ends.from, &ends.to);
    ends_close(&ends);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    const char *path = harness_fresh_address();
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    assert_refused(fabric, path, -EADDRINUSE);
    struct stat st;
    assert_ok(stat(path, &st));
    assert_int_equal(st.st_size, 4);
    unlink(path);
    pr_fabric_close(fabric);
}

static void another_users_socket_is_left_alone(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct pr_fabric *fabric = harness_open();
    const char *path = harness_fresh_address();
    leave_stale(path);
    assert_ok(chown(path, 12345, 12345));
    assert_refused(fabric, path, -EADDRINUSE);
    assert_ok(access(path, F_OK));
    unlink(path);
    pr_fabric_close(fabric);
}

static void a_listener_of_another_kind_is_alive_too(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_lane *lane = NULL;
    const char *path = harness_fresh_address();
    struct sockaddr_un addr = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_ok(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    assert_ok(listen(fd, 1));
    assert_refused(fabric, path, -EADDRINUSE);
    assert_int_equal(pr_fabric_connect(fabric, path, NULL, 0, 1000, NULL, &lane), -EPROTO);
    close(fd);
    unlink(path);
    pr_fabric_close(fabric);
}

static void impossible_paths_are_refused(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_lane *lane = NULL;
    char path[300];
    snprintf(path, sizeof(path), "%s/missing/socket", harness_folder());
    assert_refused(fabric, path, -ENOENT);
    memset(path, 'x', sizeof(path));
    path[108] = '\0'; /* one more than fits with its terminator */
    assert_refused(fabric, path, -EINVAL);
    assert_non_null(strstr(pr_error_message(), "107"));
    assert_int_equal(pr_fabric_connect(fabric, path, NULL, 0, 1000, NULL, &lane), -EINVAL);
    pr_fabric_close(fabric);
}

static void the_file_is_private(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_listener *listener;
    struct stat st;
    mode_t old = umask(0);
    assert_ok(pr_fabric_listen(fabric, harness_fresh_address(), &listener));
    umask(old);
    assert_ok(stat(harness_address(), &st));
    assert_int_equal(st.st_mode & 07777, 0600);
    pr_listener_close(listener);
    assert_int_equal(access(harness_address(), F_OK), -1);
    pr_fabric_close(fabric);
}

static void close_removes_only_its_own_file(void **state)
{
    (void)state;
    struct pr_fabric *fabric = harness_open();
    struct pr_listener *first, *second;
    const char *path = harness_fresh_address();
    assert_ok(pr_fabric_listen(fabric, path, &first));
    unlink(path);
    assert_ok(pr_fabric_listen(fabric, path, &second));
    pr_listener_close(first);
    assert_ok(access(path, F_OK));
    pr_listener_close(second);
    assert_int_equal(access(path, F_OK), -1);
    pr_fabric_close(fabric);
}

/* Starters race for one path that a dead listener left: exactly one may win. */
struct starter {
    struct pr_fabric *fabric;
    struct pr_listener *listener;
    int err;
};

static void start_main(void *opaque)
{
    struct starter *s = opaque;
    s->err = pr_fabric_listen(s->fabric, harness_address(), &s->listener);
}

static void one_of_several_starters_wins(void **state)
{
    (void)state;
    enum { STARTERS = 4 };
    struct pr_fabric *fabric = harness_open();
    for (unsigned round = 0; round < 500; round++) {
        struct starter starters[STARTERS];
        struct pr_thread *threads[STARTERS];
        leave_stale(harness_fresh_address());
        for (unsigned i = 0; i < STARTERS; i++) {
            starters[i] = (struct starter){.fabric = fabric};
            assert_ok(pr_thread_spawn(&threads[i], "start", start_main, &starters[i]));
        }
        unsigned winners = 0;
        for (unsigned i = 0; i < STARTERS; i++) {
            pr_thread_join(threads[i]);
            winners += starters[i].err == 0;
            assert_true(starters[i].err == 0 || starters[i].err == -EADDRINUSE);
        }
        assert_int_equal(winners, 1);
        for (unsigned i = 0; i < STARTERS; i++)
            if (!starters[i].err)
                pr_listener_close(starters[i].listener);
    }
    pr_fabric_close(fabric);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_left_over_file_is_replaced),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(another_users_socket_is_left_alone),
        cmocka_unit_test(a_listener_of_another_kind_is_alive_too),
        cmocka_unit_test(impossible_paths_are_refused),
        cmocka_unit_test(the_file_is_private),
        cmocka_unit_test(close_removes_only_its_own_file),
        cmocka_unit_test(one_of_several_starters_wins),
    };
    return harness_main(argc, argv, "local address", tests, sizeof(tests) / sizeof(tests[0]));
}
