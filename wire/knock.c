/* SPDX-License-Identifier: BSD-2-Clause */
/* The knock, and the choice of a version: what strangers must agree on first. */
#include "base/error.h"
#include "wire/check.h"
#include "wire/codec.h"

#include <errno.h>
#include <inttypes.h>

static_assert(8 + 2 + 2 + 2 + PR_WIRE_TOKEN_BYTES == PR_WIRE_KNOCK_BYTES, "the knock's layout");
static_assert(PR_WIRE_KNOCK_BYTES <= 56, "a knock fits the private data of rdma_cm");

static int knock_check(const struct pr_wire_knock *m, int err)
{
    struct pr_wire_check c = pr_wire_check_of("knock", err);
    pr_wire_check_that(&c, m->magic == PR_WIRE_MAGIC, "magic", "PR_WIRE_MAGIC");
    pr_wire_check_range(&c, "version_min", m->version_min, 1, UINT16_MAX);
    pr_wire_check_range(&c, "version_max", m->version_max, m->version_min, UINT16_MAX);
    pr_wire_check_range(&c, "lane", m->lane, 0, PR_WIRE_MAX_LANES);
    bool blank = pr_wire_all_zero(m->token, sizeof(m->token));
    pr_wire_check_that(&c, blank || m->lane, "token", "zeroes on the control lane");
    pr_wire_check_that(&c, !blank || !m->lane, "token", "the welcome's token on a data lane");
    return c.failed;
}

int pr_wire_knock_encode(const struct pr_wire_knock *knock, void *to, size_t size)
{
    int err = knock_check(knock, EINVAL);
    if (err)
        return err;
    struct pr_writer w = pr_writer_over(to, size);
    pr_write_u64(&w, knock->magic);
    pr_write_u16(&w, knock->version_min);
    pr_write_u16(&w, knock->version_max);
    pr_write_u16(&w, knock->lane);
    pr_write_bytes(&w, knock->token, sizeof(knock->token));
    return pr_writer_end(&w, "knock");
}

/* Fabrics may hand over private data with padding: rdma_cm fills it up with zeroes. */
int pr_wire_knock_decode(struct pr_wire_knock *out, const void *bytes, size_t len)
{
    struct pr_reader r = pr_reader_over(bytes, len);
    out->magic = pr_read_u64(&r);
    out->version_min = pr_read_u16(&r);
    out->version_max = pr_read_u16(&r);
    out->lane = pr_read_u16(&r);
    pr_read_bytes(&r, out->token, sizeof(out->token));
    size_t padding = r.left;
    const uint8_t *pad = pr_read_view(&r, padding);
    if (r.spent)
        return pr_error(EPROTO,
                        "the peer is no pagerail: its connection request has %zu bytes, expected "
                        "%d; check what connects to this address",
                        len, PR_WIRE_KNOCK_BYTES);
    if (out->magic != PR_WIRE_MAGIC)
        return pr_error(EPROTO,
                        "the peer is no pagerail: its connection request starts with 0x%016" PRIx64
                        ", expected 0x%016" PRIx64 "; check what connects to this address",
                        out->magic, PR_WIRE_MAGIC);
    int err = knock_check(out, EPROTO);
    if (!err && !pr_wire_all_zero(pad, padding))
        err = pr_error(EPROTO, "the peer's knock message: %zu bytes follow it, expected zeroes",
                       padding);
    return err;
}

int pr_wire_version_choose(uint16_t our_min, uint16_t our_max, uint16_t peer_min, uint16_t peer_max)
{
    uint16_t lowest = our_min > peer_min ? our_min : peer_min;
    uint16_t highest = our_max < peer_max ? our_max : peer_max;
    if (lowest <= highest)
        return highest;
    if (peer_min > peer_max)
        return pr_error(EPROTONOSUPPORT,
                        "the peer offers protocol versions %u to %u, which is none: replace its "
                        "pagerail",
                        peer_min, peer_max);
    return pr_error(EPROTONOSUPPORT,
                    "this side speaks protocol versions %u to %u, the peer %u to %u: upgrade "
                    "pagerail on %s",
                    our_min, our_max, peer_min, peer_max,
                    our_max < peer_min ? "this side" : "the peer's side");
}
