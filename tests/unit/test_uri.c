/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/uri.h: schemes, known and unknown. */
#include "transport/uri.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

static const struct pagerail_options defaults = PAGERAIL_OPTIONS_INIT;
static struct pr_uri_target target;

static struct pr_fabric fake = {.name = "fake"};

static int open_fake(void *opaque, struct pr_fabric **out)
{
    int err = *(int *)opaque;
    if (err)
        return pr_error(-err, "no fake today");
    *out = &fake;
    return 0;
}

static void the_local_fabric_is_known(void **state)
{
    (void)state;
    const char *uri = "local:/some/path:with.colon";
    assert_int_equal(pr_uri_open(uri, &defaults, &target), 0);
    assert_string_equal(target.fabric->name, "local");
    assert_ptr_equal(target.address, uri + 6);
    assert_string_equal(target.route, "");
    pr_fabric_close(target.fabric);
}

static void what_is_no_uri_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *words;
    } rows[] = {
        {NULL, "'' is no migration URI"},
        {"", "is no migration URI"},
        {"local", "'local' is no migration URI"},
        {"local:", "is no migration URI"},
        {":/path", "'"},
        {"Local:/path", "'Local:'"},
        {"localx:/path", "'localx:'"},
        {"loca:/path", "'loca:'"},
        {"a-very-long-scheme-that-nobody-would-want-to-read:x",
         "'a-very-long-scheme-that-nobody-w:'"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(pr_uri_open(rows[i].uri, &defaults, &target), -EINVAL);
        if (!strstr(pr_error_message(), rows[i].words))
            fail_msg("row %zu: %s", i, pr_error_message());
        assert_non_null(strstr(pr_error_message(), "local:/path/to.sock")); /* says what to write */
    }
}

static void a_scheme_may_be_added_and_replaced(void **state)
{
    (void)state;
    int err = 0;
    pr_uri_override("fake", open_fake, &err);
    assert_int_equal(pr_uri_open("fake:x", &defaults, &target), 0);
    assert_ptr_equal(target.fabric, &fake);
    assert_string_equal(target.address, "x");
    pr_uri_override("local", open_fake, &err);
    assert_int_equal(pr_uri_open("local:/x", &defaults, &target), 0);
    assert_ptr_equal(target.fabric, &fake);
    assert_int_equal(pr_uri_open("fake:x", &defaults, &target), -EINVAL); /* one at a time */

    err = -ENODEV;
    assert_int_equal(pr_uri_open("local:/x", &defaults, &target), -ENODEV);
    assert_string_equal(pr_error_message(), "no fake today");

    pr_uri_override("local", NULL, NULL);
    assert_int_equal(pr_uri_open("local:/x", &defaults, &target), 0);
    assert_string_equal(target.fabric->name, "local");
    pr_fabric_close(target.fabric);
}

static void rdma_goes_where_the_options_and_the_host_say(void **state)
{
    (void)state;
    struct pagerail_options local = PAGERAIL_OPTIONS_INIT;
    local.fabric = PAGERAIL_FABRIC_LOCAL;
    /* A loopback address has no RDMA device, whatever there is. */
    assert_int_equal(pr_uri_open("rdma:127.0.0.1:4444", &defaults, &target), 0);
    assert_string_equal(target.fabric->name, "local");
    assert_ptr_equal(target.address, target.text);
    assert_non_null(strstr(target.text, "/port-4444.sock"));
    assert_non_null(strstr(target.route, "no RDMA device has a loopback address"));
    pr_fabric_close(target.fabric);

    assert_int_equal(pr_uri_open("rdma:[::]:4445", &local, &target), 0);
    assert_non_null(strstr(target.text, "/port-4445.sock"));
    assert_non_null(strstr(target.route, "sock: the fabric local was chosen"));
    pr_fabric_close(target.fabric);

    assert_int_equal(pr_uri_open("rdma:192.0.2.1:4444", &local, &target), -EINVAL);
    assert_non_null(strstr(pr_error_message(), "does not leave this machine"));
    assert_int_equal(pr_uri_open("rdma:host", &local, &target), -EINVAL);
    assert_int_equal(pr_uri_open("rdma:127.0.0.1:0", &defaults, &target), -EINVAL);
}

/* There it is a device that no machine has: nothing else may carry it instead. */
static void who_names_a_device_gets_no_other_fabric(void **state)
{
    (void)state;
    struct pagerail_options named = PAGERAIL_OPTIONS_INIT;
    strcpy(named.rails, "no-such-device");
    assert_int_equal(pr_uri_open("rdma:127.0.0.1:4444", &named, &target), -ENODEV);
    assert_non_null(strstr(pr_error_message(), "RDMA device"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_local_fabric_is_known),
        cmocka_unit_test(what_is_no_uri_is_refused),
        cmocka_unit_test(a_scheme_may_be_added_and_replaced),
        cmocka_unit_test(rdma_goes_where_the_options_and_the_host_say),
        cmocka_unit_test(who_names_a_device_gets_no_other_fabric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
