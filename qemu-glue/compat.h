/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the versions of QEMU that are supported differ. Included by every .c after osdep.h. */
#ifndef PAGERAIL_GLUE_COMPAT_H
#define PAGERAIL_GLUE_COMPAT_H

#define RDMA_QEMU_AT_LEAST(major, minor)                                                           \
    (QEMU_VERSION_MAJOR > (major) ||                                                               \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

/* 10.1: headers moved, class data became const. */
#if RDMA_QEMU_AT_LEAST(10, 1)
#include "exec/target_page.h"
#include "system/memory.h"
#include "system/ramblock.h"
typedef const void RdmaClassData;
#define RDMA_PAGE_IS_NOT_OURS (-EINVAL) /* not called for other migrations */
#else
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
typedef void RdmaClassData;
#define RDMA_PAGE_IS_NOT_OURS RAM_SAVE_CONTROL_NOT_SUPP
#endif

#endif
