/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cases in processes of their own, several at once: a case that crashes or hangs is a failed case,
 * and the others go on.
 */
#ifndef PR_TESTS_HOSTILE_CASES_H
#define PR_TESTS_HOSTILE_CASES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct scene {
    const char *name;
    void (*play)(const struct scene *scene); /* in its process; fails by scene_fail */
    const void *arg;
    uint64_t seed;
    const char *folder; /* for the case's sockets, its own */
};

/* Plays them all, `at_once` at a time, in folders below `folder`: how many failed. */
unsigned scenes_play(struct scene *scenes, unsigned count, unsigned at_once, const char *folder);

/* Prints the sentence and ends the case as failed. */
void scene_fail(const struct scene *scene, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* A process that plays the other side; killed by scene_end_other at the latest. */
pid_t scene_fork(void);

/* Without reaping it. */
bool scene_has_ended(pid_t pid);

/* Lets it end by itself for so long, then kills it. */
void scene_end_other(pid_t pid, int wait_ms);

/* Open descriptors of this process. */
unsigned scene_descriptors(void);

#endif
