/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cpu.h"

#include "tests/unit/check.h"

#include <sched.h>
#include <string.h>

/* Whether /proc/cpuinfo, the kernel's own answer, lists the flag. */
static bool kernel_lists(const char *flag)
{
    char word[64];
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "r");
    assert_non_null(file);
    while (!found && fscanf(file, "%63s", word) == 1)
        found = !strcmp(word, flag);
    fclose(file);
    return found;
}

static void agrees_with_the_kernel(void **state)
{
    (void)state;
    assert_int_equal(pr_cpu_get()->avx2, kernel_lists("avx2"));
    assert_int_equal(pr_cpu_get()->avx512, kernel_lists("avx512f") && kernel_lists("avx512bw"));
}

static void counts_the_processors_it_may_use(void **state)
{
    cpu_set_t set;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(pr_cpu_get()->count, CPU_COUNT(&set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_kernel),
        cmocka_unit_test(counts_the_processors_it_may_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
