/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/fabric.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int unsupported(const char *what)
{
    return pr_error(EOPNOTSUPP, "this fabric cannot %s", what);
}

static void no_close(struct pr_fabric *fabric)
{
    (void)fabric;
}

static int no_listen(struct pr_fabric *fabric, const char *address, struct pr_listener **out)
{
    (void)fabric, (void)address, (void)out;
    return unsupported("listen");
}

static int no_accept(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
                     pr_admit_fn admit, void *opaque, struct pr_lane **out)
{
    (void)listener, (void)timeout_ms, (void)cancel, (void)admit, (void)opaque, (void)out;
    return unsupported("accept connections");
}

static void no_listener_close(struct pr_listener *listener)
{
    (void)listener;
}

static int no_connect(struct pr_fabric *fabric, const char *address, const void *private_data,
                      uint32_t len, int timeout_ms, const struct pr_event *cancel,
                      struct pr_lane **out)
{
    (void)fabric, (void)address, (void)private_data, (void)len, (void)timeout_ms, (void)cancel;
    (void)out;
    return unsupported("connect");
}

static int no_reg(struct pr_fabric *fabric, void *addr, uint64_t len, unsigned access,
                  struct pr_mr **out)
{
    (void)fabric, (void)addr, (void)len, (void)access, (void)out;
    return unsupported("register memory");
}

static void no_dereg(struct pr_mr *mr)
{
    (void)mr;
}

bool pr_fabric_always_pays(struct pr_fabric *fabric, const void *addr, uint64_t len)
{
    (void)fabric, (void)addr, (void)len;
    return true;
}

static int no_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    (void)lane, (void)write;
    return unsupported("write");
}

static int no_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm)
{
    (void)lane, (void)write, (void)imm;
    return unsupported("write with immediate data");
}

static int no_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    (void)lane, (void)read;
    return unsupported("read");
}

static int no_post_send(struct pr_lane *lane, const void *bytes, uint32_t len, uint64_t tag,
                        bool signaled)
{
    (void)lane, (void)bytes, (void)len, (void)tag, (void)signaled;
    return unsupported("send");
}

static int no_flush(struct pr_lane *lane)
{
    (void)lane;
    return unsupported("flush");
}

static int no_poll(struct pr_lane *lane, struct pr_completion *out, unsigned max)
{
    (void)lane, (void)out, (void)max;
    return unsupported("poll");
}

static void no_recv_done(struct pr_lane *lane, const void *bytes)
{
    (void)lane, (void)bytes;
}

static int no_arm(struct pr_lane *lane)
{
    (void)lane;
    return unsupported("wait for completions");
}

static int no_fd(struct pr_lane *lane)
{
    (void)lane;
    return unsupported("wait for completions");
}

static void no_lane_shut(struct pr_lane *lane)
{
    (void)lane;
}

static void no_lane_close(struct pr_lane *lane)
{
    (void)lane;
}

void pr_fabric_plain_rail(struct pr_fabric *fabric, struct pr_rail *out)
{
    *out = (struct pr_rail){0};
    snprintf(out->name, sizeof(out->name), "%s", fabric->name);
}

const struct pr_fabric_ops pr_fabric_unsupported = {
    .close = no_close,
    .listen = no_listen,
    .accept = no_accept,
    .listener_close = no_listener_close,
    .connect = no_connect,
    .reg = no_reg,
    .dereg = no_dereg,
    .reg_pays = pr_fabric_always_pays,
    .post_write = no_post_write,
    .post_write_imm = no_post_write_imm,
    .post_read = no_post_read,
    .post_send = no_post_send,
    .flush = no_flush,
    .poll = no_poll,
    .recv_done = no_recv_done,
    .arm = no_arm,
    .fd = no_fd,
    .lane_shut = no_lane_shut,
    .lane_close = no_lane_close,
    .rail = pr_fabric_plain_rail,
};

#define FILL(slot)                                                                                 \
    if (!ops.slot)                                                                                 \
    ops.slot = pr_fabric_unsupported.slot

struct pr_fabric_ops pr_fabric_ops_complete(struct pr_fabric_ops ops)
{
    FILL(close);
    FILL(listen);
    FILL(accept);
    FILL(listener_close);
    FILL(connect);
    FILL(reg);
    FILL(dereg);
    FILL(reg_pays);
    FILL(post_write);
    FILL(post_write_imm);
    FILL(post_read);
    FILL(post_send);
    FILL(flush);
    FILL(poll);
    FILL(recv_done);
    FILL(arm);
    FILL(fd);
    FILL(lane_shut);
    FILL(lane_close);
    FILL(rail);
    return ops;
}

static bool covers(uint64_t start, uint64_t size, uint64_t at, uint64_t len)
{
    return at >= start && len <= size && at - start <= size - len;
}

int pr_rma_check(const struct pr_lane *lane, const struct pr_rma *rma)
{
    const struct pr_mr *mr = rma->mr;
    uint64_t max = lane->fabric->limits.max_write_bytes;
    if (!rma->len || rma->len > max)
        return pr_error(EINVAL, "a transfer has 1 to %" PRIu64 " bytes, not %" PRIu64, max,
                        rma->len);
    if (mr->fabric != lane->fabric)
        return pr_error(EINVAL, "the local memory is registered with another fabric");
    if (!covers((uintptr_t)mr->addr, mr->key.len, (uintptr_t)rma->local, rma->len))
        return pr_error(EINVAL, "the local memory of a transfer is outside its registration");
    if (!covers(rma->key->addr, rma->key->len, rma->remote, rma->len))
        return pr_error(EINVAL, "a transfer is outside the peer's window");
    return 0;
}
