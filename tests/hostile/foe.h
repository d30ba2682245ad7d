/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A foe: the other end of a session, under the test's control. On bare lanes of any fabric it
 * speaks the protocol as docs/wire.md has it, message by message, keeps to its credits, and counts
 * its *moments*: each message that it is about to send or has just heard, each lane that it is
 * about to connect. At one of them it does its deed (deeds.h), and goes on as if nothing had
 * happened, or falls silent, or leaves. So a deed can be done to the library at every moment of a
 * session.
 *
 * It judges too: a message from the library that does not decode, or for which the foe has no
 * receive buffer, is a complaint.
 *
 * THREADS. One. It waits by pr_poll, so it runs in the simulator and in a process of its own.
 */
#ifndef PR_TESTS_HOSTILE_FOE_H
#define PR_TESTS_HOSTILE_FOE_H

#include "rdma/fabric.h"
#include "tests/fuzz/samples.h"

#include <stdbool.h>

#define FOE_DATA_LANES 2
#define FOE_REGIONS 2
#define FOE_WINDOWS 16 /* of a region that it looks at; a region may have more */
#define FOE_WINDOW_BYTES (UINT64_C(64) << 10)

enum foe_role { FOE_SOURCE, FOE_DESTINATION };

enum foe_phase {
    FOE_KNOCKING, /* nothing is connected */
    FOE_GREETING, /* control lane: hello, region, welcome, accept */
    FOE_JOINING,  /* data lanes */
    FOE_MOVING,   /* windows and epochs */
    FOE_LOADING,  /* the fence is in the stream */
    FOE_READY,    /* ready was said */
    FOE_RELEASED, /* release was said */
    FOE_PHASES
};

struct foe_lane {
    struct pr_lane *lane; /* NULL: not connected, or closed */
    uint32_t credits;     /* the peer's free buffers */
    uint32_t depth;       /* the peer's buffers, as far as known */
    uint32_t owed;        /* ours that are free again and not announced */
    uint32_t lent;        /* ours that the peer may fill */
    uint64_t heard;       /* messages */
};

struct foe_window {
    bool wanted, granted;
    struct pr_wire_grant grant;
    struct pr_mr *mr; /* destination */
};

struct foe_region {
    char name[PR_WIRE_MAX_NAME + 1];
    uint64_t len, page_bytes;
    uint8_t *memory; /* destination */
    struct foe_window window[FOE_WINDOWS];
};

struct deed;

struct foe {
    /* Set by the caller. */
    enum foe_role role;
    struct pr_fabric *fabric;
    const char *address;
    struct random random;
    const struct deed *deed;          /* NULL: an honest peer */
    int patience_ms;                  /* it gives up on a library that leaves it waiting so long */
    unsigned strike_at;               /* the first moment, from 1, at which it may be done */
    void (*listens)(struct foe *foe); /* destination: now */
    void (*look)(struct foe *foe);    /* again and again; NULL */
    void (*complain)(struct foe *foe, const char *complaint); /* of the library */
    void *opaque;

    /* Source: the library's regions. Destination: the library's, as they were named. */
    struct foe_region region[FOE_REGIONS];
    unsigned regions;

    /* What it holds back once a deed says so. */
    uint32_t mute;                     /* bits of message types that it does not say any more */
    bool stingy;                       /* gives no receive buffer back */
    bool miserly;                      /* gives one back at a time, and only for a credit message */
    bool refuses;                      /* destination: refuses data lanes */
    uint16_t version_min, version_max; /* what it speaks; 0: as the library does */
    bool hushed;                       /* says and hears nothing more */
    bool left;                         /* closes everything */
    bool struck;                       /* the deed is done */
    bool deafened;                     /* closed its control lane */
    bool floods;                       /* amid a flood: the library must take no more memory now */

    /* The session. */
    enum foe_phase phase, struck_phase;
    unsigned moment, struck_moment;
    unsigned first[FOE_PHASES]; /* moment of each phase; 0: not reached */
    struct pr_listener *listener;
    struct foe_lane lane[1 + FOE_DATA_LANES]; /* 0: control */
    unsigned lanes;                           /* data lanes agreed */
    struct pr_wire_hello hello;
    struct pr_wire_welcome welcome;
    bool welcomed;
    unsigned named, accepted; /* regions */
    uint16_t knocking;
    uint64_t window_bytes;
    uint64_t epochs, acked; /* ended by the source, acknowledged by the destination */
    uint64_t lane_epochs[FOE_DATA_LANES];
    uint64_t peer_limit, stream_sent, stream_heard, fence_epoch;
    uint8_t fence[16];
    bool stream_ended, stream_closed; /* the peer's; ours */
    bool ready, released, running, bye;
    bool release_said; /* by this foe, whether it might or not */
    char abort_reason[PR_WIRE_MAX_REASON + 1];
    struct pr_wire_ping last_ping;
    bool ping_due;
    uint8_t last[PR_WIRE_MAX_MESSAGE]; /* the last message said, and where */
    uint32_t last_len;
    unsigned last_lane;
    uint8_t *page; /* source: what it writes from */
    struct pr_mr *mr;
    uint64_t deadline_ns;
};

/* Plays the whole session, or until it breaks. 0: it went to its end. The sentence says why not. */
int foe_play(struct foe *foe);

const char *foe_phase_name(enum foe_phase phase);

/* ---- for the two roles and the deeds ---- */

/* One moment: does the deed if it is time. */
int foe_moment(struct foe *foe);

/* Says a message as an honest peer would: twisted by the deed, when there is a credit for it. */
int foe_say(struct foe *foe, unsigned lane, unsigned type, union any_message *message);
int foe_say_empty(struct foe *foe, unsigned lane, unsigned type);

/* Puts bytes on the lane whatever the credits; the foe's own books do not know of it. Takes in what
 * comes while the lane is full. */
int foe_shout(struct foe *foe, unsigned lane, const void *bytes, uint32_t len);
/* The same, and takes nothing in: -EAGAIN once the lane is full. */
int foe_shout_deaf(struct foe *foe, unsigned lane, const void *bytes, uint32_t len);
int foe_shout_message(struct foe *foe, unsigned lane, unsigned type,
                      const union any_message *message);

/* Takes in what came and gives credits back. 1 something came. */
int foe_pump(struct foe *foe);

/* Takes in until the condition holds: 0, -ETIMEDOUT, or why the session broke. */
int foe_until(struct foe *foe, bool (*condition)(const struct foe *foe));

/* Takes in for that long. */
int foe_idle(struct foe *foe, int ms);

/* Closes one lane. */
void foe_drop_lane(struct foe *foe, unsigned lane);

/* Connects lane `number` with this token: source. */
int foe_knock(struct foe *foe, uint16_t number, const uint8_t *token, struct pr_lane **out);
void foe_adopt(struct foe *foe, unsigned number, struct pr_lane *lane);

/* Writes a page into a granted window by a data lane, as source. */
int foe_write(struct foe *foe, unsigned lane, const struct pr_key *key, uint64_t remote);

/* How many windows of a region are looked at. */
unsigned foe_windows(const struct foe *foe, unsigned region);

/* The roles. */
int foe_play_source(struct foe *foe);
int foe_play_destination(struct foe *foe);
int foe_hear_source(struct foe *foe, unsigned lane, unsigned type, const union any_message *m);
int foe_hear_destination(struct foe *foe, unsigned lane, unsigned type, const union any_message *m);

#endif
