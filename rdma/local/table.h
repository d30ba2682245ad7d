/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a fabric lets its peers reach, as a NIC keeps it in its memory protection table: a slot for
 * each window that was registered with remote access. It lives in a memfd that the owner alone can
 * write; every peer maps it read-only and looks at it before each transfer, so a removed key fails
 * at once and an invented one never works.
 *
 * A key is a slot's index and a random number that is new for every registration.
 */
#ifndef PR_RDMA_LOCAL_TABLE_H
#define PR_RDMA_LOCAL_TABLE_H

#include "rdma/fabric.h"

#include <stdatomic.h>

/* 24 TiB in windows of 16 MiB. The memfd is sparse: only used slots take memory. */
#define PR_LOCAL_SLOT_BITS 21
#define PR_LOCAL_SLOTS (1u << PR_LOCAL_SLOT_BITS)

struct pr_local_slot {
    _Atomic uint64_t rkey; /* 0: free */
    _Atomic uint64_t addr; /* of a free slot: the next free one */
    _Atomic uint64_t len;
    _Atomic uint64_t access;
};

#define PR_LOCAL_TABLE_BYTES (sizeof(struct pr_local_slot) * PR_LOCAL_SLOTS)

/* The owner's side. One thread at a time. */
struct pr_local_table {
    int fd; /* given to peers */
    struct pr_local_slot *slots;
    uint32_t used; /* slots that were ever taken */
    uint32_t free; /* first of those that were given back; PR_LOCAL_SLOTS: none */
};

int pr_local_table_open(struct pr_local_table *table);
void pr_local_table_close(struct pr_local_table *table);

/* ERRORS: -ENOSPC every slot is taken. */
int pr_local_table_add(struct pr_local_table *table, uint64_t addr, uint64_t len, unsigned access,
                       uint64_t *rkey);

/* The slot is not given to anyone else before pr_local_table_recycle: a peer may still be looking
 * at it. */
void pr_local_table_revoke(struct pr_local_table *table, uint64_t rkey);
void pr_local_table_recycle(struct pr_local_table *table, uint64_t rkey);

/* A peer's side. */
struct pr_local_view {
    const struct pr_local_slot *slots;
};

/* Maps what a peer handed over after checking that it cannot shrink under us. The fd stays the
 * caller's. ERRORS: -EPROTO it is no table. */
int pr_local_view_open(struct pr_local_view *view, int fd);
void pr_local_view_close(struct pr_local_view *view);

/* Whether the peer at this moment grants `access` to [remote, remote + len) by this key. */
bool pr_local_view_grants(const struct pr_local_view *view, uint64_t rkey, uint64_t remote,
                          uint64_t len, unsigned access);

/* Whether fd is a memfd of exactly len bytes that nobody can resize. */
bool pr_local_memfd_is_fixed(int fd, uint64_t len);

/* A memfd of len zero bytes that nobody can resize, or a negative errno. */
int pr_local_memfd_make(const char *name, uint64_t len);

#endif
