/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/local.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/runtime.h"
#include "rdma/local/fabric.h"
#include "rdma/local/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALL_ACCESS (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)
#define REMOTE_ACCESS (PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

static struct pr_local_fabric *fabric_of(struct pr_fabric *fabric)
{
    return (struct pr_local_fabric *)fabric;
}

static void local_close(struct pr_fabric *base)
{
    struct pr_local_fabric *fabric = fabric_of(base);
    pr_local_gates_close(&fabric->gates);
    pr_local_table_close(&fabric->table);
    free(fabric);
}

static int local_connect(struct pr_fabric *base, const char *address, const void *private_data,
                         uint32_t len, int timeout_ms, const struct pr_event *cancel,
                         struct pr_lane **out)
{
    struct pr_local_fabric *fabric = fabric_of(base);
    uint64_t deadline = pr_deadline_after_ms(timeout_ms);
    struct pr_local_link link;
    if (len > PR_LOCAL_MAX_PRIVATE)
        return pr_error(EINVAL, "a connection request carries at most %d bytes, not %u",
                        PR_LOCAL_MAX_PRIVATE, len);
    int sock = pr_local_path_connect(address, deadline, cancel);
    if (sock < 0)
        return sock;
    int err = pr_local_link_connect(fabric, sock, private_data, len, deadline, cancel, &link);
    return err ? err : pr_local_lane_open(fabric, &link, out);
}

/* Like a NIC, which pins the pages, refuse a range that has holes: msync walks it and does no more.
 */
static int check_mapped(const void *addr, uint64_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)addr & ~(page - 1);
    if (!msync((void *)start, (uintptr_t)addr + len - start, MS_ASYNC))
        return 0;
    return pr_error(EFAULT, "the %llu bytes at %p are not all mapped: %s", (unsigned long long)len,
                    addr, strerror(errno));
}

static int check_window(const struct pr_fabric *fabric, const void *addr, uint64_t len,
                        unsigned access)
{
    if (!addr || !len || len > fabric->limits.max_window_bytes ||
        (uintptr_t)addr + len < (uintptr_t)addr)
        return pr_error(EINVAL, "a window of %llu bytes at %p cannot be registered",
                        (unsigned long long)len, addr);
    if (access & ~(unsigned)ALL_ACCESS)
        return pr_error(EINVAL, "unknown access 0x%x for a window", access);
    return check_mapped(addr, len);
}

static int grant(struct pr_local_fabric *fabric, struct pr_local_mr *mr)
{
    struct pr_key *key = &mr->base.key;
    if (!(mr->access & REMOTE_ACCESS))
        return 0;
    pthread_mutex_lock(&fabric->lock);
    int err = pr_local_table_add(&fabric->table, key->addr, key->len, mr->access, &key->rkey);
    pthread_mutex_unlock(&fabric->lock);
    return err;
}

static int local_reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access,
                     struct pr_mr **out)
{
    int err = check_window(base, addr, len, access);
    if (err)
        return err;
    struct pr_local_mr *mr = calloc(1, sizeof(*mr));
    if (!mr)
        return pr_error(ENOMEM, "no memory for a registration");
    mr->base =
        (struct pr_mr){.fabric = base, .key = {.addr = (uintptr_t)addr, .len = len}, .addr = addr};
    mr->access = access;
    err = grant(fabric_of(base), mr);
    if (err) {
        free(mr);
        return err;
    }
    *out = &mr->base;
    return 0;
}

static void local_dereg(struct pr_mr *base)
{
    struct pr_local_fabric *fabric = fabric_of(base->fabric);
    uint64_t rkey = base->key.rkey;
    if (rkey) {
        pthread_mutex_lock(&fabric->lock);
        pr_local_table_revoke(&fabric->table, rkey);
        pthread_mutex_unlock(&fabric->lock);
        if (!pr_fault("local-dereg-early"))
            pr_local_gates_wait(&fabric->gates);
        pthread_mutex_lock(&fabric->lock);
        pr_local_table_recycle(&fabric->table, rkey);
        pthread_mutex_unlock(&fabric->lock);
    }
    free(base);
}

static const struct pr_fabric_ops local_ops = {
    .close = local_close,
    .listen = pr_local_listener_open,
    .accept = pr_local_listener_accept,
    .listener_close = pr_local_listener_close,
    .connect = local_connect,
    .reg = local_reg,
    .dereg = local_dereg,
    .reg_pays = pr_fabric_always_pays,
    .post_write = pr_local_lane_post_write,
    .post_write_imm = pr_local_lane_post_write_imm,
    .post_read = pr_local_lane_post_read,
    .post_send = pr_local_lane_post_send,
    .flush = pr_local_lane_flush,
    .poll = pr_local_lane_poll,
    .recv_done = pr_local_lane_recv_done,
    .arm = pr_local_lane_arm,
    .fd = pr_local_lane_fd,
    .lane_shut = pr_local_lane_shut,
    .lane_close = pr_local_lane_close,
    .rail = pr_fabric_plain_rail,
};

int pr_fabric_local_open(struct pr_fabric **out)
{
    struct pr_local_fabric *fabric = calloc(1, sizeof(*fabric));
    if (!fabric)
        return pr_error(ENOMEM, "no memory for the local fabric");
    fabric->base = (struct pr_fabric){
        .ops = &local_ops,
        .name = "local",
        .limits = {.max_write_bytes = PR_LOCAL_MAX_WRITE,
                   .max_window_bytes = UINT64_C(1) << 46,
                   .max_message_bytes = PR_LOCAL_MAX_MESSAGE,
                   .send_depth = PR_LOCAL_SEND_DEPTH,
                   .recv_depth = PR_LOCAL_RECV_DEPTH,
                   .max_private_bytes = PR_LOCAL_MAX_PRIVATE,
                   .suggested_lanes = 2},
    };
    int err = pr_local_table_open(&fabric->table);
    if (err) {
        free(fabric);
        return err;
    }
    fabric->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pr_local_gates_open(&fabric->gates);
    *out = &fabric->base;
    return 0;
}
