/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the host's devices a fabric may use, by their names. */
#include "base/error.h"
#include "rdma/verbs/fabric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the list has the name. Commas stand between names. */
static bool has_name(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, name, len) && (at[len] == ',' || !at[len]))
            return true;
    }
    return false;
}

static struct ibv_context *find_device(const struct pr_verbs_fabric *fabric, const char *name,
                                       size_t len)
{
    for (int i = 0; i < fabric->device_count; i++) {
        const char *its = ibv_get_device_name(fabric->devices[i]->device);
        if (strlen(its) == len && !memcmp(its, name, len))
            return fabric->devices[i];
    }
    return NULL;
}

static int no_such_rail(const struct pr_verbs_fabric *fabric, const char *name, size_t len)
{
    char there[256] = "";
    for (int i = 0; i < fabric->device_count; i++) {
        size_t used = strlen(there);
        snprintf(there + used, sizeof(there) - used, "%s%s", i ? ", " : "",
                 ibv_get_device_name(fabric->devices[i]->device));
    }
    return pr_error(ENODEV, "this host has no RDMA device '%.*s': it has %s", (int)len, name,
                    there);
}

/* Each name must be a device's: what is misspelt must not go unnoticed. */
static int check_names(const struct pr_verbs_fabric *fabric, const char *list)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        if (!find_device(fabric, list, len))
            return no_such_rail(fabric, list, len);
        list += len + (list[len] == ',');
    }
    return 0;
}

int pr_verbs_rails_choose(struct pr_verbs_fabric *fabric)
{
    const char *wanted = fabric->settings.rails ? fabric->settings.rails : "";
    int err = check_names(fabric, wanted);
    if (err)
        return err;
    fabric->rails = calloc((size_t)fabric->device_count, sizeof(struct ibv_context *));
    if (!fabric->rails)
        return pr_error(ENOMEM, "no memory for the RDMA devices");
    for (int i = 0; i < fabric->device_count; i++) {
        struct ibv_context *context = fabric->devices[i];
        if (!*wanted || has_name(wanted, ibv_get_device_name(context->device)))
            fabric->rails[fabric->rail_count++] = context;
    }
    return 0;
}
