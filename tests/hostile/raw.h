/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strangers at a socket of the local fabric, before there is a lane: clients of a listener, and
 * listeners that no source should have found. What they send is no greeting, or nearly one.
 */
#ifndef PR_TESTS_HOSTILE_RAW_H
#define PR_TESTS_HOSTILE_RAW_H

struct raw {
    const char *name;
    void (*play)(int sock); /* on a connected socket; it is closed afterwards */
    int crowd;              /* how many come at once; 0 = one */
};

/* By number, NULL past the last. */
const struct raw *raw_client(unsigned i);
const struct raw *raw_server(unsigned i);

/* Connects to the path, plays, and waits until the listener has hung up, for some seconds at most.
 * 0, or -1 when nobody listens there. */
int raw_play_client(const struct raw *raw, const char *path);

/* Listens at the path, says so by a byte on ready_fd (-1: nobody cares), plays with the first who
 * comes, and waits as above. */
int raw_play_server(const struct raw *raw, const char *path, int ready_fd);

#endif
