/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/address.h"

#include "base/error.h"
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static void good_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
    } table[] = {
        {"192.0.2.1:4444", "192.0.2.1", "4444"},
        {"host.example:1", "host.example", "1"},
        {"0:65535", "0", "65535"},
        {"[::1]:4444", "::1", "4444"},
        {"[fe80::1%eth0]:10", "fe80::1%eth0", "10"},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_verbs_address address;
        assert_int_equal(pr_verbs_address_parse(table[i].text, &address), 0);
        assert_string_equal(address.host, table[i].host);
        assert_string_equal(address.port, table[i].port);
    }
}

static void bad_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"", "is empty"},          {"host", "has no port"},
        {"host:", "has no port"},  {":4444", "has no host"},
        {"[]:4444", "no host"},    {"[::1", "no closing bracket"},
        {"[::1]", "has no port"},  {"[::1]4444", "has no port"},
        {"[::1]:", "has no port"}, {"::1:4444", "needs brackets"},
        {"host:0", "no port"},     {"host:65536", "no port"},
        {"host:4 4", "no port"},   {"host:-1", "no port"},
        {"host:abc", "no port"},   {"host:444444444444", "no port"},
    };
    for (unsigned i = 0; i < COUNT_OF(table); i++) {
        struct pr_verbs_address address;
        assert_int_equal(pr_verbs_address_parse(table[i].text, &address), -EINVAL);
        if (!strstr(pr_error_message(), table[i].says))
            fail_msg("'%s' gives: %s", table[i].text, pr_error_message());
    }
}

static void host_names_have_a_limit(void **state)
{
    (void)state;
    char text[PR_VERBS_HOST_MAX + 8];
    struct pr_verbs_address address;
    for (unsigned more = 0; more < 2; more++) {
        memset(text, 'a', sizeof(text));
        strcpy(text + PR_VERBS_HOST_MAX + more, ":9");
        assert_int_equal(pr_verbs_address_parse(text, &address), more ? -EINVAL : 0);
    }
}

static void numbers_resolve(void **state)
{
    (void)state;
    struct pr_verbs_address address;
    struct addrinfo *list;
    assert_int_equal(pr_verbs_address_parse("[::1]:4660", &address), 0);
    assert_int_equal(pr_verbs_address_resolve(&address, false, &list), 0);
    assert_int_equal(list->ai_family, AF_INET6);
    assert_int_equal(((struct sockaddr_in6 *)list->ai_addr)->sin6_port, htons(4660));
    assert_null(list->ai_next);
    freeaddrinfo(list);
    assert_int_equal(pr_verbs_address_parse("127.0.0.1:80", &address), 0);
    assert_int_equal(pr_verbs_address_resolve(&address, true, &list), 0);
    assert_int_equal(list->ai_family, AF_INET);
    freeaddrinfo(list);
}

/* A name that no resolver can know; without a name server the answer is another one. */
static void unknown_hosts_fail(void **state)
{
    (void)state;
    struct pr_verbs_address address;
    struct addrinfo *list;
    assert_int_equal(pr_verbs_address_parse("a..b:80", &address), 0);
    int err = pr_verbs_address_resolve(&address, false, &list);
    assert_true(err == -ENOENT || err == -ETIMEDOUT);
    assert_non_null(strstr(pr_error_message(), "a..b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses),          cmocka_unit_test(bad_addresses),
        cmocka_unit_test(host_names_have_a_limit), cmocka_unit_test(numbers_resolve),
        cmocka_unit_test(unknown_hosts_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
