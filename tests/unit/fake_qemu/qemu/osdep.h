/* SPDX-License-Identifier: BSD-2-Clause */
/* As much of QEMU's header of this name as the pure parts of qemu-glue/ need, so that they can be
 * tested without QEMU. */
#ifndef PR_TESTS_UNIT_FAKE_QEMU_OSDEP_H
#define PR_TESTS_UNIT_FAKE_QEMU_OSDEP_H

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
