/* SPDX-License-Identifier: BSD-2-Clause */
/* What a device counts in /sys/class/infiniband/DEVICE/ports/N/hw_counters. */
#ifndef PR_RDMA_VERBS_COUNTERS_H
#define PR_RDMA_VERBS_COUNTERS_H

#include <stdint.h>

/*
 * How often the device has sent again, on all ports since they came up, whoever used them:
 * time-outs and refusals of the peer's device, as far as the driver counts them; 0 if it counts
 * none. device: its folder in sysfs. ports: how many it has.
 */
uint64_t pr_verbs_counted_retries(const char *device, unsigned ports);

#endif
