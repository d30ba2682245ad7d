/* SPDX-License-Identifier: BSD-2-Clause */
/* As osdep.h beside it. */
#ifndef PR_TESTS_UNIT_FAKE_QEMU_ATOMIC_H
#define PR_TESTS_UNIT_FAKE_QEMU_ATOMIC_H

#define qatomic_read(at) __atomic_load_n(at, __ATOMIC_RELAXED)
#define qatomic_xchg(at, value) __atomic_exchange_n(at, value, __ATOMIC_RELAXED)
#define qatomic_set(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

#endif
