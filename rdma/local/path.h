/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket file: how one listens at a path and connects to it. */
#ifndef PR_RDMA_LOCAL_PATH_H
#define PR_RDMA_LOCAL_PATH_H

#include "base/event.h"

#include <sys/types.h>
#include <sys/un.h>

struct pr_local_path {
    struct sockaddr_un addr;
    dev_t dev; /* of the file that listening made */
    ino_t inode;
};

/*
 * Makes the file and listens. A socket file of ours that nobody listens at is replaced. Starters at
 * one path take turns, so none takes another's file that does not listen yet for a left-over.
 * RETURN VALUE: a non-blocking descriptor.
 * ERRORS: -EADDRINUSE; -ENOENT the folder is missing; -EACCES; -EINVAL empty or too long.
 */
int pr_local_path_listen(struct pr_local_path *path, const char *address);

/* Removes the file if it is still the one that was made. */
void pr_local_path_remove(const struct pr_local_path *path);

/* RETURN VALUE: a connected non-blocking descriptor. ERRORS: those of pr_fabric_connect. */
int pr_local_path_connect(const char *address, uint64_t deadline_ns, const struct pr_event *cancel);

/* Waits until fd has one of `events` (or an error). 0, -ETIMEDOUT or -ECANCELED. */
int pr_local_wait(int fd, short events, uint64_t deadline_ns, const struct pr_event *cancel);

#endif
