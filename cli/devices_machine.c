/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine allows this process: pinned memory, and writing another process's memory. */
#include "cli/devices.h"
#include "cli/sysfile.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#define CAPABILITY_IPC_LOCK 14
#define CAPABILITY_SYS_PTRACE 19

/* The effective capabilities of this process, a bit each. */
static uint64_t capabilities(const char *proc)
{
    char path[4096], line[128];
    unsigned long long bits = 0;
    snprintf(path, sizeof(path), "%s/self/status", proc);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file) && sscanf(line, "CapEff: %llx", &bits) != 1)
        continue;
    fclose(file);
    return bits;
}

/* Whether this is the first user namespace, which maps every id to itself. Root of another one
 * (a rootless container) has CAP_IPC_LOCK there, but the kernel asks for it in the first. */
static bool in_first_user_namespace(const char *proc)
{
    char line[128];
    unsigned long long inside = 1, outside = 1, count = 0;
    if (!pr_sysfile_line(line, sizeof(line), proc, "self/uid_map"))
        return true; /* a kernel without user namespaces */
    int fields = sscanf(line, "%llu %llu %llu", &inside, &outside, &count);
    return fields == 3 && !inside && !outside && count == UINT32_MAX;
}

static uint64_t limit_bytes(rlim_t limit)
{
    return limit == RLIM_INFINITY ? UINT64_MAX : limit;
}

struct pr_devices_vm_write pr_devices_vm_write_verdict(int probe_errno, int ptrace_scope,
                                                       bool cap_sys_ptrace)
{
    if (probe_errno)
        return (struct pr_devices_vm_write){
            false, "the kernel or a seccomp filter refuses process_vm_writev altogether"};
    if (ptrace_scope >= 3)
        return (struct pr_devices_vm_write){
            false, "kernel.yama.ptrace_scope is 3, which forbids it until the next boot"};
    if (cap_sys_ptrace)
        return (struct pr_devices_vm_write){true, "CAP_SYS_PTRACE reaches every process"};
    if (ptrace_scope == 2)
        return (struct pr_devices_vm_write){
            false, "kernel.yama.ptrace_scope is 2: it takes CAP_SYS_PTRACE"};
    return (struct pr_devices_vm_write){true, "between processes of one user"};
}

void pr_devices_collect_machine(const struct pr_devices_source *source, struct pr_devices *out)
{
    uint64_t caps = capabilities(source->proc);
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    out->memlock_soft_bytes = limit_bytes(limit.rlim_cur);
    out->memlock_hard_bytes = limit_bytes(limit.rlim_max);
    out->memlock_lifted =
        (caps >> CAPABILITY_IPC_LOCK & 1) && in_first_user_namespace(source->proc);

    char scope[16];
    bool yama = pr_sysfile_line(scope, sizeof(scope), source->proc, "sys/kernel/yama/ptrace_scope");
    /* Nothing to write into oneself: it answers whether the call exists and is let through. */
    int probe = process_vm_writev(getpid(), NULL, 0, NULL, 0, 0) < 0 ? errno : 0;
    out->vm_write = pr_devices_vm_write_verdict(probe, yama ? atoi(scope) : -1,
                                                caps >> CAPABILITY_SYS_PTRACE & 1);
}

/* Appends to a list, as far as there is room. */
static void append(char *to, size_t size, const char *text)
{
    size_t len = strlen(to);
    snprintf(to + len, size - len, "%s%s", len ? ", " : "", text);
}

static void collect_iommus(const char *sysfs, char *to, size_t size)
{
    char path[4096];
    struct dirent **entries;
    snprintf(path, sizeof(path), "%s/class/iommu", sysfs);
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            append(to, size, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* Lines of rdma.max are "mlx5_0 hca_handle=max hca_object=2000"; a line of max only is no limit. */
static void collect_rdma_cgroup(const struct pr_devices_source *source, char *to, size_t size)
{
    char cgroup[2048], path[8192], line[256];
    if (!pr_sysfile_line(cgroup, sizeof(cgroup), source->proc, "self/cgroup") ||
        strncmp(cgroup, "0::/", 4) != 0)
        return;
    snprintf(path, sizeof(path), "%s/fs/cgroup/%s/rdma.max", source->sysfs, cgroup + 4);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *value = strchr(line, '=');
        while (value && !strncmp(value, "=max", 4))
            value = strchr(value + 1, '=');
        if (value)
            append(to, size, line);
    }
    fclose(file);
}

int pr_devices_collect(const struct pr_devices_source *source, struct pr_devices *out)
{
    struct pr_topology_source topology = {source->sysfs, source->synthetic_topology};
    *out = (struct pr_devices){0};
    int err = pr_topology_open(&topology, &out->topology);
    if (!err)
        err = pr_devices_collect_rdma(source, out);
    if (err) {
        pr_devices_release(out);
        return err;
    }
    pr_devices_collect_machine(source, out);
    collect_iommus(source->sysfs, out->iommus, sizeof(out->iommus));
    collect_rdma_cgroup(source, out->rdma_cgroup, sizeof(out->rdma_cgroup));
    return 0;
}

void pr_devices_release(struct pr_devices *devices)
{
    for (unsigned i = 0; i < devices->rdmas; i++) {
        for (unsigned p = 0; p < devices->rdma[i].ports; p++)
            free(devices->rdma[i].port[p].gid);
        free(devices->rdma[i].port);
    }
    free(devices->rdma);
    pr_topology_close(devices->topology);
    *devices = (struct pr_devices){0};
}
