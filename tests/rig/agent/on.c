// SPDX-License-Identifier: BSD-2-Clause
/*
 * rig-on HOST [COMMAND...]: the client of one job. See usage().
 */
#include "tests/rig/agent/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct frame address; // what our frames start from
    int agent;
    struct queue in, out;
    bool input_open;
    uint32_t credit_bytes;
    int signals; // signalfd
    bool terminal;
    struct termios before;
} on = {.input_open = true, .credit_bytes = FRAME_WINDOW_BYTES};

static void usage(FILE *to)
{
    fputs(
        "usage: rig-on HOST [COMMAND [ARGUMENT]...]\n"
        "\n"
        "Runs COMMAND on HOST (host0, host1, ...) in this folder and with this environment, with\n"
        "its input, output and signals tied to this process, and ends with its exit status: 125\n"
        "when it could not be started, 126 or 127 when there is no such program. If this process\n"
        "is killed, so is COMMAND. The arguments reach it as they are, through no shell.\n"
        "Without COMMAND: a shell on this terminal.\n"
        "\n"
        "  -n  give COMMAND no input, for loops that read theirs\n",
        to);
}

static void send_frame(enum frame_type type, const void *payload, size_t len_bytes)
{
    struct frame frame = on.address;
    frame.type = (uint8_t)type;
    frame_put(&on.out, frame, payload, len_bytes);
}

static uint8_t host_number(const char *name)
{
    const char *hosts = getenv("RIG_HOSTS");
    char *end = NULL;
    if (!hosts)
        rig_die("rig-on works in the lab only: scripts/rig run -- ...");
    long number = strncmp(name, "host", 4) == 0 ? strtol(name + 4, &end, 10) : -1;
    if (!end || end == name + 4 || *end != '\0' || number < 0 || number >= strtol(hosts, NULL, 10))
        rig_die("there is no '%s': the lab has host0 to host%ld (scripts/rig run --hosts N)", name,
                strtol(hosts, NULL, 10) - 1);
    return (uint8_t)number;
}

static void connect_agent(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/rig/socket"};
    on.agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (on.agent < 0 || connect(on.agent, (struct sockaddr *)&address, sizeof(address)) != 0)
        rig_die("cannot reach this host's agent: %s", strerror(errno));
    fcntl(on.agent, F_SETFL, O_NONBLOCK);
}

static void add_text(struct queue *texts, const char *text)
{
    queue_add(texts, text, strlen(text) + 1);
}

static void add_number(struct queue *texts, unsigned number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    add_text(texts, text);
}

static void send_order(char **arguments)
{
    struct queue texts = {0};
    struct winsize size = {0};
    char *folder = getcwd(NULL, 0);
    unsigned count = 0;
    while (arguments[count])
        count++;
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    add_number(&texts, on.terminal);
    add_number(&texts, size.ws_row);
    add_number(&texts, size.ws_col);
    add_text(&texts, folder ? folder : "/");
    add_number(&texts, count);
    for (char **argument = arguments; *argument; argument++)
        add_text(&texts, *argument);
    for (char **variable = environ; *variable; variable++)
        add_text(&texts, *variable);
    if (queue_len_bytes(&texts) > FRAME_PAYLOAD_MAX_BYTES)
        rig_die("the command's arguments and environment may have 4 MiB");
    send_frame(FRAME_EXEC, texts.data, queue_len_bytes(&texts));
    queue_free(&texts);
    free(folder);
}

static void restore_terminal(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &on.before);
}

// The far terminal does all editing and makes the signals.
static void take_terminal(void)
{
    if (tcgetattr(STDIN_FILENO, &on.before) != 0)
        rig_die("a shell needs a terminal; or name a command: rig-on HOST COMMAND...");
    on.terminal = true;
    atexit(restore_terminal);
    struct termios raw = on.before;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void watch_signals(void)
{
    static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(&set, passed_on[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    on.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void pass_signals(void)
{
    struct signalfd_siginfo info;
    while (read(on.signals, &info, sizeof(info)) == sizeof(info)) {
        struct winsize size = {0};
        ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
        if (info.ssi_signo == SIGWINCH)
            send_frame(FRAME_SIZE, (uint32_t[2]){size.ws_row, size.ws_col}, 2 * sizeof(uint32_t));
        else
            send_frame(FRAME_SIGNAL, &info.ssi_signo, sizeof(info.ssi_signo));
    }
}

static void write_all(int fd, const char *data, size_t len_bytes)
{
    while (len_bytes > 0) {
        ssize_t put = write(fd, data, len_bytes);
        if (put < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (put < 0 && errno != EINTR)
            exit(125);
        else if (put > 0) {
            data += put;
            len_bytes -= (size_t)put;
        }
    }
}

static void show(const struct frame *frame, const char *payload)
{
    write_all(frame->stream, payload, frame->len_bytes);
    struct frame credit = on.address;
    credit.type = FRAME_CREDIT;
    credit.stream = frame->stream;
    frame_put_u32(&on.out, credit, frame->len_bytes);
}

static void handle_frames(void)
{
    struct frame frame;
    const char *payload;
    long got = queue_read(&on.in, on.agent, FRAME_CHUNK_BYTES);
    while (frame_take(&on.in, &frame, &payload)) {
        if (frame.type == FRAME_EXIT)
            exit((int)frame_u32(&frame, payload));
        else if (frame.type == FRAME_DATA)
            show(&frame, payload);
        else if (frame.type == FRAME_CREDIT)
            on.credit_bytes += frame_u32(&frame, payload);
    }
    if (got < 0)
        rig_die("the lab is ending");
}

static void move_input(void)
{
    struct queue chunk = {0};
    size_t most = on.credit_bytes < FRAME_CHUNK_BYTES ? on.credit_bytes : FRAME_CHUNK_BYTES;
    long got = queue_read(&chunk, STDIN_FILENO, most);
    if (got > 0) {
        send_frame(FRAME_DATA, chunk.data + chunk.start, (size_t)got);
        on.credit_bytes -= (uint32_t)got;
    } else if (got < 0) {
        send_frame(FRAME_END, NULL, 0);
        on.input_open = false;
    }
    queue_free(&chunk);
}

static _Noreturn void run(void)
{
    for (;;) {
        while (queue_len_bytes(&on.out) > 0 && queue_write(&on.out, on.agent) > 0)
            continue;
        short out = queue_len_bytes(&on.out) > 0 ? POLLOUT : 0;
        bool reads = on.input_open && on.credit_bytes > 0;
        struct pollfd polled[] = {
            {.fd = on.agent, .events = (short)(POLLIN | out)},
            {.fd = on.signals, .events = POLLIN},
            {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN},
        };
        poll(polled, 3, -1);
        if (polled[0].revents)
            handle_frames();
        if (polled[1].revents)
            pass_signals();
        if (polled[2].revents)
            move_input();
    }
}

// A process in the background of a terminal would be stopped for reading from it.
static bool in_background(void)
{
    return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp();
}

int main(int argc, char **argv)
{
    char *shell[] = {(char[]){"bash"}, (char[]){"-l"}, NULL};
    int first = 1;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "-n") == 0)
        first = 2;
    if (first >= argc) {
        usage(stderr);
        return 125;
    }
    on.address.to = host_number(argv[first]);
    connect_agent();
    watch_signals();
    if (first + 1 == argc)
        take_terminal();
    send_order(first + 1 == argc ? shell : argv + first + 1);
    if (first == 2 || in_background()) {
        send_frame(FRAME_END, NULL, 0);
        on.input_open = false;
    }
    run();
}
