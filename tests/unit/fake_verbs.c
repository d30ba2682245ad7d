/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_verbs.h"

#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define DEVICES_MAX 4

static const struct fake_device *fakes;
static unsigned fake_count;
static int held;

/* Only their addresses count: the n-th stands for the n-th fake. */
static struct ibv_device devices[DEVICES_MAX];
static struct ibv_context contexts[DEVICES_MAX];

void fake_verbs_set(const struct fake_device *list, unsigned count)
{
    assert_true(count <= DEVICES_MAX);
    fakes = list;
    fake_count = count;
}

int fake_verbs_held(void)
{
    return held;
}

static const struct fake_device *fake_of(const struct ibv_context *context)
{
    return &fakes[context - contexts];
}

static struct ibv_device **get_device_list(int *count)
{
    if (!fakes) {
        errno = ENOSYS;
        return NULL;
    }
    struct ibv_device **list = calloc(fake_count + 1, sizeof(struct ibv_device *));
    assert_non_null(list);
    for (unsigned i = 0; i < fake_count; i++)
        list[i] = &devices[i];
    *count = (int)fake_count;
    held++;
    return list;
}

static void free_device_list(struct ibv_device **list)
{
    free(list);
    held--;
}

static const char *get_device_name(struct ibv_device *device)
{
    return fakes[device - devices].name;
}

static struct ibv_context *open_device(struct ibv_device *device)
{
    errno = fakes[device - devices].open_errno;
    if (errno)
        return NULL;
    held++;
    return &contexts[device - devices];
}

static int close_device(struct ibv_context *context)
{
    (void)context;
    held--;
    return 0;
}

static int query_device(struct ibv_context *context, struct ibv_device_attr *out)
{
    out->phys_port_cnt = (uint8_t)fake_of(context)->ports;
    return fake_of(context)->query_errno;
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *out)
{
    const struct fake_device *fake = fake_of(context);
    assert_true(port >= 1 && port <= fake->ports);
    *out = fake->port[port - 1];
    return fake->port_errno;
}

static ssize_t query_gid_table(struct ibv_context *context, struct ibv_gid_entry *out, size_t max)
{
    const struct fake_device *fake = fake_of(context);
    assert_true(max >= fake->gids);
    for (unsigned i = 0; i < fake->gids; i++) {
        const struct fake_gid *gid = &fake->gid[i];
        out[i] = (struct ibv_gid_entry){
            .gid_index = gid->index, .port_num = gid->port, .gid_type = gid->type};
        if (inet_pton(AF_INET6, gid->address, out[i].gid.raw) == 1)
            continue;
        out[i].gid.raw[10] = out[i].gid.raw[11] = 0xff;
        assert_int_equal(inet_pton(AF_INET, gid->address, &out[i].gid.raw[12]), 1);
    }
    return fake->gids;
}

const struct pr_verbs_ops fake_verbs = {
    .get_device_list = get_device_list,
    .free_device_list = free_device_list,
    .get_device_name = get_device_name,
    .open_device = open_device,
    .close_device = close_device,
    .query_device = query_device,
    .query_port = query_port,
    .query_gid_table = query_gid_table,
};
