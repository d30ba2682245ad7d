/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagerail: moves a running virtual machine's memory between hosts with one-sided RDMA writes.
 *
 *   migrate.h    the whole migration, for VMMs without a pre-copy loop: start here
 *   transport.h  one session, for VMMs that have their own loop
 *   options.h    what a session may be told
 *   stats.h      what a session has done
 *   error.h      how calls report failure
 *   log.h        where log lines go
 */
#ifndef PAGERAIL_H
#define PAGERAIL_H

#include <pagerail/error.h>
#include <pagerail/log.h>
#include <pagerail/migrate.h>
#include <pagerail/options.h>
#include <pagerail/stats.h>
#include <pagerail/transport.h>

#endif
