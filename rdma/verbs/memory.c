/* SPDX-License-Identifier: BSD-2-Clause */
/* Registrations: memory that the device may reach, pinned while it may. */
#include "base/error.h"
#include "base/log.h"
#include "rdma/verbs/fabric.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ALL_ACCESS (PR_ACCESS_LOCAL_WRITE | PR_ACCESS_REMOTE_WRITE | PR_ACCESS_REMOTE_READ)

/* The memlock limit as text. */
static const char *memlock(char *out, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit))
        return "unknown";
    if (limit.rlim_cur == RLIM_INFINITY)
        return "unlimited";
    snprintf(out, size, "%" PRIu64 " KiB", (uint64_t)limit.rlim_cur >> 10);
    return out;
}

int pr_verbs_reg_error(int err, uint64_t len)
{
    char limit[32];
    switch (err) {
    case ENOMEM:
        return pr_error(ENOMEM,
                        "cannot pin %" PRIu64 " KiB for the RDMA device: the memlock limit is "
                        "%s, for all that this process pins (raise it: `ulimit -l unlimited`, "
                        "LimitMEMLOCK=infinity in a systemd unit), or the host is short of memory",
                        (len + 1023) >> 10, memlock(limit, sizeof(limit)));
    case EPERM:
        return pr_error(EPERM,
                        "may not pin %" PRIu64 " KiB for the RDMA device: the memlock limit is %s "
                        "(raise it, or grant CAP_IPC_LOCK)",
                        (len + 1023) >> 10, memlock(limit, sizeof(limit)));
    case EFAULT:
        return pr_error(
            EFAULT, "the %" PRIu64 " bytes to register are not all mapped, or not writable", len);
    case EOPNOTSUPP:
        return pr_error(EOPNOTSUPP, "the RDMA device cannot register this kind of memory (a file "
                                    "system's pages? use anonymous memory, memfd or hugepages)");
    default:
        return pr_error(err, "cannot register %" PRIu64 " bytes with the RDMA device: %s", len,
                        strerror(err));
    }
}

static int check_window(const struct pr_verbs_fabric *fabric, const void *addr, uint64_t len,
                        unsigned access)
{
    if (!addr || !len || len > fabric->base.limits.max_window_bytes ||
        (uintptr_t)addr + len < (uintptr_t)addr)
        return pr_error(EINVAL, "a window of %" PRIu64 " bytes at %p cannot be registered", len,
                        addr);
    if (access & ~(unsigned)ALL_ACCESS)
        return pr_error(EINVAL, "unknown access 0x%x for a window", access);
    return 0;
}

/*
 * Guest memory may be written in relaxed order: the device need not place one write before a later
 * one. Completions keep their meaning ("a completion still ensures that all data is visible,
 * including data from prior transfers", ibv_reg_mr(3)), and nothing more is asked of writes here
 * (docs/architecture.md, invariants 2 and 3). A device that does not know the flag ignores it. The
 * lanes' own message buffers stay in strict order.
 */
static unsigned verbs_access(const struct pr_verbs_fabric *fabric, unsigned access)
{
    unsigned flags = fabric->on_demand ? IBV_ACCESS_ON_DEMAND : 0;
    if (access & PR_ACCESS_REMOTE_WRITE)
        flags |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE | /* one needs the other */
                 IBV_ACCESS_RELAXED_ORDERING;
    if (access & PR_ACCESS_REMOTE_READ)
        flags |= IBV_ACCESS_REMOTE_READ;
    if (access & PR_ACCESS_LOCAL_WRITE)
        flags |= IBV_ACCESS_LOCAL_WRITE;
    return flags;
}

static struct ibv_pd *pd_of(struct pr_verbs_fabric *fabric)
{
    pthread_mutex_lock(&fabric->lock);
    struct ibv_pd *pd = fabric->pd;
    pthread_mutex_unlock(&fabric->lock);
    return pd;
}

int pr_verbs_reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access,
                 struct pr_mr **out)
{
    struct pr_verbs_fabric *fabric = pr_verbs_fabric_of(base);
    int err = check_window(fabric, addr, len, access);
    if (err)
        return err;
    struct ibv_pd *pd = pd_of(fabric);
    if (!pd)
        return pr_error(ENODEV,
                        "this host has %d RDMA devices and no connection has chosen one yet: "
                        "connect before registering memory",
                        fabric->device_count);
    struct pr_verbs_mr *mr = calloc(1, sizeof(*mr));
    if (!mr)
        return pr_error(ENOMEM, "no memory for a registration");
    mr->mr = ibv_reg_mr(pd, addr, len, verbs_access(fabric, access));
    if (!mr->mr) {
        err = pr_verbs_reg_error(errno, len);
        free(mr);
        return err;
    }
    mr->access = access;
    mr->base = (struct pr_mr){
        .fabric = base,
        .key = {.addr = (uintptr_t)addr, .len = len, .rkey = mr->mr->rkey},
        .addr = addr,
    };
    *out = &mr->base;
    return 0;
}

/*
 * Pinning makes each page that is not there yet. So memory of which no page is there waits, and if
 * the guest never uses it, neither side ever pins it. Pages in swap are not seen: they wait, too.
 * With on-demand paging nothing is pinned.
 */
bool pr_verbs_reg_pays(struct pr_fabric *base, const void *addr, uint64_t len)
{
    enum { STEP_PAGES = 4096 };
    unsigned char there[STEP_PAGES];
    if (pr_verbs_fabric_of(base)->on_demand)
        return true;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t done = 0; done < len; done += STEP_PAGES * page) {
        uint64_t left = len - done, step = left < STEP_PAGES * page ? left : STEP_PAGES * page;
        if (mincore((char *)addr + done, step, there))
            return true;
        for (uint64_t i = 0; i < (step + page - 1) / page; i++) {
            if (there[i] & 1)
                return true;
        }
    }
    return false;
}

void pr_verbs_dereg(struct pr_mr *base)
{
    struct pr_verbs_mr *mr = (struct pr_verbs_mr *)base;
    int err = ibv_dereg_mr(mr->mr);
    if (err)
        pr_log_error("the RDMA device would not give %" PRIu64 " bytes at %p back: %s; a peer may "
                     "still reach them",
                     base->key.len, base->addr, strerror(err));
    free(mr);
}
