/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/uri.h: schemes, known and unknown. */
#include "transport/uri.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <string.h>

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
    struct pr_fabric *fabric;
    const char *uri = "local:/some/path:with.colon", *address;
    assert_int_equal(pr_uri_open(uri, &fabric, &address), 0);
    assert_string_equal(fabric->name, "local");
    assert_ptr_equal(address, uri + 6);
    pr_fabric_close(fabric);
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
        struct pr_fabric *fabric = NULL;
        const char *address = NULL;
        assert_int_equal(pr_uri_open(rows[i].uri, &fabric, &address), -EINVAL);
        assert_null(fabric);
        assert_null(address);
        if (!strstr(pr_error_message(), rows[i].words))
            fail_msg("row %zu: %s", i, pr_error_message());
        assert_non_null(strstr(pr_error_message(), "local:/path/to.sock")); /* says what to write */
    }
}

static void a_scheme_may_be_added_and_replaced(void **state)
{
    (void)state;
    struct pr_fabric *fabric = NULL;
    const char *address = NULL;
    int err = 0;
    pr_uri_override("fake", open_fake, &err);
    assert_int_equal(pr_uri_open("fake:x", &fabric, &address), 0);
    assert_ptr_equal(fabric, &fake);
    assert_string_equal(address, "x");
    pr_uri_override("local", open_fake, &err);
    assert_int_equal(pr_uri_open("local:/x", &fabric, &address), 0);
    assert_ptr_equal(fabric, &fake);
    assert_int_equal(pr_uri_open("fake:x", &fabric, &address), -EINVAL); /* one at a time */

    err = -ENODEV;
    address = NULL;
    assert_int_equal(pr_uri_open("local:/x", &fabric, &address), -ENODEV);
    assert_string_equal(pr_error_message(), "no fake today");
    assert_null(address);

    pr_uri_override("local", NULL, NULL);
    assert_int_equal(pr_uri_open("local:/x", &fabric, &address), 0);
    assert_string_equal(fabric->name, "local");
    pr_fabric_close(fabric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_local_fabric_is_known),
        cmocka_unit_test(what_is_no_uri_is_refused),
        cmocka_unit_test(a_scheme_may_be_added_and_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
