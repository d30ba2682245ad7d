/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/world.h"

#include <stdlib.h>

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

uint64_t world_seed_first(void)
{
    return from_environment("SIM_SEED", 1);
}

uint64_t world_seed_end(uint64_t usual)
{
    if (getenv("SIM_SEED"))
        return world_seed_first() + 1;
    return 1 + usual * from_environment("SIM_EFFORT", 1);
}
