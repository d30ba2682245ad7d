/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/walk.h: chunks to transfers, for every page size, with zero pages and without. */
#include "transport/walk.h"

#include "pagecopy/bits.h"
#include "tests/unit/check.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct pr_plan_limits limits = {.max_write_bytes = MIB, .window_bytes = 64 * MIB};

/* Reads as zero and takes no memory until a test writes to it. */
static uint8_t *map(uint64_t len)
{
    uint8_t *memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static void start_walk(struct pr_walk *walk, const struct pr_chunk *chunk, uint8_t *memory,
                       uint64_t page_bytes)
{
    static struct pr_region region;
    region = (struct pr_region){.addr = memory, .page_bytes = page_bytes};
    pr_walk_start(walk, chunk, &region, &limits);
}

struct sum {
    uint64_t data, zero, transfers, end;
};

/* Walks to the end; transfers come in rising order and do not overlap. */
static struct sum walk_all(struct pr_walk *walk)
{
    struct sum sum = {0};
    const struct pr_transfer *t;
    while ((t = pr_walk_peek(walk))) {
        assert_ptr_equal(pr_walk_peek(walk), t); /* it stays until it is taken */
        assert_true(t->len_bytes && t->offset_bytes >= sum.end);
        assert_true(t->zero || t->len_bytes <= limits.max_write_bytes);
        *(t->zero ? &sum.zero : &sum.data) += t->len_bytes;
        sum.end = t->offset_bytes + t->len_bytes;
        sum.transfers++;
        pr_walk_took(walk);
    }
    assert_null(pr_walk_peek(walk));
    return sum;
}

static void a_run_of_data_is_cut_at_the_longest_write(void **state)
{
    (void)state;
    uint8_t *memory = map(8 * MIB);
    memset(memory, 1, 8 * MIB);
    const struct pr_chunk chunk = {.kind = PR_CHUNK_RUN, .offset = PAGE, .len = 5 * MIB};
    struct pr_walk walk;
    start_walk(&walk, &chunk, memory, PAGE);
    assert_int_equal(pr_walk_peek(&walk)->offset_bytes, PAGE);
    struct sum sum = walk_all(&walk);
    assert_int_equal(sum.data, 5 * MIB);
    assert_int_equal(sum.zero, 0);
    assert_int_equal(sum.transfers, 5);
    assert_int_equal(sum.end, PAGE + 5 * MIB);
    munmap(memory, 8 * MIB);
}

static void zero_pages_are_told_apart(void **state)
{
    (void)state;
    uint8_t *memory = map(16 * PAGE);
    memory[3 * PAGE + 4095] = 1;
    memory[4 * PAGE] = 1;
    memory[9 * PAGE + 7] = 1;
    const struct pr_chunk chunk = {.kind = PR_CHUNK_RUN, .offset = 0, .len = 16 * PAGE};
    static const struct pr_transfer wanted[] = {
        {true, 0, 3 * PAGE},     {false, 3 * PAGE, 2 * PAGE}, {true, 5 * PAGE, 4 * PAGE},
        {false, 9 * PAGE, PAGE}, {true, 10 * PAGE, 6 * PAGE},
    };
    struct pr_walk walk;
    start_walk(&walk, &chunk, memory, PAGE);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const struct pr_transfer *t = pr_walk_peek(&walk);
        assert_int_equal(t->zero, wanted[i].zero);
        assert_int_equal(t->offset_bytes, wanted[i].offset_bytes);
        assert_int_equal(t->len_bytes, wanted[i].len_bytes);
        pr_walk_took(&walk);
    }
    assert_null(pr_walk_peek(&walk));
    munmap(memory, 16 * PAGE);
}

static void dirty_bits_are_taken_as_the_walk_comes_to_them(void **state)
{
    (void)state;
    uint64_t bits[8] = {0x8000000000000001, 0, 0x3}; /* pages 0, 63, 128, 129 */
    uint8_t *memory = map(512 * PAGE);
    memset(memory, 1, 512 * PAGE);
    const struct pr_chunk chunk = {
        .kind = PR_CHUNK_DIRTY, .offset = 0, .len = 512 * PAGE, .bits = bits};
    static const struct pr_transfer wanted[] = {
        {false, 0, PAGE}, {false, 63 * PAGE, PAGE}, {false, 128 * PAGE, 2 * PAGE}};
    struct pr_walk walk;
    start_walk(&walk, &chunk, memory, PAGE);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const struct pr_transfer *t = pr_walk_peek(&walk);
        assert_int_equal(t->offset_bytes, wanted[i].offset_bytes);
        assert_int_equal(t->len_bytes, wanted[i].len_bytes);
        if (i == 0) {
            assert_int_equal(bits[0], 0); /* cleared before the page is read */
            assert_int_equal(bits[2], 0x3);
        }
        pr_walk_took(&walk);
    }
    assert_null(pr_walk_peek(&walk));
    assert_int_equal(bits[2], 0);
    munmap(memory, 512 * PAGE);
}

/* A chunk in the middle of a bitmap and of a region; other bits of its words are not its own. */
static void bits_outside_of_the_chunk_are_left_alone(void **state)
{
    (void)state;
    uint64_t bits[2] = {UINT64_MAX, UINT64_MAX};
    uint8_t *memory = map(1024 * PAGE);
    memset(memory, 1, 1024 * PAGE);
    const struct pr_chunk chunk = {.kind = PR_CHUNK_DIRTY,
                                   .offset = 500 * PAGE,
                                   .len = 70 * PAGE,
                                   .bits = bits,
                                   .first_bit = 10};
    struct pr_walk walk;
    start_walk(&walk, &chunk, memory, PAGE);
    assert_int_equal(pr_walk_peek(&walk)->offset_bytes, 500 * PAGE);
    struct sum sum = walk_all(&walk);
    assert_int_equal(sum.data, 70 * PAGE);
    assert_int_equal(sum.end, 570 * PAGE);
    assert_int_equal(bits[0], (1u << 10) - 1);
    assert_int_equal(bits[1], UINT64_MAX << 16);
    munmap(memory, 1024 * PAGE);
}

/* One bit stands for 512 or 262144 pages of 4 KiB: most of them zero here. */
static void large_pages_are_walked_in_slices(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {2 * MIB, GIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t page = sizes[i], len = 4 * page;
        uint8_t *memory = map(len);
        uint64_t bits = 0x2 | 0x8;
        memory[page] = 1;         /* the first 4 KiB of page 1 */
        memory[2 * page - 1] = 1; /* and the last */
        memory[2 * page] = 1;     /* page 2 is not dirty */
        const struct pr_chunk chunk = {
            .kind = PR_CHUNK_DIRTY, .offset = 0, .len = len, .bits = &bits};
        struct pr_walk walk;
        start_walk(&walk, &chunk, memory, page);
        struct sum sum = {0};
        if (page == GIB) { /* walking all of it takes too long here: the beginning shows */
            const struct pr_transfer *t = pr_walk_peek(&walk);
            assert_false(t->zero);
            assert_int_equal(t->offset_bytes, page);
            assert_int_equal(t->len_bytes, PAGE);
            pr_walk_took(&walk);
            t = pr_walk_peek(&walk);
            assert_true(t->zero);
            assert_int_equal(t->offset_bytes, page + PAGE);
            assert_int_equal(t->len_bytes, PR_SLICE_PAGES * PAGE - PAGE);
            assert_int_equal(bits, 0); /* a word of bits is taken at once */
        } else {
            sum = walk_all(&walk);
            assert_int_equal(sum.data, 2 * PAGE);
            assert_int_equal(sum.zero, 2 * page - 2 * PAGE);
            assert_int_equal(sum.end, 4 * page);
            assert_int_equal(bits, 0);
        }
        munmap(memory, len);
    }
}

static void nothing_dirty_is_nothing_to_do(void **state)
{
    (void)state;
    uint64_t bits[32] = {0};
    const struct pr_chunk chunk = {
        .kind = PR_CHUNK_DIRTY, .offset = 0, .len = 2048 * PAGE, .bits = bits};
    struct pr_walk walk;
    start_walk(&walk, &chunk, NULL, PAGE); /* reads no page */
    assert_null(pr_walk_peek(&walk));
}

/* Whatever is dirty and whatever is zero: each dirty page comes once, as what it is. */
static void any_pattern_comes_out_exactly(void **state)
{
    (void)state;
    enum { PAGES = 2048 };
    struct draw draw = draw_open(5);
    uint8_t *memory = map(PAGES * PAGE);
    static uint64_t bits[PAGES / 64], asked[PAGES / 64];
    static uint8_t seen[PAGES];
    for (int round = 0; round < 20; round++) {
        unsigned density = 1 + (unsigned)draw_below(&draw, 60);
        memset(seen, 0, sizeof(seen));
        for (uint64_t p = 0; p < PAGES; p++) {
            memory[p * PAGE] = draw_below(&draw, 3) != 0;
            uint64_t bit = UINT64_C(1) << (p % 64);
            bits[p / 64] = draw_below(&draw, density) ? bits[p / 64] & ~bit : bits[p / 64] | bit;
        }
        memcpy(asked, bits, sizeof(bits));
        const struct pr_chunk chunk = {
            .kind = PR_CHUNK_DIRTY, .offset = 0, .len = PAGES * PAGE, .bits = bits};
        struct pr_walk walk;
        const struct pr_transfer *t;
        for (start_walk(&walk, &chunk, memory, PAGE); (t = pr_walk_peek(&walk));
             pr_walk_took(&walk)) {
            for (uint64_t at = 0; at < t->len_bytes; at += PAGE) {
                uint64_t p = (t->offset_bytes + at) / PAGE;
                assert_int_equal(t->zero, !memory[p * PAGE]);
                seen[p]++;
            }
        }
        for (uint64_t p = 0; p < PAGES; p++)
            assert_int_equal(seen[p], pr_bits_test(asked, p));
    }
    munmap(memory, PAGES * PAGE);
}

/* All of it counts as zero, and what nobody ever touched still is not there afterwards. */
static void memory_that_is_not_there_is_not_read(void **state)
{
    (void)state;
    struct pr_absent *absent = pr_absent_open();
    assert_non_null(absent);
    const struct pr_region region = {
        .addr = map(8 * MIB), .len = 8 * MIB, .page_bytes = PAGE, .absent = absent};
    const struct pr_chunk chunk = {.kind = PR_CHUNK_RUN, .offset = 0, .len = 8 * MIB};
    assert_int_equal(madvise(region.addr, 8 * MIB, MADV_NOHUGEPAGE), 0);
    region.addr[3 * MIB + 5 * PAGE] = 1;
    struct pr_walk walk;
    pr_walk_start(&walk, &chunk, &region, &limits);
    struct sum sum = walk_all(&walk);
    assert_int_equal(sum.data, PAGE);
    assert_int_equal(sum.zero, 8 * MIB - PAGE);
    for (uint64_t at = 0; at < 8 * MIB; at += MIB)
        assert_int_equal(pr_absent_all(absent, region.addr + at), at != 3 * MIB);
    munmap(region.addr, 8 * MIB);
    pr_absent_close(absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_of_data_is_cut_at_the_longest_write),
        cmocka_unit_test(memory_that_is_not_there_is_not_read),
        cmocka_unit_test(zero_pages_are_told_apart),
        cmocka_unit_test(dirty_bits_are_taken_as_the_walk_comes_to_them),
        cmocka_unit_test(bits_outside_of_the_chunk_are_left_alone),
        cmocka_unit_test(large_pages_are_walked_in_slices),
        cmocka_unit_test(nothing_dirty_is_nothing_to_do),
        cmocka_unit_test(any_pattern_comes_out_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
