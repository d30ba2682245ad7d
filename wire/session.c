/* SPDX-License-Identifier: BSD-2-Clause */
/* A session's life signs and its end: abort, ping and pong, running. */
#include "base/text.h"
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>
#include <string.h>

#define MAX_ERRNO 4095

static int abort_check(const struct pr_wire_abort *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("abort", err);
    pr_wire_check_that(&c, m->code >= 0 && m->code <= MAX_ERRNO, "code", "a positive errno or 0");
    return c.failed;
}

/* The reason may come from anywhere (a VMM, the kernel) and must not keep an abort from going out:
 * what a peer would refuse to print is replaced. */
static void printable_reason(char *to, const char *reason)
{
    size_t len = strnlen(reason, PR_WIRE_MAX_REASON);
    memcpy(to, reason, len);
    to[len] = '\0';
    pr_text_clean(to);
}

int pr_wire_abort_encode(const struct pr_wire_abort *message, void *to, size_t size)
{
    int err = abort_check(message, EINVAL);
    if (err)
        return err;
    char reason[PR_WIRE_MAX_REASON + 1];
    printable_reason(reason, message->reason);
    struct pr_writer w = pr_wire_begin(PR_WIRE_ABORT, to, size);
    pr_write_u32(&w, (uint32_t)message->code);
    pr_write_string(&w, reason);
    return pr_wire_end(&w, PR_WIRE_ABORT);
}

int pr_wire_abort_decode(struct pr_wire_abort *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    struct pr_wire_check c = pr_wire_check_of("abort", EPROTO);
    memset(out, 0, sizeof(*out));
    out->code = (int32_t)pr_read_u32(&r);
    pr_wire_read_text(&r, &c, "reason", out->reason, sizeof(out->reason));
    pr_wire_check_that(&c, pr_text_is_clean(out->reason, strlen(out->reason)), "reason",
                       "printable text");
    int err = pr_wire_read_end(&r, &c);
    return err ? err : abort_check(out, EPROTO);
}

static int ping_encode(enum pr_wire_type type, const struct pr_wire_ping *message, void *to,
                       size_t size)
{
    struct pr_writer w = pr_wire_begin(type, to, size);
    pr_write_u64(&w, message->sent_ns);
    return pr_wire_end(&w, type);
}

int pr_wire_ping_encode(const struct pr_wire_ping *message, void *to, size_t size)
{
    return ping_encode(PR_WIRE_PING, message, to, size);
}

int pr_wire_pong_encode(const struct pr_wire_ping *message, void *to, size_t size)
{
    return ping_encode(PR_WIRE_PONG, message, to, size);
}

int pr_wire_ping_decode(struct pr_wire_ping *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->sent_ns = pr_read_u64(&r);
    return pr_reader_end(&r, "ping or pong");
}

int pr_wire_running_encode(const struct pr_wire_running *message, void *to, size_t size)
{
    struct pr_writer w = pr_wire_begin(PR_WIRE_RUNNING, to, size);
    pr_write_u64(&w, message->load_ns);
    pr_write_u64(&w, message->resume_ns);
    return pr_wire_end(&w, PR_WIRE_RUNNING);
}

int pr_wire_running_decode(struct pr_wire_running *out, const void *body, size_t len)
{
    struct pr_reader r = pr_reader_over(body, len);
    out->load_ns = pr_read_u64(&r);
    out->resume_ns = pr_read_u64(&r);
    return pr_reader_end(&r, "running");
}
