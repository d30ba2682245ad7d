/* SPDX-License-Identifier: BSD-2-Clause */
/* pagecopy/absent.h: which pages nobody ever made, and of which memory that may be asked. */
#include "pagecopy/absent.h"

#include "tests/unit/check.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define BLOCK ((size_t)PR_ABSENT_PAGES * PAGE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static struct pr_absent *absent;

static int open_absent(void **state)
{
    (void)state;
    absent = pr_absent_open();
    return absent ? 0 : -1;
}

static int close_absent(void **state)
{
    (void)state;
    pr_absent_close(absent);
    return 0;
}

static uint8_t *map(size_t len, int flags, int fd)
{
    uint8_t *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(madvise(memory, len, MADV_NOHUGEPAGE), 0);
    return memory;
}

static void a_page_is_there_once_it_was_written_or_read(void **state)
{
    (void)state;
    static const size_t pages[] = {0, 1, PR_ABSENT_PAGES / 2, PR_ABSENT_PAGES - 1};
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        uint8_t *memory = map(3 * BLOCK, ANONYMOUS, -1);
        for (size_t block = 0; block < 3; block++)
            assert_true(pr_absent_all(absent, memory + block * BLOCK));
        volatile uint8_t *byte = memory + BLOCK + pages[i] * PAGE;
        if (i % 2)
            *byte = 0;
        else
            assert_int_equal(*byte, 0);
        for (size_t block = 0; block < 3; block++)
            assert_int_equal(pr_absent_all(absent, memory + block * BLOCK), block != 1);
        madvise(memory, 3 * BLOCK, MADV_DONTNEED); /* as a balloon does */
        assert_true(pr_absent_all(absent, memory + BLOCK));
        munmap(memory, 3 * BLOCK);
    }
}

static void nothing_is_known_without_the_kernel(void **state)
{
    (void)state;
    uint8_t *memory = map(BLOCK, ANONYMOUS, -1);
    assert_false(pr_absent_all(NULL, memory));
    munmap(memory, BLOCK);
    pr_absent_close(NULL);
}

static void private_anonymous_memory_is_zero_where_it_is_absent(void **state)
{
    (void)state;
    uint8_t *memory = map(4 * BLOCK, ANONYMOUS, -1);
    assert_true(pr_absent_is_zero(memory, 4 * BLOCK));
    assert_true(pr_absent_is_zero(memory + BLOCK, BLOCK));
    assert_int_equal(mprotect(memory + BLOCK, BLOCK, PROT_READ), 0); /* three mappings */
    assert_true(pr_absent_is_zero(memory, 4 * BLOCK));
    assert_int_equal(munmap(memory + 2 * BLOCK, BLOCK), 0);
    assert_true(pr_absent_is_zero(memory, 2 * BLOCK));
    assert_true(pr_absent_is_zero(memory + 3 * BLOCK, BLOCK));
    assert_false(pr_absent_is_zero(memory, 4 * BLOCK)); /* there is a hole */
    assert_false(pr_absent_is_zero(memory + 2 * BLOCK, BLOCK));
    assert_false(pr_absent_is_zero(memory + 2 * BLOCK, 2 * BLOCK));
    assert_false(pr_absent_is_zero((void *)(UINTPTR_MAX - BLOCK + 1), BLOCK - 1));
    munmap(memory, 4 * BLOCK);
}

/* Here no page is there though the bytes are not zero: who asked for absent pages would lose them.
 */
static void elsewhere_absent_says_nothing(void **state)
{
    (void)state;
    int fd = memfd_create("test", 0);
    uint8_t *bytes = malloc(BLOCK);
    memset(bytes, 7, BLOCK);
    assert_int_equal(write(fd, bytes, BLOCK), BLOCK);
    static const int flags[] = {MAP_PRIVATE, MAP_SHARED};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        uint8_t *memory = map(BLOCK, flags[i], fd);
        assert_true(pr_absent_all(absent, memory));
        assert_false(pr_absent_is_zero(memory, BLOCK));
        assert_memory_equal(memory, bytes, BLOCK);
        munmap(memory, BLOCK);
    }
    uint8_t *shared = map(BLOCK, MAP_SHARED | MAP_ANONYMOUS, -1);
    memset(shared, 7, BLOCK);
    madvise(shared, BLOCK, MADV_DONTNEED);
    assert_true(pr_absent_all(absent, shared));
    assert_false(pr_absent_is_zero(shared, BLOCK));
    assert_memory_equal(shared, bytes, BLOCK);
    munmap(shared, BLOCK);
    free(bytes);
    close(fd);
}

/* Nor does it where somebody fills pages on demand, and that cannot be seen: who owns the memory
 * has to say so (PAGERAIL_REGION_NO_LAZY_FILL). */
static void memory_that_is_filled_on_demand_cannot_be_told(void **state)
{
    (void)state;
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API};
    assert_true(fd >= 0); /* Linux 5.11, any user */
    assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
    uint8_t *memory = map(BLOCK, ANONYMOUS, -1), *bytes = map(BLOCK, ANONYMOUS, -1);
    memset(bytes, 7, BLOCK);
    struct uffdio_register lazy = {.range = {(uintptr_t)memory, BLOCK},
                                   .mode = UFFDIO_REGISTER_MODE_MISSING};
    assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &lazy), 0);
    assert_true(pr_absent_is_zero(memory, BLOCK));
    assert_true(pr_absent_all(absent, memory)); /* but: */
    struct uffdio_copy filled = {.dst = (uintptr_t)memory, .src = (uintptr_t)bytes, .len = BLOCK};
    assert_int_equal(ioctl(fd, UFFDIO_COPY, &filled), 0);
    assert_memory_equal(memory, bytes, BLOCK);
    assert_false(pr_absent_all(absent, memory));
    munmap(memory, BLOCK);
    munmap(bytes, BLOCK);
    close(fd);
}

/* A file in the middle of anonymous memory spoils all of it. */
static void one_mapping_of_another_kind_is_enough(void **state)
{
    (void)state;
    int fd = memfd_create("test", 0);
    assert_int_equal(ftruncate(fd, BLOCK), 0);
    uint8_t *memory = map(3 * BLOCK, ANONYMOUS, -1);
    assert_true(mmap(memory + BLOCK, BLOCK, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
                MAP_FAILED);
    assert_false(pr_absent_is_zero(memory, 3 * BLOCK));
    assert_false(pr_absent_is_zero(memory, BLOCK + PAGE));
    assert_true(pr_absent_is_zero(memory, BLOCK));
    assert_true(pr_absent_is_zero(memory + 2 * BLOCK, BLOCK));
    munmap(memory, 3 * BLOCK);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_there_once_it_was_written_or_read),
        cmocka_unit_test(nothing_is_known_without_the_kernel),
        cmocka_unit_test(private_anonymous_memory_is_zero_where_it_is_absent),
        cmocka_unit_test(elsewhere_absent_says_nothing),
        cmocka_unit_test(memory_that_is_filled_on_demand_cannot_be_told),
        cmocka_unit_test(one_mapping_of_another_kind_is_enough),
    };
    return cmocka_run_group_tests(tests, open_absent, close_absent);
}
