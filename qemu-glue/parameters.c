/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "compat.h"
#include "migration/migration.h"
#include "monitor.h"
#include "parameters.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-migration.h"
#include "qemu/cutils.h"

#include <pagerail/transport.h>

#define LANES_MOST 256

static struct pagerail_options options_of(const MigrationParameters *params)
{
    struct pagerail_options options = PAGERAIL_OPTIONS_INIT;

    options.fabric = params->rdma_fabric == RDMA_FABRIC_VERBS   ? PAGERAIL_FABRIC_VERBS
                     : params->rdma_fabric == RDMA_FABRIC_LOCAL ? PAGERAIL_FABRIC_LOCAL
                                                                : PAGERAIL_FABRIC_AUTO;
    options.lanes = params->rdma_lanes;
    options.pin_budget_bytes = params->rdma_pin_budget;
    pstrcpy(options.rails, sizeof(options.rails), params->rdma_rails ?: "");
    return options;
}

struct pagerail_options rdma_options(void)
{
    return options_of(&migrate_get_current()->parameters);
}

void rdma_parameters_get(MigrationParameters *to, const MigrationParameters *from)
{
    to->has_rdma_fabric = to->has_rdma_lanes = to->has_rdma_pin_budget = true;
    to->rdma_fabric = from->rdma_fabric;
    to->rdma_rails = g_strdup(from->rdma_rails ?: "");
    to->rdma_lanes = from->rdma_lanes;
    to->rdma_pin_budget = from->rdma_pin_budget;
}

void rdma_parameters_try(MigrationParameters *to, const MigrateSetParameters *from)
{
    if (from->rdma_rails) {
        to->rdma_rails = from->rdma_rails;
    }
    if (from->has_rdma_fabric) {
        to->rdma_fabric = from->rdma_fabric;
    }
    if (from->has_rdma_lanes) {
        to->rdma_lanes = from->rdma_lanes;
    }
    if (from->has_rdma_pin_budget) {
        to->rdma_pin_budget = from->rdma_pin_budget;
    }
}

void rdma_parameters_set(MigrationParameters *to, const MigrateSetParameters *from)
{
    char *rails = to->rdma_rails;

    rdma_parameters_try(to, from);
    if (to->rdma_rails != rails) {
        to->rdma_rails = g_strdup(to->rdma_rails);
        g_free(rails);
    }
}

/* What else the library takes amiss. A session that nobody connects holds nothing. */
static bool check_by_library(const MigrationParameters *params, Error **errp)
{
    struct pagerail_options options = options_of(params);
    pagerail_source *session;

    if (params->rdma_rails && strlen(params->rdma_rails) >= sizeof(options.rails)) {
        error_setg(errp, "rdma-rails is longer than %zu bytes", sizeof(options.rails) - 1);
        return false;
    }
    if (pagerail_source_new(&options, &session) < 0) {
        error_setg(errp, "rdma: %s", pagerail_error_message());
        return false;
    }
    pagerail_source_free(session);
    return true;
}

/* Those of the migration under way were read when it began; these are for the next. */
bool rdma_parameters_check(const MigrationParameters *params, Error **errp)
{
    if (params->rdma_lanes > LANES_MOST) {
        error_setg(errp, "rdma-lanes is %d: it takes 1 to %d, or 0 for what the fabric suggests",
                   params->rdma_lanes, LANES_MOST);
        return false;
    }
    return check_by_library(params, errp);
}

void rdma_parameter_parse(MigrateSetParameters *to, MigrationParameter which, Visitor *v,
                          Error **errp)
{
    const char *name = MigrationParameter_str(which);

    switch (which) {
    case MIGRATION_PARAMETER_RDMA_FABRIC:
        to->has_rdma_fabric = visit_type_RdmaFabric(v, name, &to->rdma_fabric, errp);
        break;
    case MIGRATION_PARAMETER_RDMA_RAILS:
        visit_type_str(v, name, &to->rdma_rails, errp);
        break;
    case MIGRATION_PARAMETER_RDMA_LANES:
        to->has_rdma_lanes = visit_type_uint16(v, name, &to->rdma_lanes, errp);
        break;
    default:
        to->has_rdma_pin_budget = visit_type_size(v, name, &to->rdma_pin_budget, errp);
        break;
    }
}

void rdma_parameters_print(Monitor *mon, const MigrationParameters *params)
{
    monitor_printf(mon, "%s: %s\n", MigrationParameter_str(MIGRATION_PARAMETER_RDMA_FABRIC),
                   RdmaFabric_str(params->rdma_fabric));
    monitor_printf(mon, "%s: '%s'\n", MigrationParameter_str(MIGRATION_PARAMETER_RDMA_RAILS),
                   params->rdma_rails);
    monitor_printf(mon, "%s: %u\n", MigrationParameter_str(MIGRATION_PARAMETER_RDMA_LANES),
                   params->rdma_lanes);
    monitor_printf(mon, "%s: %" PRIu64 " bytes\n",
                   MigrationParameter_str(MIGRATION_PARAMETER_RDMA_PIN_BUDGET),
                   params->rdma_pin_budget);
}
