/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/local/table.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int pr_local_memfd_make(const char *name, uint64_t len)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return pr_error(errno, "cannot make shared memory for %s: %s", name, strerror(errno));
    if (ftruncate(fd, (off_t)len) || fcntl(fd, F_ADD_SEALS, FIXED_SEALS)) {
        int err = pr_error(errno, "cannot size shared memory for %s: %s", name, strerror(errno));
        close(fd);
        return err;
    }
    return fd;
}

bool pr_local_memfd_is_fixed(int fd, uint64_t len)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & FIXED_SEALS) == FIXED_SEALS && !fstat(fd, &st) &&
           st.st_size >= 0 && (uint64_t)st.st_size == len;
}

static int map_and_seal(struct pr_local_table *table)
{
    void *map = mmap(NULL, PR_LOCAL_TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, table->fd, 0);
    if (map == MAP_FAILED)
        return pr_error(errno, "cannot map the table of keys: %s", strerror(errno));
    table->slots = map;
    /* From here on only the mapping just made can write. */
    if (fcntl(table->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
        int err =
            pr_error(errno, "cannot seal the table of keys: %s (needs Linux 5.1)", strerror(errno));
        munmap(map, PR_LOCAL_TABLE_BYTES);
        return err;
    }
    return 0;
}

int pr_local_table_open(struct pr_local_table *table)
{
    *table = (struct pr_local_table){.free = PR_LOCAL_SLOTS};
    table->fd = pr_local_memfd_make("pagerail-keys", PR_LOCAL_TABLE_BYTES);
    if (table->fd < 0)
        return table->fd;
    int err = map_and_seal(table);
    if (err)
        close(table->fd);
    return err;
}

void pr_local_table_close(struct pr_local_table *table)
{
    munmap(table->slots, PR_LOCAL_TABLE_BYTES);
    close(table->fd);
}

static uint32_t slot_of(uint64_t rkey)
{
    return (uint32_t)(rkey & (PR_LOCAL_SLOTS - 1));
}

static int take_slot(struct pr_local_table *table, uint32_t *out)
{
    if (table->free != PR_LOCAL_SLOTS) {
        *out = table->free;
        table->free = (uint32_t)atomic_load(&table->slots[*out].addr);
        return 0;
    }
    if (table->used == PR_LOCAL_SLOTS)
        return pr_error(ENOSPC,
                        "all %u windows that the local fabric can register are in use: register "
                        "larger windows",
                        PR_LOCAL_SLOTS);
    *out = table->used++;
    return 0;
}

static int make_rkey(uint32_t slot, uint64_t *out)
{
    uint64_t secret;
    do {
        if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
            return pr_error(EIO, "the kernel gave no random number for a key");
        secret <<= PR_LOCAL_SLOT_BITS;
    } while (!secret);
    *out = secret | slot;
    return 0;
}

int pr_local_table_add(struct pr_local_table *table, uint64_t addr, uint64_t len, unsigned access,
                       uint64_t *rkey)
{
    uint32_t index = 0;
    int err = take_slot(table, &index);
    if (err)
        return err;
    uint64_t key = 0;
    err = make_rkey(index, &key);
    if (err) {
        pr_local_table_recycle(table, index);
        return err;
    }
    struct pr_local_slot *slot = &table->slots[index];
    atomic_store(&slot->addr, addr);
    atomic_store(&slot->len, len);
    atomic_store(&slot->access, access);
    atomic_store(&slot->rkey, key); /* last: a peer looks at the rest only when this matches */
    *rkey = key;
    return 0;
}

void pr_local_table_revoke(struct pr_local_table *table, uint64_t rkey)
{
    atomic_store(&table->slots[slot_of(rkey)].rkey, 0);
}

void pr_local_table_recycle(struct pr_local_table *table, uint64_t rkey)
{
    uint32_t index = slot_of(rkey);
    atomic_store(&table->slots[index].addr, table->free);
    table->free = index;
}

int pr_local_view_open(struct pr_local_view *view, int fd)
{
    if (!pr_local_memfd_is_fixed(fd, PR_LOCAL_TABLE_BYTES))
        return pr_error(EPROTO, "the peer's table of keys is not one of this pagerail version");
    void *map = mmap(NULL, PR_LOCAL_TABLE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return pr_error(errno, "cannot map the peer's table of keys: %s", strerror(errno));
    view->slots = map;
    return 0;
}

void pr_local_view_close(struct pr_local_view *view)
{
    if (view->slots)
        munmap((void *)(uintptr_t)view->slots, PR_LOCAL_TABLE_BYTES);
    view->slots = NULL;
}

bool pr_local_view_grants(const struct pr_local_view *view, uint64_t rkey, uint64_t remote,
                          uint64_t len, unsigned access)
{
    const struct pr_local_slot *slot = &view->slots[slot_of(rkey)];
    if (!rkey || atomic_load(&slot->rkey) != rkey)
        return false;
    uint64_t addr = atomic_load(&slot->addr);
    uint64_t window = atomic_load(&slot->len);
    if (!(atomic_load(&slot->access) & access))
        return false;
    return remote >= addr && len <= window && remote - addr <= window - len;
}
