/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `pagerail devices` tells: collected once by devices_rdma.c and devices_machine.c, then
 * written for people (devices_print.c) or programs (devices_json.c).
 */
#ifndef PR_CLI_DEVICES_H
#define PR_CLI_DEVICES_H

#include "base/error.h"
#include "numa/topology.h"

#include <infiniband/verbs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The calls of libibverbs that collecting needs; tests bring their own devices. */
struct pr_verbs_ops {
    struct ibv_device **(*get_device_list)(int *count);
    void (*free_device_list)(struct ibv_device **list);
    const char *(*get_device_name)(struct ibv_device *device);
    struct ibv_context *(*open_device)(struct ibv_device *device);
    int (*close_device)(struct ibv_context *context);
    int (*query_device)(struct ibv_context *context, struct ibv_device_attr *out);
    int (*query_port)(struct ibv_context *context, uint8_t port, struct ibv_port_attr *out);
    ssize_t (*query_gid_table)(struct ibv_context *context, struct ibv_gid_entry *out, size_t max);
};
extern const struct pr_verbs_ops pr_verbs_real;

/* Where to look. */
struct pr_devices_source {
    const char *sysfs;              /* "/sys" */
    const char *proc;               /* "/proc" */
    const char *synthetic_topology; /* NULL: this machine's */
    const struct pr_verbs_ops *verbs;
};

struct pr_devices_gid {
    unsigned index;
    const char *type; /* "IB", "RoCE v1", "RoCE v2" */
    char address[INET6_ADDRSTRLEN];
};

struct pr_devices_port {
    unsigned number;
    const char *state;      /* "active", "down", ... */
    const char *link_layer; /* "Ethernet", "InfiniBand" */
    uint64_t rate_Mbps;     /* what the link runs at now; 0 = unknown */
    unsigned mtu_bytes;     /* active */
    char netdev[IF_NAMESIZE];
    int node; /* -1: the machine does not say */
    unsigned gids;
    struct pr_devices_gid *gid;
};

struct pr_devices_rdma {
    char name[IBV_SYSFS_NAME_MAX];
    bool software; /* rxe or siw: no hardware behind it */
    int node;
    char problem[PAGERAIL_ERROR_MAX]; /* why it cannot be used; "" when it can */
    unsigned ports;
    struct pr_devices_port *port;
};

/* Whether this process may write the memory of another one of its user: what `local:` does. */
struct pr_devices_vm_write {
    bool allowed;
    const char *reason;
};

struct pr_devices {
    unsigned rdmas;
    struct pr_devices_rdma *rdma;
    const char *no_rdma; /* why there is none, and what to do; NULL when there is one */
    struct pr_topology *topology;
    uint64_t memlock_soft_bytes; /* UINT64_MAX = no limit */
    uint64_t memlock_hard_bytes;
    bool memlock_lifted; /* CAP_IPC_LOCK: the limits do not count */
    struct pr_devices_vm_write vm_write;
    char iommus[256];      /* their names, "dmar0, dmar1"; "" when none is on */
    char rdma_cgroup[256]; /* limits of this process's cgroup, "mlx5_0 hca_handle=2"; "" none */
};

/* ERRORS: -ENOMEM and those of pr_topology_open. A device that fails is listed with its problem. */
int pr_devices_collect(const struct pr_devices_source *source, struct pr_devices *out);
void pr_devices_release(struct pr_devices *devices);

/* The two halves of collecting. They fill their part of `out`, whose topology is set. */
int pr_devices_collect_rdma(const struct pr_devices_source *source, struct pr_devices *out);
void pr_devices_collect_machine(const struct pr_devices_source *source, struct pr_devices *out);

/* Pure: the rate of `active_width` lanes at `active_speed`, as verbs encodes them; 0 = unknown. */
uint64_t pr_devices_rate_Mbps(unsigned width, unsigned speed);

/* Pure: what follows from the errno of an empty process_vm_writev (0 = it works), Yama's
 * ptrace_scope (-1 = no Yama) and CAP_SYS_PTRACE. */
struct pr_devices_vm_write pr_devices_vm_write_verdict(int probe_errno, int ptrace_scope,
                                                       bool cap_sys_ptrace);

/* 0 or -ENOMEM. */
int pr_devices_print(const struct pr_devices *devices, FILE *to);
int pr_devices_print_json(const struct pr_devices *devices, FILE *to);

#endif
