/* SPDX-License-Identifier: BSD-2-Clause */
/* rdma:host:port between two processes of one machine: whether it is, and where they meet. */
#ifndef PR_TRANSPORT_SAME_HOST_H
#define PR_TRANSPORT_SAME_HOST_H

#include "transport/choice.h"

#include <stddef.h>

/*
 * Where the host of "host:port" is. Looks a name up, which knows no time limit.
 * ERRORS: -EINVAL it is no such address; -ENOENT no such host; -ETIMEDOUT the name server is
 * silent.
 */
int pr_same_host_place(const char *address, enum pr_host_place *out);

/*
 * The socket file at which processes of this user meet for the port of "host:port". It lies in a
 * folder that only this user can write to, and that is made if it is missing: /run/pagerail for
 * root, /run/user/UID/pagerail where there is a /run/user/UID, else /tmp/pagerail-UID. So whoever
 * listens there is of this user, or root.
 * ERRORS: -EACCES the folder belongs to somebody else; -EINVAL; why it could not be made.
 */
int pr_same_host_socket(const char *address, char *out, size_t size);

/* Makes such a folder, or checks the one that is there. */
int pr_same_host_folder(const char *path);

#endif
