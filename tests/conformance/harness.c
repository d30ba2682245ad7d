/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/conformance/harness.h"

#include "base/error.h"
#include "base/runtime.h"
#include "rdma/local/local.h"
#include "tests/conformance/fabrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct test_fabric *chosen;
static char folder[] = "/tmp/pagerail-conformance-XXXXXX";
static char address[128];
static unsigned addresses;
static uint64_t random_state;

struct pr_fabric *harness_open(void)
{
    struct pr_fabric *fabric = NULL;
    if (chosen->open(&fabric))
        fail_msg("cannot open fabric %s: %s", chosen->name, pr_error_message());
    return fabric;
}

const char *harness_address(void)
{
    return address;
}

const char *harness_fresh_address(void)
{
    chosen->address(address, sizeof(address), folder, addresses++);
    return address;
}

const char *harness_folder(void)
{
    return folder;
}

/* xorshift64*: any non-zero state will do. */
uint64_t harness_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

unsigned harness_times(unsigned often)
{
    return chosen->slow && !getenv("PAGERAIL_SOAK") ? (often + 4) / 5 : often;
}

struct acceptance {
    struct pr_listener *listener;
    struct pr_lane *lane;
    int err;
    char message[PAGERAIL_ERROR_MAX];
};

static void accept_main(void *opaque)
{
    struct acceptance *a = opaque;
    a->err = pr_listener_accept(a->listener, PATIENCE_MS, NULL, NULL, NULL, &a->lane);
    if (a->err)
        snprintf(a->message, sizeof(a->message), "%s", pr_error_message());
}

void ends_connect(struct ends *ends, struct pr_lane **from, struct pr_lane **to)
{
    struct acceptance acceptance = {.listener = ends->listener};
    struct pr_thread *thread;
    assert_ok(pr_thread_spawn(&thread, "accept", accept_main, &acceptance));
    int err = pr_fabric_connect(ends->source, address, NULL, 0, PATIENCE_MS, NULL, from);
    pr_thread_join(thread);
    if (err)
        fail_msg("connect: %s", pr_error_message());
    if (acceptance.err)
        fail_msg("accept: %s", acceptance.message);
    *to = acceptance.lane;
}

void ends_open(struct ends *ends)
{
    memset(ends, 0, sizeof(*ends));
    ends->source = harness_open();
    ends->destination = harness_open();
    if (pr_fabric_listen(ends->destination, harness_fresh_address(), &ends->listener))
        fail_msg("listen at %s: %s", address, pr_error_message());
    ends_connect(ends, &ends->from, &ends->to);
}

void ends_close(struct ends *ends)
{
    pr_lane_close(ends->from);
    pr_lane_close(ends->to);
    pr_listener_close(ends->listener);
    pr_fabric_close(ends->source);
    pr_fabric_close(ends->destination);
}

void window_open(struct window *window, struct pr_fabric *fabric, uint64_t len, unsigned access)
{
    window->len = len;
    window->bytes =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(window->bytes != MAP_FAILED);
    if (pr_fabric_reg(fabric, window->bytes, len, access, &window->mr))
        fail_msg("reg: %s", pr_error_message());
}

void window_close(struct window *window)
{
    pr_fabric_dereg(window->mr);
    munmap(window->bytes, window->len);
}

struct pr_rma window_rma(const struct window *local, const struct window *remote, uint64_t offset,
                         uint64_t len, uint64_t tag)
{
    return (struct pr_rma){.local = local->bytes + offset,
                           .mr = local->mr,
                           .remote = remote->mr->key.addr + offset,
                           .key = &remote->mr->key,
                           .len = len,
                           .tag = tag,
                           .signaled = true};
}

int lane_next(struct pr_lane *lane, struct pr_completion *out)
{
    uint64_t deadline = pr_deadline_after_ms(PATIENCE_MS);
    while (pr_now_ns() < deadline) {
        int count = pr_lane_poll(lane, out, 1);
        if (count)
            return count < 0 ? count : 0;
        struct pollfd fd = {.fd = pr_lane_fd(lane), .events = POLLIN};
        int armed = pr_lane_arm(lane);
        assert_true(armed >= 0);
        if (!armed)
            pr_poll(&fd, 1, pr_deadline_left_ms(deadline));
    }
    fail_msg("no completion within %d ms", PATIENCE_MS);
    return -1;
}

struct pr_completion lane_expect(struct pr_lane *lane, enum pr_op op)
{
    struct pr_completion completion = {0};
    int err = lane_next(lane, &completion);
    if (err)
        fail_msg("the lane failed (%d): %s", err, pr_error_message());
    assert_int_equal(completion.op, op);
    return completion;
}

int lane_until_failed(struct pr_lane *lane)
{
    struct pr_completion completion;
    int err;
    while (!(err = lane_next(lane, &completion)))
        if (completion.op == PR_OP_RECV)
            pr_lane_recv_done(lane, completion.bytes);
    return err;
}

unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static uint64_t choose_seed(void)
{
    const char *text = getenv("PAGERAIL_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : pr_now_ns() ^ (uint64_t)getpid() << 32;
    return seed ? seed : 1;
}

/* Empties and removes the folder; returns how many files were in it. */
static unsigned remove_folder(void)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (!unlinkat(dirfd(dir), entry->d_name, 0))
            count++;
    if (dir)
        closedir(dir);
    rmdir(folder);
    return count;
}

int harness_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests,
                 size_t count)
{
    chosen = test_fabric_find(argc == 2 ? argv[1] : "");
    if (!chosen) {
        fprintf(stderr, "usage: %s FABRIC\n", argv[0]);
        return 2;
    }
    const char *missing = chosen->missing ? chosen->missing() : NULL;
    if (missing) {
        printf("skip: %s\n", missing);
        return 77;
    }
    if (!mkdtemp(folder)) {
        perror(folder);
        return 2;
    }
    if (getenv("PAGERAIL_TEST_ONLY"))
        cmocka_set_test_filter(getenv("PAGERAIL_TEST_ONLY"));
    random_state = choose_seed();
    printf("fabric %s, PAGERAIL_TEST_SEED=%llu\n", chosen->name, (unsigned long long)random_state);
    int failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    unsigned left = remove_folder();
    if (left && !failed) {
        fprintf(stderr, "the tests left %u socket files behind\n", left);
        return 1;
    }
    return failed;
}
