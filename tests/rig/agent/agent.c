// SPDX-License-Identifier: BSD-2-Clause
/*
 * The lab's process 1 on every host: `agent PORT SOCKET HOST`. It runs what the hub outside and the
 * other hosts ask for, and passes the frames of this host's rig-on processes (SOCKET) to the hub
 * (PORT) and back. HOST is this host's number.
 *
 * One thread around poll(). Every frame goes through deliver(), wherever it came from. Output waits
 * in queues; the credit of the streams bounds them, see frame.h.
 */
#include "tests/rig/agent/frame.h"
#include "tests/rig/agent/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// One end of frames: the port, or a rig-on of this host.
struct link {
    struct link *next;
    int fd;
    struct queue in, out;
    uint32_t job;   // of a rig-on: what its frames belong to
    uint8_t worker; // the host that runs it
    bool asked;     // whether it has
    bool gone;
};

static struct {
    uint8_t host;
    char name[16];
    struct link port;
    struct link *clients;
    struct job *jobs;
    uint32_t last_job;
    int listener;
    int children; // signalfd
    bool stop;
} agent;

static void deliver(const struct frame *frame, const char *payload);

static struct job *find_job(const struct frame *frame)
{
    struct job *job = agent.jobs;
    while (job && (job->address.job != frame->job || job->address.owner != frame->owner))
        job = job->next;
    return job;
}

static struct link *find_client(const struct frame *frame)
{
    struct link *client = agent.clients;
    while (client && client->job != frame->job)
        client = client->next;
    return client;
}

static void drop_job(struct job *job, bool kill_it)
{
    struct job **at = &agent.jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job_free(job, kill_it);
}

static void to_worker(const struct frame *frame, const char *payload)
{
    if (frame->type == FRAME_EXEC) {
        struct job *job = job_start(frame, payload, agent.name);
        job->next = agent.jobs;
        agent.jobs = job;
        return;
    }
    struct job *job = find_job(frame); // none: it has ended, and the client will hear so
    if (job && frame->type == FRAME_HANGUP)
        drop_job(job, true);
    else if (job)
        job_handle(job, frame, payload);
}

// All but the agent dies, and what was written reaches the outer machine.
static void stop(void)
{
    if (getpid() == 1)
        kill(-1, SIGKILL);
    while (agent.jobs)
        drop_job(agent.jobs, true);
    sync();
    struct frame stopped = {.type = FRAME_STOP, .to = FRAME_OUTSIDE, .owner = agent.host};
    frame_put(&agent.port.out, stopped, NULL, 0);
}

static void deliver(const struct frame *frame, const char *payload)
{
    if (frame->to != agent.host) {
        frame_put(&agent.port.out, *frame, payload, frame->len_bytes);
    } else if (frame->type == FRAME_STOP) {
        stop();
    } else if (frame_for_worker(frame)) {
        to_worker(frame, payload);
    } else {
        struct link *client = find_client(frame); // none: it was killed
        if (client)
            frame_put(&client->out, *frame, payload, frame->len_bytes);
    }
}

// The frames that jobs made; those for this host go round to its clients.
static void deliver_all(struct queue *made)
{
    struct frame frame;
    const char *payload;
    while (frame_take(made, &frame, &payload))
        deliver(&frame, payload);
}

static void reap(void)
{
    struct signalfd_siginfo ignored[8];
    while (read(agent.children, ignored, sizeof(ignored)) > 0)
        continue;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) // also those whose parents died
        for (struct job *job = agent.jobs; job; job = job->next)
            if (job->pid == pid)
                job_exited(job, status);
}

static void finish(struct job *job, struct queue *made)
{
    struct frame exited = job->address;
    exited.type = FRAME_EXIT;
    frame_put_u32(made, exited, (uint32_t)job->status);
    drop_job(job, false);
}

static void move_jobs(void)
{
    struct queue made = {0};
    struct job *next;
    for (struct job *job = agent.jobs; job; job = next) {
        next = job->next;
        job_move(job, &made);
        if (job_done(job))
            finish(job, &made);
    }
    deliver_all(&made);
    queue_free(&made);
}

static void drop_client(struct link *client)
{
    struct link **at = &agent.clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    close(client->fd);
    struct frame hangup = {
        .type = FRAME_HANGUP, .to = client->worker, .owner = agent.host, .job = client->job};
    if (client->asked)
        deliver(&hangup, NULL);
    queue_free(&client->in);
    queue_free(&client->out);
    free(client);
}

static void accept_client(void)
{
    int fd = accept4(agent.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct link *client = rig_alloc(sizeof(*client));
    client->fd = fd;
    client->job = ++agent.last_job;
    client->next = agent.clients;
    agent.clients = client;
}

// Reads, delivers and writes what can be.
static void move_link(struct link *link)
{
    struct frame frame;
    const char *payload;
    long got = queue_read(&link->in, link->fd, FRAME_CHUNK_BYTES);
    while (frame_take(&link->in, &frame, &payload)) {
        if (link != &agent.port) {
            frame.owner = agent.host;
            frame.job = link->job;
            link->worker = frame.to;
            link->asked = true;
        }
        deliver(&frame, payload);
    }
    long put = queue_write(&link->out, link->fd);
    link->gone = got < 0 || put < 0;
}

static void move_links(void)
{
    struct link *next;
    for (struct link *client = agent.clients; client; client = next) {
        next = client->next;
        move_link(client);
        if (client->gone)
            drop_client(client);
    }
    move_link(&agent.port);
}

static struct pollfd poll_link(const struct link *link)
{
    short out = queue_len_bytes(&link->out) > 0 ? POLLOUT : 0;
    return (struct pollfd){.fd = link->fd, .events = (short)(POLLIN | out)};
}

static void wait_for_any(void)
{
    size_t count = 3;
    for (struct link *client = agent.clients; client; client = client->next)
        count++;
    for (struct job *job = agent.jobs; job; job = job->next)
        count += JOB_FDS;
    struct pollfd *polled = rig_alloc(count * sizeof(*polled));
    size_t at = 0;
    polled[at++] = (struct pollfd){.fd = agent.listener, .events = POLLIN};
    polled[at++] = (struct pollfd){.fd = agent.children, .events = POLLIN};
    polled[at++] = poll_link(&agent.port);
    for (struct link *client = agent.clients; client; client = client->next)
        polled[at++] = poll_link(client);
    for (struct job *job = agent.jobs; job; job = job->next, at += JOB_FDS)
        job_poll(job, polled + at);
    poll(polled, count, -1);
    free(polled);
}

static int watch_children(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 64) != 0)
        rig_die("cannot listen at %s: %s", path, strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        rig_die("usage: agent PORT SOCKET HOST");
    agent.host = (uint8_t)atoi(argv[3]);
    snprintf(agent.name, sizeof(agent.name), "host%d", agent.host);
    agent.port.fd = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (agent.port.fd < 0)
        rig_die("cannot open %s: %s", argv[1], strerror(errno));
    agent.children = watch_children();
    agent.listener = listen_at(argv[2]);

    struct frame ready = {.type = FRAME_READY, .to = FRAME_OUTSIDE, .owner = agent.host};
    frame_put(&agent.port.out, ready, NULL, 0);
    for (;;) {
        move_jobs();
        move_links();
        wait_for_any();
        reap();
        accept_client();
        if (agent.port.gone)
            rig_die("the hub outside is gone");
    }
}
