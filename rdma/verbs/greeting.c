/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/greeting.h"

#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const uint8_t first_word[4] = {'P', 'g', 'R', 'l'};

uint8_t pr_verbs_greeting_encode(enum pr_verbs_greeting kind, uint8_t mtu, const void *bytes,
                                 size_t len, uint8_t *to)
{
    size_t max = kind == PR_VERBS_REQUEST ? PR_VERBS_MAX_PRIVATE : PR_VERBS_MAX_SENTENCE;
    if (len > max)
        len = max;
    memcpy(to, first_word, sizeof(first_word));
    to[4] = PR_VERBS_GREETING_VERSION;
    to[5] = (uint8_t)kind;
    to[6] = (uint8_t)len;
    to[7] = mtu;
    if (len)
        memcpy(to + PR_VERBS_GREETING_HEAD, bytes, len);
    return (uint8_t)(PR_VERBS_GREETING_HEAD + len);
}

/* QEMU's own rdma: begins with a version, 1 so far, and flags, both big-endian. */
static bool is_stock_qemu(const uint8_t *from, size_t size)
{
    static const uint8_t version[4] = {0, 0, 0, 1};
    return size >= 8 && !memcmp(from, version, sizeof(version)) && !from[4] && !from[5];
}

int pr_verbs_greeting_decode(const uint8_t *from, size_t size, enum pr_verbs_greeting kind,
                             const uint8_t **bytes, uint32_t *len)
{
    if (is_stock_qemu(from, size))
        return pr_error(EPROTO, "the other end is QEMU's own rdma: migration, not pagerail: use "
                                "pagerail on both hosts, or on neither");
    if (size < PR_VERBS_GREETING_HEAD || memcmp(from, first_word, sizeof(first_word)))
        return pr_error(EPROTO, "the other end is no pagerail: check the port");
    if (from[4] != PR_VERBS_GREETING_VERSION)
        return pr_error(EPROTO,
                        "the other end greets in version %u and this one in %u: use the same "
                        "release of pagerail on both hosts",
                        from[4], PR_VERBS_GREETING_VERSION);
    if (from[5] != kind || from[6] > size - PR_VERBS_GREETING_HEAD)
        return pr_error(EPROTO, "the other end sent a malformed greeting");
    *bytes = from + PR_VERBS_GREETING_HEAD;
    *len = from[6];
    return 0;
}

uint8_t pr_verbs_greeting_mtu(const uint8_t *from)
{
    return from[7];
}
