/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/same_host.h"

#include "base/error.h"
#include "rdma/verbs/address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bytes of an IP address. A v4 address inside of v6 is a v4 address. */
static size_t address_bytes(const struct sockaddr *at, const uint8_t **out)
{
    if (at->sa_family == AF_INET) {
        *out = (const uint8_t *)&((const struct sockaddr_in *)at)->sin_addr;
        return 4;
    }
    if (at->sa_family != AF_INET6)
        return 0;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)at)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(six);
    *out = six->s6_addr + (mapped ? 12 : 0);
    return mapped ? 4 : 16;
}

static bool is_any(const uint8_t *bytes, size_t len)
{
    static const uint8_t zeroes[16];
    return !memcmp(bytes, zeroes, len);
}

static bool is_loopback(const uint8_t *bytes, size_t len)
{
    return len == 4 ? bytes[0] == 127 : is_any(bytes, 15) && bytes[15] == 1;
}

static bool is_own(const uint8_t *bytes, size_t len)
{
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list))
        return false;
    for (const struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
        const uint8_t *own;
        found =
            at->ifa_addr && address_bytes(at->ifa_addr, &own) == len && !memcmp(own, bytes, len);
    }
    freeifaddrs(list);
    return found;
}

static enum pr_host_place place_of(const struct sockaddr *at)
{
    const uint8_t *bytes;
    size_t len = address_bytes(at, &bytes);
    if (!len)
        return PR_HOST_ELSEWHERE;
    if (is_any(bytes, len))
        return PR_HOST_ANY;
    if (is_loopback(bytes, len))
        return PR_HOST_LOOPBACK;
    return is_own(bytes, len) ? PR_HOST_OWN : PR_HOST_ELSEWHERE;
}

int pr_same_host_place(const char *address, enum pr_host_place *out)
{
    struct pr_verbs_address parsed;
    struct addrinfo *list;
    int err = pr_verbs_address_parse(address, &parsed);
    if (!err)
        err = pr_verbs_address_resolve(&parsed, false, &list);
    if (err)
        return err;
    *out = place_of(list->ai_addr);
    freeaddrinfo(list);
    return 0;
}

static bool is_own_folder(const char *path)
{
    struct stat info;
    return !lstat(path, &info) && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

static void name_folder(char *out, size_t size)
{
    char run[64];
    unsigned user = geteuid();
    snprintf(run, sizeof(run), "/run/user/%u", user);
    if (!user)
        snprintf(out, size, "/run/pagerail");
    else if (is_own_folder(run))
        snprintf(out, size, "%s/pagerail", run);
    else
        snprintf(out, size, "/tmp/pagerail-%u", user);
}

int pr_same_host_folder(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) && errno != EEXIST)
        return pr_error(errno, "cannot make the folder %s: %s", path, strerror(errno));
    if (!is_own_folder(path) || lstat(path, &info) || info.st_mode & (S_IWGRP | S_IWOTH))
        return pr_error(EACCES,
                        "%s is no folder that only this user can write to: remove it, or write "
                        "local:/path/to.sock",
                        path);
    return 0;
}

int pr_same_host_socket(const char *address, char *out, size_t size)
{
    struct pr_verbs_address parsed;
    char folder[80];
    int err = pr_verbs_address_parse(address, &parsed);
    if (err)
        return err;
    name_folder(folder, sizeof(folder));
    err = pr_same_host_folder(folder);
    if (!err)
        snprintf(out, size, "%s/port-%s.sock", folder, parsed.port);
    return err;
}
