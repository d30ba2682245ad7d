/* SPDX-License-Identifier: BSD-2-Clause */
/* Every variant of the zero check that this processor can run, against the bytes themselves. */
#include "base/runtime.h"
#include "pagecopy/bits.h"
#include "pagecopy/zero.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE PR_ZERO_PAGE_BYTES
#define MAX_VARIANTS 8

static struct seeded rng;
static struct pr_zero_variant variants[MAX_VARIANTS];
static unsigned variant_count;

static void list_variants(void)
{
    struct pr_zero_variant v;
    for (unsigned i = 0; pr_zero_variant_get(i, &v); i++) {
        printf("# zero variant %s: %s\n", v.name, v.supported ? "tested" : "not on this processor");
        if (v.supported)
            variants[variant_count++] = v;
    }
}

static void test_scalar_reference_comes_first(void **state)
{
    (void)state;
    assert_true(variant_count >= 1);
    assert_string_equal(variants[0].name, "scalar");
}

/* `pages` readable pages that end where reading faults. */
static unsigned char *guarded(size_t pages)
{
    unsigned char *at =
        mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    assert_int_equal(mprotect(at + pages * PAGE, PAGE, PROT_NONE), 0);
    return at;
}

static void release(unsigned char *at, size_t pages)
{
    munmap(at, (pages + 1) * PAGE);
}

static void test_each_single_byte_of_a_page_is_seen(void **state)
{
    (void)state;
    unsigned char *page = guarded(1);
    for (unsigned v = 0; v < variant_count; v++) {
        assert_true(variants[v].is(page, PAGE));
        for (size_t i = 0; i < PAGE; i++) {
            page[i] = (unsigned char)(1u << (i % 8));
            if (variants[v].is(page, PAGE))
                fail_msg("%s missed byte %zu", variants[v].name, i);
            page[i] = 0;
        }
    }
    release(page, 1);
}

/* The span lies between bytes that are not zero, and in the second pass against a guard page: so
 * neither what is before nor what is behind it may count or be touched. */
static void check_span(const struct pr_zero_variant *v, unsigned char *at, size_t len)
{
    if (!v->is(at, len))
        fail_msg("%s: %zu zero bytes at %p are not zero", v->name, len, (void *)at);
    for (size_t tries = 0; tries < 4 && len; tries++) {
        size_t i = tries == 0 ? 0 : tries == 1 ? len - 1 : seeded_below(&rng, len);
        at[i] = (unsigned char)(1 + seeded_below(&rng, 255));
        if (v->is(at, len))
            fail_msg("%s: missed byte %zu of %zu at %p", v->name, i, len, (void *)at);
        at[i] = 0;
    }
}

static void test_any_address_and_length(void **state)
{
    (void)state;
    unsigned char *start = guarded(2), *end = start + 2 * PAGE;
    for (unsigned v = 0; v < variant_count; v++) {
        for (size_t len = 0; len <= 1100; len++) {
            for (unsigned shift = 0; shift < 64; shift += 1 + (unsigned)seeded_below(&rng, 8)) {
                memset(start, 0xff, 2 * PAGE);
                memset(start + PAGE / 2 + shift, 0, len);
                check_span(&variants[v], start + PAGE / 2 + shift, len);
            }
            memset(start, 0xff, 2 * PAGE);
            memset(end - len, 0, len);
            check_span(&variants[v], end - len, len);
        }
    }
    release(start, 2);
}

static void test_the_chosen_one_agrees_with_the_reference(void **state)
{
    (void)state;
    unsigned char *page = guarded(1);
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = seeded_below(&rng, PAGE + 1);
        if (i % 2 && len)
            page[PAGE - len + seeded_below(&rng, len)] = 1;
        assert_int_equal(pr_zero_is(page + PAGE - len, len),
                         variants[0].is(page + PAGE - len, len));
        memset(page, 0, PAGE);
    }
    release(page, 1);
}

/* Makes page i zero or puts one byte in it; returns whether it is zero. */
static bool make_page(unsigned char *pages, uint64_t i)
{
    memset(pages + i * PAGE, 0, PAGE);
    if (seeded_below(&rng, 2))
        return true;
    pages[i * PAGE + seeded_below(&rng, PAGE)] = 0x80;
    return false;
}

static void test_scan_fills_the_map(void **state)
{
    (void)state;
    enum { MOST = 200 };
    unsigned char *pages = guarded(MOST);
    uint64_t expected[4], bits[5];
    for (unsigned round = 0; round < 60; round++) {
        uint64_t count = seeded_below(&rng, MOST + 1), zeros = 0, words = pr_bits_words(count);
        unsigned char *start = pages + (MOST - count) * PAGE;
        memset(expected, 0, sizeof(expected));
        for (uint64_t i = 0; i < count; i++) {
            bool zero = make_page(start, i);
            expected[i / 64] |= (uint64_t)zero << (i % 64);
            zeros += zero;
        }
        for (unsigned v = 0; v < variant_count; v++) {
            memset(bits, 0xa5, sizeof(bits));
            assert_int_equal(pr_zero_scan_by(&variants[v], start, count, bits), zeros);
            assert_memory_equal(bits, expected, words * 8);
            assert_int_equal(bits[words], UINT64_C(0xa5a5a5a5a5a5a5a5));
        }
        assert_int_equal(pr_zero_scan(start, count, bits), zeros);
        assert_memory_equal(bits, expected, words * 8);
    }
    release(pages, MOST);
}

struct guest {
    unsigned char *pages;
    uint64_t count;
    _Atomic bool stop;
};

/* Writes the odd pages with plain stores, as a guest does. */
static void guest_main(void *opaque)
{
    struct guest *guest = opaque;
    for (uint64_t i = 0; !atomic_load_explicit(&guest->stop, memory_order_relaxed); i++) {
        uint64_t page = i % (guest->count / 2) * 2 + 1;
        guest->pages[page * PAGE + i * 61 % PAGE] = (unsigned char)i;
    }
}

/* What is not written meanwhile is reported right; and ThreadSanitizer has no complaint. */
static void test_scan_beside_a_writing_guest(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct guest guest = {.pages = guarded(COUNT), .count = COUNT};
    struct pr_thread *thread;
    assert_int_equal(pr_thread_spawn(&thread, "guest", guest_main, &guest), 0);
    uint64_t bits;
    for (unsigned i = 0; i < 500; i++) {
        const struct pr_zero_variant *v = &variants[i % variant_count];
        pr_zero_scan_by(v, guest.pages, COUNT, &bits);
        assert_int_equal(bits & UINT64_C(0x5555555555555555), UINT64_C(0x5555555555555555));
    }
    atomic_store(&guest.stop, true);
    pr_thread_join(thread);
    release(guest.pages, COUNT);
}

int main(void)
{
    rng = seeded_start();
    list_variants();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_reference_comes_first),
        cmocka_unit_test(test_each_single_byte_of_a_page_is_seen),
        cmocka_unit_test(test_any_address_and_length),
        cmocka_unit_test(test_the_chosen_one_agrees_with_the_reference),
        cmocka_unit_test(test_scan_fills_the_map),
        cmocka_unit_test(test_scan_beside_a_writing_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
