/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor.h: what QEMU's migration parameters and query-migrate call. Main thread. */
#ifndef PAGERAIL_GLUE_MONITOR_H
#define PAGERAIL_GLUE_MONITOR_H

#include "monitor/monitor.h"
#include "qapi/qapi-types-migration.h"
#include "qapi/visitor.h"

#ifdef CONFIG_RDMA

/* The current ones, each present. */
void rdma_parameters_get(MigrationParameters *to, const MigrationParameters *from);

/* Those that are present in `from`. The second one: for a check; strings stay those of `from`. */
void rdma_parameters_set(MigrationParameters *to, const MigrateSetParameters *from);
void rdma_parameters_try(MigrationParameters *to, const MigrateSetParameters *from);

bool rdma_parameters_check(const MigrationParameters *params, Error **errp);

/* migrate_set_parameter and info migrate_parameters. */
void rdma_parameter_parse(MigrateSetParameters *to, MigrationParameter which, Visitor *v,
                          Error **errp);
void rdma_parameters_print(Monitor *mon, const MigrationParameters *params);

/* query-migrate and info migrate. */
void rdma_info_fill(MigrationInfo *info);
void rdma_info_print(Monitor *mon, const MigrationInfo *info);

#else

static inline void rdma_parameters_get(MigrationParameters *to, const MigrationParameters *from)
{
}

static inline void rdma_parameters_set(MigrationParameters *to, const MigrateSetParameters *from)
{
}

static inline void rdma_parameters_try(MigrationParameters *to, const MigrateSetParameters *from)
{
}

static inline bool rdma_parameters_check(const MigrationParameters *params, Error **errp)
{
    return true;
}

static inline void rdma_parameter_parse(MigrateSetParameters *to, MigrationParameter which,
                                        Visitor *v, Error **errp)
{
}

static inline void rdma_parameters_print(Monitor *mon, const MigrationParameters *params)
{
}

static inline void rdma_info_fill(MigrationInfo *info)
{
}

static inline void rdma_info_print(Monitor *mon, const MigrationInfo *info)
{
}

#endif
#endif
