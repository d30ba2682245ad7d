// SPDX-License-Identifier: BSD-2-Clause
/*
 * The worker's side of a job: a process in a session of its own, with three pipes or a terminal.
 * One thread; nothing here blocks.
 */
#ifndef TESTS_RIG_AGENT_JOB_H
#define TESTS_RIG_AGENT_JOB_H

#include "tests/rig/agent/frame.h"

#include <poll.h>
#include <sys/types.h>

enum { JOB_FDS = 3 };

struct job {
    struct job *next;
    struct frame address; // what its frames to the client start from
    pid_t pid;
    int fd[JOB_FDS]; // our ends by stream, -1 when closed; 0 and 1 of a terminal are the same
    bool terminal;
    struct queue input;             // what the process has not taken yet
    bool input_ends;                // after what is in input
    uint32_t credit_bytes[JOB_FDS]; // what may still be sent of streams 1 and 2
    bool exited;
    int status; // as a shell's $?
};

// Starts what an EXEC frame asks for. host is this one's name, for the environment. The frames that
// a job sends go to out, here and below.
struct job *job_start(const struct frame *exec, const char *payload, const char *host);

// Handles any later frame to the job.
void job_handle(struct job *job, const struct frame *frame, const char *payload);

// What to wait for, one entry a stream, and what to do when it came.
void job_poll(const struct job *job, struct pollfd polled[JOB_FDS]);
void job_move(struct job *job, struct queue *out);

// The process ended, as waitpid() said. What it had written until then is still sent.
void job_exited(struct job *job, int wait_status);

// Whether all has been sent but FRAME_EXIT.
bool job_done(const struct job *job);

// Frees the job, and kills its session's processes if kill_them.
void job_free(struct job *job, bool kill_them);

#endif
