/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport/choice.h"

enum pr_carrier pr_carrier_choose(uint32_t asked, enum pr_host_place place, bool device)
{
    bool here = place != PR_HOST_ELSEWHERE;
    switch (asked) {
    case PAGERAIL_FABRIC_VERBS:
        return PR_CARRIER_VERBS;
    case PAGERAIL_FABRIC_LOCAL:
        return here ? PR_CARRIER_LOCAL : PR_CARRIER_NONE;
    default:
        if (device && place != PR_HOST_LOOPBACK)
            return PR_CARRIER_VERBS;
        return here ? PR_CARRIER_LOCAL : PR_CARRIER_NONE;
    }
}
