/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hostile/raw.h"

#include "rdma/local/packet.h"
#include "rdma/local/table.h"
#include "wire/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 6000
#define FDS_MOST 250
#define GATE_BYTES 4096

/* ---- parts ---- */

static void send_bytes(int sock, const void *bytes, size_t len)
{
    (void)!send(sock, bytes, len, MSG_NOSIGNAL);
}

static void send_fds(int sock, const void *bytes, size_t len, const int *fds, unsigned count)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MOST)];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)bytes, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    (void)!sendmsg(sock, &msg, MSG_NOSIGNAL);
}

/* Until the other end has hung up. Reads nothing. */
static void wait_for_hangup(int sock)
{
    struct pollfd fd = {.fd = sock, .events = 0};
    poll(&fd, 1, PATIENCE_MS);
}

/* A secret in this process's memory and room for the answer, as rdma/local/link.c has it. */
static struct {
    uint8_t secret[PR_LOCAL_SECRET_BYTES], answer[PR_LOCAL_SECRET_BYTES];
} proof;

static struct pr_local_greeting greeting(enum pr_local_greeting_kind kind)
{
    struct pr_local_greeting g = {.kind = kind, .proof = (uintptr_t)&proof};
    (void)!getrandom(proof.secret, sizeof(proof.secret), 0);
    memcpy(g.secret, proof.secret, sizeof(proof.secret));
    return g;
}

/* A knock of a good source. */
static void put_knock(struct pr_local_greeting *g)
{
    struct pr_wire_knock knock = {
        .magic = PR_WIRE_MAGIC, .version_min = PR_WIRE_VERSION_MIN, .version_max = PR_WIRE_VERSION};
    g->private_len =
        (uint32_t)pr_wire_knock_encode(&knock, g->private_data, sizeof(g->private_data));
}

static void send_greeting(int sock, const struct pr_local_greeting *g)
{
    (void)!pr_local_greeting_send(sock, g);
}

static void send_greeting_with(int sock, struct pr_local_greeting *g, int first, int second)
{
    g->fds[0] = first;
    g->fds[1] = second;
    g->fd_count = second >= 0 ? 2 : first >= 0 ? 1 : 0;
    send_greeting(sock, g);
    while (g->fd_count)
        close(g->fds[--g->fd_count]);
}

static int good_table(void)
{
    return pr_local_memfd_make("table", PR_LOCAL_TABLE_BYTES);
}

static int good_page(void)
{
    return pr_local_memfd_make("page", GATE_BYTES);
}

/* ---- what either end may do ---- */

static void nothing(int sock)
{
    (void)sock;
}

static void silence(int sock)
{
    wait_for_hangup(sock);
}

static void noise(int sock)
{
    uint8_t bytes[300];
    (void)!getrandom(bytes, sizeof(bytes), 0);
    bytes[0] = 0;
    send_bytes(sock, bytes, sizeof(bytes));
    wait_for_hangup(sock);
}

static void one_byte(int sock)
{
    send_bytes(sock, "P", 1);
    wait_for_hangup(sock);
}

static void empty_packet(int sock)
{
    send_bytes(sock, "", 0);
    wait_for_hangup(sock);
}

static void too_long(int sock)
{
    static uint8_t bytes[60000];
    send_bytes(sock, bytes, sizeof(bytes));
    wait_for_hangup(sock);
}

static void http(int sock)
{
    static const char text[] = "GET / HTTP/1.0\r\n\r\n";
    send_bytes(sock, text, sizeof(text) - 1);
    wait_for_hangup(sock);
}

static void ssh(int sock)
{
    static const char text[] = "SSH-2.0-OpenSSH_9.2p1\r\n";
    send_bytes(sock, text, sizeof(text) - 1);
    wait_for_hangup(sock);
}

static void qemu_stream(int sock)
{
    static const uint8_t bytes[] = {'Q', 'E', 'V', 'M', 0, 0, 0, 3, 7};
    send_bytes(sock, bytes, sizeof(bytes));
    wait_for_hangup(sock);
}

static void send_head(int sock, uint32_t magic, uint16_t version, uint8_t kind)
{
    uint8_t bytes[7];
    memcpy(bytes, &magic, 4);
    memcpy(bytes + 4, &version, 2);
    bytes[6] = kind;
    send_bytes(sock, bytes, sizeof(bytes));
    wait_for_hangup(sock);
}

static void other_version(int sock)
{
    send_head(sock, PR_LOCAL_MAGIC, PR_LOCAL_VERSION + 1, PR_LOCAL_HELLO);
}

static void unknown_kind(int sock)
{
    send_head(sock, PR_LOCAL_MAGIC, PR_LOCAL_VERSION, 77);
}

static void half_a_greeting(int sock)
{
    send_head(sock, PR_LOCAL_MAGIC, PR_LOCAL_VERSION, PR_LOCAL_HELLO);
}

static void ready_at_once(int sock)
{
    send_head(sock, PR_LOCAL_MAGIC, PR_LOCAL_VERSION, PR_LOCAL_READY);
}

static void noise_with_fds(int sock)
{
    int fds[3] = {0, 1, 2};
    send_fds(sock, "noise", 5, fds, 3);
    wait_for_hangup(sock);
}

static void a_heap_of_fds(int sock)
{
    int fds[FDS_MOST];
    for (unsigned i = 0; i < FDS_MOST; i++)
        fds[i] = 2;
    send_fds(sock, "heap", 4, fds, FDS_MOST);
    wait_for_hangup(sock);
}

static void refusal_that_rings_the_bell(int sock)
{
    struct pr_local_greeting g = {.kind = PR_LOCAL_REFUSAL, .err = 1};
    strcpy(g.sentence, "\033[2Jgo away\a\n");
    send_greeting(sock, &g);
    wait_for_hangup(sock);
}

/* ---- clients ---- */

static void hello_without_fds(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    put_knock(&g);
    send_greeting(sock, &g);
    wait_for_hangup(sock);
}

static void hello_with_other_files(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    int ends[2];
    put_knock(&g);
    if (!pipe(ends))
        send_greeting_with(sock, &g, ends[0], ends[1]);
    wait_for_hangup(sock);
}

/* Of the right size, but it could shrink under its reader. */
static void hello_with_loose_memory(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    int table = memfd_create("table", MFD_CLOEXEC), page = memfd_create("page", MFD_CLOEXEC);
    put_knock(&g);
    if (!ftruncate(table, PR_LOCAL_TABLE_BYTES) && !ftruncate(page, GATE_BYTES))
        send_greeting_with(sock, &g, table, page);
    wait_for_hangup(sock);
}

static void hello_with_the_fds_exchanged(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    put_knock(&g);
    send_greeting_with(sock, &g, good_page(), good_table());
    wait_for_hangup(sock);
}

static void hello_without_a_knock(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    send_greeting_with(sock, &g, good_table(), good_page());
    wait_for_hangup(sock);
}

static void hello_and_silence(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    put_knock(&g);
    send_greeting_with(sock, &g, good_table(), good_page());
    wait_for_hangup(sock);
}

static void hello_and_hello(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO);
    put_knock(&g);
    send_greeting_with(sock, &g, good_table(), good_page());
    send_greeting_with(sock, &g, good_table(), good_page());
    wait_for_hangup(sock);
}

/* Ready, without having answered the listener's secret in its memory. */
static void hello_and_a_lie(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO), ready = {.kind = PR_LOCAL_READY};
    put_knock(&g);
    send_greeting_with(sock, &g, good_table(), good_page());
    send_greeting(sock, &ready);
    wait_for_hangup(sock);
}

static void hello_with_a_wild_address(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_HELLO), ready = {.kind = PR_LOCAL_READY};
    put_knock(&g);
    g.proof = UINT64_MAX - 8;
    send_greeting_with(sock, &g, good_table(), good_page());
    send_greeting(sock, &ready);
    wait_for_hangup(sock);
}

static void welcome_first(int sock)
{
    struct pr_local_greeting g = greeting(PR_LOCAL_WELCOME);
    send_greeting_with(sock, &g, good_table(), -1);
    wait_for_hangup(sock);
}

static const struct raw clients[] = {
    {"closes at once", nothing, 0},
    {"a crowd that closes at once", nothing, 1500},
    {"silence", silence, 0},
    {"a silent crowd", silence, 30},
    {"noise", noise, 0},
    {"one byte", one_byte, 0},
    {"empty packet", empty_packet, 0},
    {"too long", too_long, 0},
    {"HTTP", http, 0},
    {"SSH", ssh, 0},
    {"QEMU", qemu_stream, 0},
    {"other version", other_version, 0},
    {"unknown kind", unknown_kind, 0},
    {"half a greeting", half_a_greeting, 0},
    {"ready at once", ready_at_once, 0},
    {"noise with fds", noise_with_fds, 0},
    {"a heap of fds", a_heap_of_fds, 0},
    {"refusal that rings the bell", refusal_that_rings_the_bell, 0},
    {"hello without fds", hello_without_fds, 0},
    {"hello with other files", hello_with_other_files, 0},
    {"hello with loose memory", hello_with_loose_memory, 0},
    {"hello with the fds exchanged", hello_with_the_fds_exchanged, 0},
    {"hello without a knock", hello_without_a_knock, 0},
    {"hello and silence", hello_and_silence, 0},
    {"hello and hello", hello_and_hello, 0},
    {"hello and a lie", hello_and_a_lie, 0},
    {"hello with a wild address", hello_with_a_wild_address, 0},
    {"welcome first", welcome_first, 0},
};

/* ---- servers: they take the hello first, as it comes ---- */

static void take_hello(int sock, struct pr_local_greeting *hello)
{
    memset(hello, 0, sizeof(*hello));
    (void)!pr_local_greeting_receive(sock, UINT64_MAX, NULL, hello);
    pr_local_greeting_close_fds(hello);
}

static void welcome_without_fds(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    send_greeting(sock, &g);
    wait_for_hangup(sock);
}

static void welcome_with_other_files(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    send_greeting_with(sock, &g, open("/dev/null", O_RDWR | O_CLOEXEC), -1);
    wait_for_hangup(sock);
}

static void welcome_with_a_wild_address(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    g.proof = UINT64_MAX - 8;
    send_greeting_with(sock, &g, good_table(), -1);
    wait_for_hangup(sock);
}

static void welcome_with_a_wrong_secret(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    g.secret[3] ^= 1;
    send_greeting_with(sock, &g, good_table(), -1);
    wait_for_hangup(sock);
}

static void welcome_and_silence(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    send_greeting_with(sock, &g, good_table(), -1);
    wait_for_hangup(sock);
}

static void welcome_and_noise(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_WELCOME);
    take_hello(sock, &hello);
    send_greeting_with(sock, &g, good_table(), -1);
    noise(sock);
}

static void hello_back(int sock)
{
    struct pr_local_greeting hello, g = greeting(PR_LOCAL_HELLO);
    take_hello(sock, &hello);
    send_greeting_with(sock, &g, good_table(), good_page());
    wait_for_hangup(sock);
}

static void refusal_without_words(int sock)
{
    struct pr_local_greeting hello, g = {.kind = PR_LOCAL_REFUSAL};
    take_hello(sock, &hello);
    send_greeting(sock, &g);
    wait_for_hangup(sock);
}

static const struct raw servers[] = {
    {"closes at once", nothing, 0},
    {"silence", silence, 0},
    {"noise", noise, 0},
    {"empty packet", empty_packet, 0},
    {"too long", too_long, 0},
    {"HTTP", http, 0},
    {"SSH", ssh, 0},
    {"other version", other_version, 0},
    {"unknown kind", unknown_kind, 0},
    {"half a greeting", half_a_greeting, 0},
    {"ready at once", ready_at_once, 0},
    {"noise with fds", noise_with_fds, 0},
    {"a heap of fds", a_heap_of_fds, 0},
    {"refusal that rings the bell", refusal_that_rings_the_bell, 0},
    {"refusal without words", refusal_without_words, 0},
    {"hello back", hello_back, 0},
    {"welcome without fds", welcome_without_fds, 0},
    {"welcome with other files", welcome_with_other_files, 0},
    {"welcome with a wild address", welcome_with_a_wild_address, 0},
    {"welcome with a wrong secret", welcome_with_a_wrong_secret, 0},
    {"welcome and silence", welcome_and_silence, 0},
    {"welcome and noise", welcome_and_noise, 0},
};

const struct raw *raw_client(unsigned i)
{
    return i < sizeof(clients) / sizeof(clients[0]) ? &clients[i] : NULL;
}

const struct raw *raw_server(unsigned i)
{
    return i < sizeof(servers) / sizeof(servers[0]) ? &servers[i] : NULL;
}

/* ---- the socket ---- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
    return addr;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = address_of(path);
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(sock, (struct sockaddr *)&addr, sizeof(addr))) {
        close(sock);
        return -1;
    }
    return sock;
}

/* All of a crowd are there before the first of them does anything. */
static int play_crowd(const struct raw *raw, const char *path)
{
    int socks[64];
    int err = 0;
    for (int left = raw->crowd; left > 0 && !err;) {
        int count = 0;
        for (; count < 64 && left > 0; count++, left--) {
            socks[count] = connect_to(path);
            if (socks[count] < 0) {
                err = -1;
                break;
            }
        }
        for (int i = 0; i < count; i++) {
            raw->play(socks[i]);
            close(socks[i]);
        }
    }
    return err;
}

int raw_play_client(const struct raw *raw, const char *path)
{
    if (raw->crowd)
        return play_crowd(raw, path);
    int sock = connect_to(path);
    if (sock < 0)
        return -1;
    raw->play(sock);
    close(sock);
    return 0;
}

int raw_play_server(const struct raw *raw, const char *path, int ready_fd)
{
    struct sockaddr_un addr = address_of(path);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 8)) {
        close(listener);
        return -1;
    }
    if (ready_fd >= 0)
        (void)!write(ready_fd, "", 1);
    int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (sock >= 0) {
        raw->play(sock);
        close(sock);
    }
    close(listener);
    unlink(path);
    return 0;
}
