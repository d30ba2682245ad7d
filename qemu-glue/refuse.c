/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "compat.h"
#include "hooks.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "qapi/error.h"

static const struct {
    MigrationCapability capability;
    const char *why;
} refused[] = {
    {MIGRATION_CAPABILITY_MULTIFD, "lanes of its own carry the pages"},
    {MIGRATION_CAPABILITY_XBZRLE, "pages are written whole"},
    {MIGRATION_CAPABILITY_POSTCOPY_RAM, "there is no post-copy yet"},
    {MIGRATION_CAPABILITY_POSTCOPY_PREEMPT, "there is no post-copy yet"},
    {MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT, "a snapshot goes to a file"},
    {MIGRATION_CAPABILITY_MAPPED_RAM, "a mapped RAM image is a file"},
    {MIGRATION_CAPABILITY_X_IGNORE_SHARED, "every RAM block is sent"},
    {MIGRATION_CAPABILITY_X_COLO, "there is no replication"},
    {MIGRATION_CAPABILITY_SWITCHOVER_ACK, "there is no return path before the hand-over"},
    {MIGRATION_CAPABILITY_ZERO_COPY_SEND, "it is for multifd"},
};

bool rdma_can_migrate(Error **errp)
{
    MigrationState *s = migrate_get_current();

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (s->capabilities[refused[i].capability]) {
            error_setg(errp, "rdma: the capability '%s' cannot be used here: %s; switch it off",
                       MigrationCapability_str(refused[i].capability), refused[i].why);
            return false;
        }
    }
    if (migration_in_incoming_postcopy()) {
        error_setg(errp, "rdma: this guest's own memory is still on its way here (post-copy): wait "
                         "until it has all come");
        return false;
    }
    if (migrate_tls()) {
        error_setg(errp, "rdma: tls-creds is set, but RDMA traffic cannot be encrypted: unset it, "
                         "or migrate by tcp:");
        return false;
    }
    if (migrate_mode() != MIG_MODE_NORMAL) {
        error_setg(errp, "rdma: only the migration mode 'normal' is supported, not '%s'",
                   MigMode_str(migrate_mode()));
        return false;
    }
    return true;
}
