/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded queue between exactly one producing and one consuming thread, no locks: each side owns
 * one index and publishes it with a release store. The indices run freely and are masked on use, so
 * all slots serve. Each side keeps a copy of the other's index beside its own and re-reads the real
 * one only when the copy says full or empty, so the two cores rarely share a cache line.
 *
 * The struct is aligned to a cache line: allocate what holds one with aligned_alloc, not malloc.
 */
#ifndef PR_BASE_RING_H
#define PR_BASE_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PR_CACHE_LINE 64

struct pr_ring {
    uint8_t *slots;
    uint32_t mask;
    uint32_t item_bytes;
    /* producer */
    alignas(PR_CACHE_LINE) _Atomic uint32_t head;
    uint32_t tail_seen;
    /* consumer */
    alignas(PR_CACHE_LINE) _Atomic uint32_t tail;
    uint32_t head_seen;
};

/* count: a power of two. 0, or -1 when memory is short. Not thread-safe. */
static inline int pr_ring_open(struct pr_ring *ring, uint32_t count, uint32_t item_bytes)
{
    memset(ring, 0, sizeof(*ring));
    ring->slots = calloc(count, item_bytes);
    ring->mask = count - 1;
    ring->item_bytes = item_bytes;
    return ring->slots ? 0 : -1;
}

static inline void pr_ring_close(struct pr_ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

/* Producer: copies the item in; false when the ring is full. */
static inline bool pr_ring_push(struct pr_ring *ring, const void *item)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen > ring->mask) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen > ring->mask)
            return false;
    }
    memcpy(ring->slots + (size_t)(head & ring->mask) * ring->item_bytes, item, ring->item_bytes);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

/* Consumer: the oldest item, in place, or NULL when empty. It stays until pr_ring_drop. */
static inline const void *pr_ring_front(struct pr_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail == ring->head_seen) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return NULL;
    }
    return ring->slots + (size_t)(tail & ring->mask) * ring->item_bytes;
}

/* Consumer: gives the slot of pr_ring_front back. */
static inline void pr_ring_drop(struct pr_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

/* How many items are queued; exact on neither side while the other works. */
static inline uint32_t pr_ring_count(const struct pr_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_acquire) -
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

#endif
