/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory, descriptors and threads run out at every moment of a session, on either side: the call
 * that meets it says so, nothing hangs, and nothing is left behind. The linker's --wrap puts these
 * functions between the library and the system.
 */
#include "tests/unit/mock_destination.h"
#include "tests/unit/mock_source.h"

#include "base/runtime.h"
#include "tests/unit/check.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

enum scarce { MEMORY, DESCRIPTORS, THREADS };

static struct {
    enum scarce kind;
    _Atomic long left; /* until the one that fails; 0 = nothing fails any more */
    _Atomic bool struck;
} shortage;

/* True for exactly one call of its kind. */
static bool runs_out(enum scarce kind)
{
    if (mock_allocates || shortage.kind != kind || atomic_load(&shortage.left) <= 0)
        return false;
    if (atomic_fetch_sub(&shortage.left, 1) != 1)
        return false;
    atomic_store(&shortage.struck, true);
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __real_eventfd(unsigned initial, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_eventfd(unsigned initial, int flags);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

void *__wrap_malloc(size_t size)
{
    return runs_out(MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return runs_out(MEMORY) ? NULL : __real_calloc(count, size);
}

int __wrap_eventfd(unsigned initial, int flags)
{
    if (!runs_out(DESCRIPTORS))
        return __real_eventfd(initial, flags);
    errno = EMFILE;
    return -1;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    return runs_out(THREADS) ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* From new to the release, with patience for a peer that will never answer. */
static int run_source(struct mock_destination *d)
{
    const struct pagerail_options options = {.size = sizeof(options),
                                             .lanes = MOCK_LANES,
                                             .window_bytes = 64 << 10,
                                             .connect_timeout_ms = 400,
                                             .silence_timeout_ms = 2000};
    const struct pagerail_region region = {"ram", d->memory, MOCK_REGION_BYTES, 4096, 0};
    int err = pagerail_source_new(&options, &d->source);
    if (!err)
        err = pagerail_source_connect(d->source, "mock:x", &region, 1);
    if (!err)
        err = pagerail_source_push(d->source, 0, 0, MOCK_REGION_BYTES);
    if (!err)
        err = pagerail_source_fence(d->source, NULL);
    if (!err)
        err = pagerail_source_write(d->source, "state", 5);
    if (!err)
        err = pagerail_source_write_end(d->source);
    if (!err)
        err = pagerail_source_wait_ready(d->source, 3000);
    if (!err)
        err = pagerail_source_release(d->source);
    return err;
}

static void judge(enum scarce kind, int err)
{
    static const int errors[] = {-ENOMEM, -EMFILE, -EIO};
    if (!atomic_load(&shortage.struck))
        return;
    /* What only brings a pong, or lets go of a window, may be missed without harm. */
    if (err && err != errors[kind] && !(kind == THREADS && err == -EAGAIN))
        fail_msg("%d instead of %d: %s", err, errors[kind], pagerail_error_message());
}

static void strike_source(enum scarce kind)
{
    for (long at = 1;; at++) {
        struct mock_destination d;
        mock_destination_open(&d);
        unsigned descriptors = open_descriptors();
        shortage.kind = kind;
        atomic_store(&shortage.struck, false);
        atomic_store(&shortage.left, at);
        int err = run_source(&d);
        judge(kind, err);
        pagerail_source_free(d.source);
        d.source = NULL;
        atomic_store(&shortage.left, 0);
        if (err)
            assert_int_equal(d.control ? mock_messages(d.control, PR_WIRE_RELEASE) : 0, 0);
        /* What is left open now is the mock's lanes. */
        assert_int_equal(open_descriptors(), descriptors + d.fabric->lane_count);
        mock_destination_close(&d);
        if (!shortage.struck) {
            assert_int_equal(err, 0);
            print_message("the source met %ld shortages\n", at - 1);
            return;
        }
    }
}

static void play_on(struct mock_source *s)
{
    for (unsigned lane = 0; lane < MOCK_SOURCE_LANES; lane++)
        mock_source_end_epoch(s, lane, 1);
    mock_source_want(s, 0, 4);
    for (int ms = 0; s->fabric->registered < 4 && ms < 100; ms++)
        pr_sleep_ms(1); /* a session that has failed registers no more */
    mock_source_stream(s, 0, "state", 5);
    mock_source_end_stream(s, 5);
}

static int run_destination(struct mock_source *s)
{
    const struct pagerail_options options = {
        .size = sizeof(options), .connect_timeout_ms = 400, .silence_timeout_ms = 2000};
    char bytes[16];
    int err = pagerail_destination_new(&options, &s->destination);
    if (!err)
        err = pagerail_destination_listen(s->destination, "mock:x");
    if (!err)
        err = mock_source_accept(s, 400);
    if (err)
        return err;
    play_on(s);
    ssize_t got;
    while ((got = pagerail_destination_read(s->destination, bytes, sizeof(bytes))) > 0)
        continue;
    return (int)got;
}

static void strike_destination(enum scarce kind)
{
    for (long at = 1;; at++) {
        struct mock_source s;
        mock_source_prepare(&s);
        unsigned descriptors = open_descriptors();
        shortage.kind = kind;
        atomic_store(&shortage.struck, false);
        atomic_store(&shortage.left, at);
        int err = run_destination(&s);
        judge(kind, err);
        pagerail_destination_free(s.destination);
        s.destination = NULL;
        atomic_store(&shortage.left, 0);
        assert_int_equal(open_descriptors(), descriptors + s.fabric->lane_count);
        mock_source_release(&s);
        if (!shortage.struck) {
            assert_int_equal(err, 0);
            print_message("the destination met %ld shortages\n", at - 1);
            return;
        }
    }
}

static void memory_runs_out_at_the_source(void **state)
{
    (void)state;
    strike_source(MEMORY);
}

static void descriptors_run_out_at_the_source(void **state)
{
    (void)state;
    strike_source(DESCRIPTORS);
}

static void threads_run_out_at_the_source(void **state)
{
    (void)state;
    strike_source(THREADS);
}

static void memory_runs_out_at_the_destination(void **state)
{
    (void)state;
    strike_destination(MEMORY);
}

static void descriptors_run_out_at_the_destination(void **state)
{
    (void)state;
    strike_destination(DESCRIPTORS);
}

static void threads_run_out_at_the_destination(void **state)
{
    (void)state;
    strike_destination(THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_runs_out_at_the_source),
        cmocka_unit_test(descriptors_run_out_at_the_source),
        cmocka_unit_test(threads_run_out_at_the_source),
        cmocka_unit_test(memory_runs_out_at_the_destination),
        cmocka_unit_test(descriptors_run_out_at_the_destination),
        cmocka_unit_test(threads_run_out_at_the_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
