// SPDX-License-Identifier: BSD-2-Clause
#include "tests/rig/agent/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

// What an EXEC frame asks for; the texts are the frame's.
struct order {
    bool terminal;
    struct winsize size;
    const char *folder;
    char **arguments; // both end with NULL
    char **environment;
    char **texts; // to free
};

// The payload's texts, which all end with NUL, as an array with room for one NULL more per list.
static char **split(char *payload, size_t len_bytes, size_t *count)
{
    char **texts = rig_alloc((len_bytes + 2) * sizeof(*texts));
    *count = 0;
    for (size_t at = 0; at < len_bytes; at += strlen(payload + at) + 1)
        texts[(*count)++] = payload + at;
    return texts;
}

static struct order order_parse(char *payload, size_t len_bytes)
{
    struct order order = {0};
    size_t count;
    order.texts = split(payload, len_bytes, &count);
    size_t arguments = count >= 6 ? strtoul(order.texts[4], NULL, 10) : 0;
    if (arguments == 0 || arguments > count - 5)
        rig_die("an order without a command");
    order.terminal = order.texts[0][0] == '1';
    order.size.ws_row = (unsigned short)atoi(order.texts[1]);
    order.size.ws_col = (unsigned short)atoi(order.texts[2]);
    order.folder = order.texts[3];
    order.arguments = order.texts + 5;
    order.environment = order.arguments + arguments + 1;
    memmove(order.environment, order.environment - 1,
            (count - 5 - arguments) * sizeof(*order.texts));
    order.arguments[arguments] = NULL;
    return order;
}

// In the new process, with its streams in place. PATH and the like are those of the order.
static _Noreturn void become(const struct order *order, const char *host)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    clearenv();
    for (char **variable = order->environment; *variable; variable++)
        putenv(*variable);
    setenv("RIG_HOST", host, 1);
    if (chdir(order->folder) != 0) {
        fprintf(stderr, "rig: %s: no folder %s: %s\n", host, order->folder, strerror(errno));
        _exit(125);
    }
    execvp(order->arguments[0], order->arguments);
    int error = errno;
    fprintf(stderr, "rig: %s: cannot run %s: %s\n", host, order->arguments[0], strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

static int open_pipe(int *theirs, int our_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        rig_die("no pipe: %s", strerror(errno));
    *theirs = ends[1 - our_end];
    fcntl(ends[our_end], F_SETFL, O_NONBLOCK);
    return ends[our_end];
}

static void start_with_pipes(struct job *job, const struct order *order, const char *host)
{
    int theirs[JOB_FDS];
    for (int i = 0; i < JOB_FDS; i++)
        job->fd[i] = open_pipe(&theirs[i], i == 0 ? 1 : 0);
    job->pid = fork();
    if (job->pid == 0) {
        setsid();
        for (int i = 0; i < JOB_FDS; i++)
            dup2(theirs[i], i);
        become(order, host);
    }
    for (int i = 0; i < JOB_FDS; i++)
        close(theirs[i]);
}

static void start_with_terminal(struct job *job, const struct order *order, const char *host)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        rig_die("no terminal: %s", strerror(errno));
    ioctl(master, TIOCSWINSZ, &order->size);
    job->fd[0] = master;
    job->fd[1] = fcntl(master, F_DUPFD_CLOEXEC, 0);
    job->fd[2] = -1;
    const char *name = ptsname(master);
    job->pid = fork();
    if (job->pid == 0) {
        setsid();
        int terminal = open(name, O_RDWR); // the session's first, so it becomes the controlling one
        for (int i = 0; i < JOB_FDS; i++)
            dup2(terminal, i);
        become(order, host);
    }
}

struct job *job_start(const struct frame *exec, const char *payload, const char *host)
{
    struct job *job = rig_alloc(sizeof(*job));
    char *copy = rig_alloc(exec->len_bytes + 1);
    memcpy(copy, payload, exec->len_bytes);

    struct order order = order_parse(copy, exec->len_bytes);
    job->address = (struct frame){.job = exec->job, .to = exec->owner, .owner = exec->owner};
    job->terminal = order.terminal;
    job->credit_bytes[1] = job->credit_bytes[2] = FRAME_WINDOW_BYTES;
    if (order.terminal)
        start_with_terminal(job, &order, host);
    else
        start_with_pipes(job, &order, host);
    if (job->pid < 0)
        rig_die("no new process: %s", strerror(errno));
    free(order.texts);
    free(copy);
    return job;
}

static void close_stream(struct job *job, int stream)
{
    if (job->fd[stream] >= 0)
        close(job->fd[stream]);
    job->fd[stream] = -1;
}

static void resize(const struct job *job, const struct frame *frame, const char *payload)
{
    uint32_t size[2];
    if (!job->terminal || job->fd[0] < 0 || frame->len_bytes < sizeof(size))
        return;
    memcpy(size, payload, sizeof(size));
    struct winsize window = {.ws_row = (unsigned short)size[0], .ws_col = (unsigned short)size[1]};
    ioctl(job->fd[0], TIOCSWINSZ, &window);
}

void job_handle(struct job *job, const struct frame *frame, const char *payload)
{
    switch (frame->type) {
    case FRAME_DATA:
        queue_add(&job->input, payload, frame->len_bytes);
        break;
    case FRAME_END:
        job->input_ends = true;
        break;
    case FRAME_CREDIT:
        if (frame->stream < JOB_FDS)
            job->credit_bytes[frame->stream] += frame_u32(frame, payload);
        break;
    case FRAME_SIGNAL:
        if (!job->exited)
            kill(-job->pid, (int)frame_u32(frame, payload));
        break;
    case FRAME_SIZE:
        resize(job, frame, payload);
        break;
    default:
        break;
    }
}

void job_poll(const struct job *job, struct pollfd polled[JOB_FDS])
{
    for (int i = 0; i < JOB_FDS; i++)
        polled[i] = (struct pollfd){.fd = job->fd[i], .events = POLLIN};
    polled[0].events = POLLOUT;
    if (queue_len_bytes(&job->input) == 0)
        polled[0].fd = -1;
    for (int i = 1; i < JOB_FDS; i++)
        if (job->credit_bytes[i] == 0)
            polled[i].fd = -1;
}

// The client gets its credit back also for what a process that closed its input will never read.
static void move_input(struct job *job, struct queue *out)
{
    size_t before = queue_len_bytes(&job->input);
    if (job->fd[0] < 0 || queue_write(&job->input, job->fd[0]) < 0) {
        job->input.start = job->input.end;
        close_stream(job, 0);
    }
    struct frame credit = job->address;
    credit.type = FRAME_CREDIT;
    size_t taken = before - queue_len_bytes(&job->input);
    if (taken > 0)
        frame_put_u32(out, credit, (uint32_t)taken);
    if (job->input_ends && queue_len_bytes(&job->input) == 0 && !job->terminal)
        close_stream(job, 0);
}

// A daemon that the process left behind may hold a stream open for ever: once the process is gone,
// what is there now is all that counts.
static void move_output(struct job *job, int stream, struct queue *out)
{
    struct queue chunk = {0};
    while (job->fd[stream] >= 0 && job->credit_bytes[stream] > 0) {
        size_t most = job->credit_bytes[stream];
        long got = queue_read(&chunk, job->fd[stream],
                              most < FRAME_CHUNK_BYTES ? most : FRAME_CHUNK_BYTES);
        if (got < 0 || (got == 0 && job->exited))
            close_stream(job, stream);
        if (got <= 0)
            break;
        struct frame data = job->address;
        data.type = FRAME_DATA;
        data.stream = (uint8_t)stream;
        frame_put(out, data, chunk.data + chunk.start, (size_t)got);
        job->credit_bytes[stream] -= (uint32_t)got;
        chunk.start = chunk.end;
    }
    queue_free(&chunk);
}

void job_move(struct job *job, struct queue *out)
{
    move_input(job, out);
    move_output(job, 1, out);
    move_output(job, 2, out);
}

void job_exited(struct job *job, int wait_status)
{
    job->exited = true;
    job->status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

bool job_done(const struct job *job)
{
    return job->exited && job->fd[1] < 0 && job->fd[2] < 0;
}

void job_free(struct job *job, bool kill_them)
{
    if (kill_them)
        kill(-job->pid, SIGKILL);
    for (int i = 0; i < JOB_FDS; i++)
        close_stream(job, i);
    queue_free(&job->input);
    free(job);
}
