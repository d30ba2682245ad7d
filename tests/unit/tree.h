/* SPDX-License-Identifier: BSD-2-Clause */
/* A made-up sysfs or proc: files and links in a temporary folder. Include after check.h. */
#ifndef PR_TESTS_UNIT_TREE_H
#define PR_TESTS_UNIT_TREE_H

/* The folder; everything below it goes with tree_close. */
char *tree_open(void);
void tree_close(char *tree);

/* A file with that text; folders on the way are made. An existing one is replaced. */
void tree_put(const char *tree, const char *path, const char *text);

/* A symbolic link to `target`, which is relative to the link's folder. */
void tree_link(const char *tree, const char *path, const char *target);

#endif
