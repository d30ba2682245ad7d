/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/choice.h and transport/same_host.h: what carries rdma:host:port. */
#include "transport/choice.h"

#include "base/error.h"
#include "tests/unit/check.h"
#include "transport/same_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void the_carrier_by_table(void **state)
{
    (void)state;
    enum {
        AUTO = PAGERAIL_FABRIC_AUTO,
        VERBS = PAGERAIL_FABRIC_VERBS,
        LOCAL = PAGERAIL_FABRIC_LOCAL
    };
    static const struct {
        uint32_t asked;
        enum pr_host_place place;
        bool device;
        enum pr_carrier carrier;
    } rows[] = {
        {AUTO, PR_HOST_LOOPBACK, true, PR_CARRIER_LOCAL},
        {AUTO, PR_HOST_LOOPBACK, false, PR_CARRIER_LOCAL},
        {AUTO, PR_HOST_ANY, true, PR_CARRIER_VERBS},
        {AUTO, PR_HOST_ANY, false, PR_CARRIER_LOCAL},
        {AUTO, PR_HOST_OWN, true, PR_CARRIER_VERBS},
        {AUTO, PR_HOST_OWN, false, PR_CARRIER_LOCAL},
        {AUTO, PR_HOST_ELSEWHERE, true, PR_CARRIER_VERBS},
        {AUTO, PR_HOST_ELSEWHERE, false, PR_CARRIER_NONE},
        {VERBS, PR_HOST_LOOPBACK, false, PR_CARRIER_VERBS},
        {VERBS, PR_HOST_ELSEWHERE, true, PR_CARRIER_VERBS},
        {LOCAL, PR_HOST_LOOPBACK, true, PR_CARRIER_LOCAL},
        {LOCAL, PR_HOST_ANY, true, PR_CARRIER_LOCAL},
        {LOCAL, PR_HOST_OWN, false, PR_CARRIER_LOCAL},
        {LOCAL, PR_HOST_ELSEWHERE, true, PR_CARRIER_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (pr_carrier_choose(rows[i].asked, rows[i].place, rows[i].device) != rows[i].carrier)
            fail_msg("row %zu", i);
}

static void places_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum pr_host_place place;
    } rows[] = {
        {"127.0.0.1:1", PR_HOST_LOOPBACK},
        {"127.9.9.9:1", PR_HOST_LOOPBACK},
        {"[::1]:1", PR_HOST_LOOPBACK},
        {"[::ffff:127.0.0.1]:1", PR_HOST_LOOPBACK},
        {"localhost:1", PR_HOST_LOOPBACK},
        {"0.0.0.0:1", PR_HOST_ANY},
        {"[::]:1", PR_HOST_ANY},
        {"192.0.2.77:1", PR_HOST_ELSEWHERE},
        {"[2001:db8::77]:1", PR_HOST_ELSEWHERE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum pr_host_place place;
        if (pr_same_host_place(rows[i].address, &place) || place != rows[i].place)
            fail_msg("%s", rows[i].address);
    }
    enum pr_host_place place;
    assert_int_equal(pr_same_host_place("nobody", &place), -EINVAL);
}

static void processes_meet_where_nobody_else_can_write(void **state)
{
    (void)state;
    char path[128], other[128], box[] = "/tmp/test_choice.XXXXXX";
    assert_int_equal(pr_same_host_socket("127.0.0.1:4444", path, sizeof(path)), 0);
    assert_int_equal(pr_same_host_socket("[::1]:4444", other, sizeof(other)), 0);
    assert_string_equal(path, other);

    assert_non_null(mkdtemp(box));
    snprintf(path, sizeof(path), "%s/folder", box);
    assert_int_equal(pr_same_host_folder(path), 0);
    assert_int_equal(pr_same_host_folder(path), 0); /* that is there already */
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(pr_same_host_folder(path), -EACCES);
    assert_non_null(strstr(pr_error_message(), "only this user can write to"));
    assert_int_equal(chmod(path, 0700), 0);
    snprintf(other, sizeof(other), "%s/link", box);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(pr_same_host_folder(other), -EACCES);
    assert_int_equal(pr_same_host_folder("/no/such/place"), -ENOENT);
    assert_int_equal(unlink(other) + rmdir(path) + rmdir(box), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_carrier_by_table),
        cmocka_unit_test(places_of_addresses),
        cmocka_unit_test(processes_meet_where_nobody_else_can_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
