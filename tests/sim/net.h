/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated network's insides. An operation's way:
 *
 *   lane.c   post: checked, waits in end.posted; flush: handed to the wire
 *   wire.c   read in pieces -> arrives (key checked; message into a buffer, bytes into a placement)
 *            -> completes at the source
 *            placements become visible later, in the order of the wire
 *   lane.c   poll: completions and receives; reaping a receive places what came before it
 *
 * All of it belongs to whoever holds the world's baton.
 */
#ifndef PR_SIM_NET_H
#define PR_SIM_NET_H

#include "tests/sim/fabric.h"

#include <sys/queue.h>

#define PIECES_MAX 4
#define ADDRESS_MAX 64
#define SENTENCE_MAX 256

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct end;
struct wire;

struct sim_mr {
    struct pr_mr mr; /* first: cast back */
    unsigned access;
    uint64_t pinned_bytes;
    uint32_t slot; /* in fabric.windows, and the low half of the rkey */
};

struct sim_fabric {
    struct pr_fabric fabric; /* first: cast back */
    struct network *network;
    struct sim_net net;
    int side;
    bool dead; /* its side was killed */
    struct sim_mr **windows;
    uint32_t window_room, window_count;
    uint64_t pinned_bytes;
    uint64_t path_free_ns; /* when the shared path can take the next byte */
    unsigned listener_count;
    LIST_HEAD(, end) ends;
    LIST_ENTRY(sim_fabric) link;
};

struct sim_listener {
    struct pr_listener listener; /* first: cast back */
    char address[ADDRESS_MAX];
    struct pr_event ready; /* raised while requests are queued */
    STAILQ_HEAD(, request) queue;
    LIST_ENTRY(sim_listener) link;
};

enum request_state { REQUEST_TRAVELS, REQUEST_QUEUED, REQUEST_TAKEN, REQUEST_ANSWERS };

/* A connection request. The connector and the network hold it; the last one frees it. */
struct request {
    struct world_event event; /* its arrival, then the arrival of the answer */
    struct network *network;
    struct sim_fabric *fabric; /* of the connector */
    struct sim_net net;        /* its description, for it may be closed meanwhile */
    int side;
    char address[ADDRESS_MAX];
    uint8_t *private_data;
    uint32_t private_len;
    enum request_state state;
    int taken_by; /* the side that has it */
    struct sim_listener *listener;
    bool abandoned; /* the connector waits no more */
    bool answered_now;
    int err;
    char sentence[SENTENCE_MAX];
    struct end *client; /* the connector's end once accepted */
    struct pr_event answered;
    unsigned holders;
    STAILQ_ENTRY(request) queue_link;
    LIST_ENTRY(request) link;
};

struct piece {
    uint64_t at_ns, from, len;
    bool read;
};

enum op_stage { OP_POSTED, OP_READING, OP_TRAVELS, OP_ARRIVED };

struct op {
    struct world_event event; /* its next stage */
    struct wire *wire;
    enum pr_op kind; /* PR_OP_RECV_IMM: a write with immediate */
    enum op_stage stage;
    uint64_t index; /* among the posts of its end */
    uint64_t tag;
    bool signaled;
    uint32_t imm;
    uint8_t *local;
    struct sim_mr *mr;
    uint64_t remote, rkey, len;
    uint8_t *data; /* read so far */
    struct piece pieces[PIECES_MAX];
    unsigned piece_count;
    uint64_t flushed_ns, arrive_ns, complete_ns;
    bool corrupt;
    TAILQ_ENTRY(op) link;
};
TAILQ_HEAD(op_list, op);

/* Bytes that have arrived and are not (all) visible. */
struct placement {
    uint64_t number;      /* on its wire */
    uint64_t at_ns;       /* the next piece becomes visible; PR_NEVER: when forced */
    uint64_t complete_ns; /* when the source hears of it */
    uint8_t *data, *to;
    uint64_t len, done;
    struct sim_mr *mr;
    STAILQ_ENTRY(placement) link;
};

/* One direction of a connection. */
struct wire {
    struct world_event place_event;
    struct network *network;
    struct end *from, *to; /* NULL once closed or killed */
    struct op_list ops;    /* flushed, not complete */
    STAILQ_HEAD(, placement) placements;
    uint64_t placement_count;
    uint64_t rate_Bps;
    uint64_t free_ns, last_arrive_ns, last_complete_ns, last_place_ns;
    bool lazy;
    bool lost; /* nothing more arrives */
};

struct cable {
    struct wire wires[2];
    struct sim_net net;
    unsigned ends; /* not unplugged */
    bool cut;      /* no end learns from here what befell the other */
};

struct done {
    enum pr_op kind;
    uint64_t tag, index;
    STAILQ_ENTRY(done) link;
};

struct receive {
    enum pr_op kind;
    uint32_t imm, len;
    unsigned slot;
    uint64_t after; /* placements up to this number become visible with it */
    STAILQ_ENTRY(receive) link;
};

enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_OUT };

/* One end of a connection: the lane. */
struct end {
    struct pr_lane lane; /* first: cast back */
    unsigned number;     /* for sentences */
    struct sim_fabric *fabric;
    struct cable *cable;
    struct wire *out, *in;
    const void *user; /* the thread inside a call */

    struct op_list posted;   /* not flushed */
    uint64_t posts, retired; /* posts - retired = places taken */
    STAILQ_HEAD(, done) dones;

    STAILQ_HEAD(, receive) receives;
    uint8_t *buffers;
    enum slot_state *slots;
    unsigned slots_taken;

    struct pr_event ready;
    bool armed;
    int err; /* negative: failed */
    char sentence[SENTENCE_MAX];
    struct world_event fail_event; /* the failure that is on its way */
    int fail_err;
    char fail_sentence[SENTENCE_MAX];
    LIST_ENTRY(end) link;
};

struct network {
    struct world_device device; /* first: cast back */
    struct world *world;
    LIST_HEAD(, sim_fabric) fabrics;
    LIST_HEAD(, sim_listener) listeners;
    LIST_HEAD(, request) requests;
    unsigned lane_numbers;
    uint64_t fault_at;
    enum sim_fault fault;
    struct sim_counts counts;
};

/* fabric.c */
struct network *sim_network(struct world *world);
struct sim_mr *sim_window_find(struct sim_fabric *fabric, uint64_t rkey, uint64_t addr,
                               uint64_t len, unsigned access);
uint64_t sim_draw_upto(struct network *network, uint64_t most);
void sim_fabric_close(struct pr_fabric *base);
int sim_reg(struct pr_fabric *base, void *addr, uint64_t len, unsigned access, struct pr_mr **out);
void sim_dereg(struct pr_mr *base);
bool sim_reg_pays(struct pr_fabric *base, const void *addr, uint64_t len);

/* connect.c */
int sim_listen(struct pr_fabric *fabric, const char *address, struct pr_listener **out);
int sim_accept(struct pr_listener *listener, int timeout_ms, const struct pr_event *cancel,
               pr_admit_fn admit, void *opaque, struct pr_lane **out);
void sim_listener_close(struct pr_listener *listener);
int sim_connect(struct pr_fabric *fabric, const char *address, const void *private_data,
                uint32_t len, int timeout_ms, const struct pr_event *cancel, struct pr_lane **out);
void sim_connect_killed(struct network *network, unsigned side);
void sim_connect_ended(struct network *network); /* forgets requests that nobody waits for */

/* lane.c */
extern const struct pr_fabric_ops sim_ops;
void sim_end_notify(struct end *end); /* something is there to poll */
void sim_end_complete(struct end *end, const struct op *op);
void sim_end_receive(struct end *end, const struct op *op);
bool sim_end_has_buffer(const struct end *end);

/* end.c: the life of a connection */
void sim_cable_make(struct sim_fabric *client, struct sim_fabric *server, struct end **client_end,
                    struct end **server_end);
/* Fails the end at that time, unless it fails before. */
void sim_end_fail_at(struct end *end, uint64_t at_ns, int err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void sim_end_fail(struct end *end, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Unplugs an end that closes or dies; its peer notices later. */
void sim_end_unplug(struct end *end);
void sim_end_free(struct end *end);
void sim_end_cut(struct end *end);

/* wire.c */
void sim_wire_start(struct wire *wire, struct op *op);
void sim_wire_place(struct wire *wire, uint64_t upto); /* makes visible, up to this number */
void sim_wire_place_window(struct wire *wire, const struct sim_mr *mr);
void sim_wire_place_event(struct world_event *event);
/* The destination takes nothing more: what has not arrived is lost. */
void sim_wire_sever(struct wire *wire);
/* The source is gone: what it has not read is lost, of the rest some, and no completions come. */
void sim_wire_orphan(struct wire *wire);
/* The acknowledgements on their way back are lost as well, some or all. */
void sim_wire_lose_acks(struct wire *wire);
void sim_wire_clear(struct wire *wire); /* frees all that is on it */
bool sim_wire_uses(const struct wire *wire, const struct sim_mr *mr);
void sim_op_free(struct op *op);

#endif
