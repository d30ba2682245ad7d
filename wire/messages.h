/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every message that two pagerail processes exchange, and every limit, on one page.
 *
 * S is the source, D the destination. One control lane carries the session, data lanes carry the
 * one-sided writes and what must be ordered with them. All integers are little-endian. A message is
 * one fabric send: a header (8 bytes) and a body. Layouts stand in the .c files of wire/, encode
 * and decode side by side; docs/wire.md draws them and says when each is sent.
 *
 *   knock       S>D  private data of every connection request
 *   hello       S>D  control   what the source is and wants
 *   region      S>D  control   one per region, in order of index, right after hello
 *   welcome     D>S  control   what was agreed; carries the token that lanes must show
 *   accept      D>S  control   one per region, in order, right after welcome
 *   abort       both any       the session is over, with the reason in one sentence
 *   want        S>D  control   asks for keys of windows
 *   grant       D>S  control   one window is registered: its key
 *   drop        S>D  control   the source has no more use for a window's key
 *   zero        S>D  data      ranges that are to read as zero
 *   epoch_end   S>D  data      the last message of an epoch on its lane
 *   epoch_ack   D>S  control   all lanes' epoch_end were reaped, all zero ranges applied
 *   stream      both control   bytes of the device-state stream (S>D) or of the report (D>S)
 *   stream_end  both control   the stream's length: no more bytes follow
 *   stream_limit both control  the receiver's reader has room up to this offset
 *   credit      both any       empty: its header returns receive buffers
 *   ping, pong  both control   keep-alive and round-trip time
 *   ready       D>S  control   device state is loaded; the guest could run here
 *   release     S>D  control   the source will never run this guest again: run it
 *   running     D>S  control   the guest runs
 *   bye         both control   the sender is done; the connection may close
 */
#ifndef PR_WIRE_MESSAGES_H
#define PR_WIRE_MESSAGES_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* A peer offers the range [PR_WIRE_VERSION_MIN, PR_WIRE_VERSION]; the highest common one is spoken.
 * Each version must go on speaking the one before it. Version 1 is the first. */
#define PR_WIRE_VERSION 1
#define PR_WIRE_VERSION_MIN 1

#define PR_WIRE_MAGIC UINT64_C(0x4c49415245474150) /* "PAGERAIL" in memory order */

#define PR_WIRE_KNOCK_BYTES 30 /* encoded; rdma_cm carries 56 */
#define PR_WIRE_HEADER_BYTES 8
#define PR_WIRE_MAX_MESSAGE 16384 /* header included */
#define PR_WIRE_MIN_MESSAGE 1024  /* every fabric carries at least this much in one send */
#define PR_WIRE_MAX_REGIONS 4096
#define PR_WIRE_MAX_NAME 255
#define PR_WIRE_MAX_REGION_BYTES (UINT64_C(1) << 48)
#define PR_WIRE_MAX_LANES 256
#define PR_WIRE_MAX_RAILS 16
#define PR_WIRE_MAX_RAIL_NAME 55
#define PR_WIRE_MIN_WINDOW_BYTES (UINT64_C(64) << 10)
#define PR_WIRE_MAX_WINDOW_BYTES (UINT64_C(1) << 40)
#define PR_WIRE_MIN_RECV_DEPTH 4
#define PR_WIRE_MIN_SILENCE_MS 300
#define PR_WIRE_MAX_REASON 400
#define PR_WIRE_MAX_ZERO_RANGES 128
#define PR_WIRE_MAX_WANTED 256
#define PR_WIRE_TOKEN_BYTES 16
#define PR_WIRE_MAX_STREAM_BYTES (PR_WIRE_MAX_MESSAGE - PR_WIRE_HEADER_BYTES - 12)

enum pr_wire_type {
    PR_WIRE_HELLO = 1,
    PR_WIRE_REGION = 2,
    PR_WIRE_WELCOME = 3,
    PR_WIRE_ACCEPT = 4,
    PR_WIRE_ABORT = 5,
    PR_WIRE_WANT = 6,
    PR_WIRE_GRANT = 7,
    PR_WIRE_DROP = 8,
    PR_WIRE_ZERO = 9,
    PR_WIRE_EPOCH_END = 10,
    PR_WIRE_EPOCH_ACK = 11,
    PR_WIRE_STREAM = 12,
    PR_WIRE_STREAM_END = 13,
    PR_WIRE_STREAM_LIMIT = 14,
    PR_WIRE_CREDIT = 15,
    PR_WIRE_PING = 16,
    PR_WIRE_PONG = 17,
    PR_WIRE_READY = 18,
    PR_WIRE_RELEASE = 19,
    PR_WIRE_RUNNING = 20,
    PR_WIRE_BYE = 21,
    PR_WIRE_TYPES /* one past the last */
};

/* Before every body. */
struct pr_wire_header {
    uint8_t type;      /* enum pr_wire_type */
    uint8_t flags;     /* 0; a version that gives one a meaning says so in `features` */
    uint16_t credits;  /* receive buffers of this lane that the sender has given back since */
    uint32_t body_len; /* bytes that follow; must match the fabric's length */
};

/* First in every connection request. Its layout is the same in all versions for ever, so that two
 * strangers can always name what keeps them apart. */
struct pr_wire_knock {
    uint64_t magic;
    uint16_t version_min, version_max;
    uint16_t lane;                      /* 0 = control lane, n = data lane n - 1 */
    uint8_t token[PR_WIRE_TOKEN_BYTES]; /* data lanes: from welcome; control lane: zeroes */
};

/* What a side can do beyond the base protocol; the session uses the intersection. None so far. */
#define PR_WIRE_FEATURES UINT64_C(0)

/* One path of a host: a NIC port, or "local". */
struct pr_wire_rail {
    char name[PR_WIRE_MAX_RAIL_NAME + 1];
    uint16_t lanes; /* wanted (hello) or agreed (welcome) on this rail */
};

struct pr_wire_hello {
    uint16_t version_min, version_max;
    uint64_t features;
    uint32_t regions;       /* how many region messages follow, 1 to PR_WIRE_MAX_REGIONS */
    uint64_t total_bytes;   /* of all regions */
    uint64_t window_bytes;  /* wanted registration window, a power of two */
    uint32_t message_bytes; /* largest message the sender of this can receive */
    uint32_t recv_depth;    /* its receive buffers per lane */
    uint32_t silence_ms;    /* it takes the peer for dead after so long without a message */
    uint16_t rails;
    struct pr_wire_rail rail[PR_WIRE_MAX_RAILS];
};

struct pr_wire_region {
    uint32_t index;
    uint64_t len;        /* bytes, a multiple of page_bytes, not 0 */
    uint64_t page_bytes; /* 4 KiB, 2 MiB or 1 GiB: the unit of dirty tracking */
    uint32_t flags;      /* 0 */
    char name[PR_WIRE_MAX_NAME + 1];
};

struct pr_wire_welcome {
    uint16_t version;
    uint64_t features;
    uint64_t window_bytes; /* agreed: at most what hello wanted, a power of two */
    uint64_t pin_bytes;    /* the most the destination keeps registered at once; 0 = no limit */
    uint32_t message_bytes;
    uint32_t recv_depth;
    uint32_t silence_ms;
    uint8_t token[PR_WIRE_TOKEN_BYTES];
    uint16_t rails;
    struct pr_wire_rail rail[PR_WIRE_MAX_RAILS];
};

#define PR_WIRE_ACCEPT_FRESH UINT32_C(1) /* this region reads as zero everywhere now */

struct pr_wire_accept {
    uint32_t index;
    uint32_t flags;
};

struct pr_wire_abort {
    int32_t code; /* a positive errno of Linux x86-64, 0 = unknown */
    char reason[PR_WIRE_MAX_REASON + 1];
};

/* Window w of a region covers its bytes [w * window_bytes, min((w + 1) * window_bytes, len)). */
struct pr_wire_window {
    uint32_t region;
    uint32_t window;
};

struct pr_wire_want {
    uint32_t count; /* 1 to PR_WIRE_MAX_WANTED */
    struct pr_wire_window window[PR_WIRE_MAX_WANTED];
};

struct pr_wire_grant {
    struct pr_wire_window window;
    uint64_t addr; /* struct pr_key of rdma/fabric.h */
    uint64_t len;
    uint64_t rkey;
};

struct pr_wire_drop {
    struct pr_wire_window window;
};

struct pr_wire_range {
    uint32_t region;
    uint64_t offset; /* bytes, a multiple of 4096 */
    uint64_t len;    /* bytes, a multiple of 4096, not 0 */
};

struct pr_wire_zero {
    uint64_t epoch;
    uint32_t count; /* 1 to PR_WIRE_MAX_ZERO_RANGES */
    struct pr_wire_range range[PR_WIRE_MAX_ZERO_RANGES];
};

struct pr_wire_epoch_end {
    uint64_t epoch;
    uint64_t writes; /* one-sided writes of this lane in this epoch */
    uint64_t bytes;
};

struct pr_wire_epoch_ack {
    uint64_t epoch;
};

/* The bytes are a view into the decoded buffer. */
struct pr_wire_stream {
    uint64_t offset; /* of the first byte in the whole stream */
    uint32_t len;    /* 1 to PR_WIRE_MAX_STREAM_BYTES */
    const void *bytes;
};

struct pr_wire_stream_end {
    uint64_t len;
};

struct pr_wire_stream_limit {
    uint64_t limit; /* never falls */
};

struct pr_wire_ping { /* pong has the same layout and echoes it */
    uint64_t sent_ns; /* sender's clock */
};

struct pr_wire_running {
    uint64_t load_ns;   /* from the fence to ready, at the destination */
    uint64_t resume_ns; /* from release to the guest running, at the destination */
};

static_assert(PR_WIRE_MAX_STREAM_BYTES + 12 + PR_WIRE_HEADER_BYTES <= PR_WIRE_MAX_MESSAGE,
              "a stream message fits");
static_assert(PR_WIRE_MAX_ZERO_RANGES * 20 + 12 + PR_WIRE_HEADER_BYTES <= PR_WIRE_MAX_MESSAGE,
              "a zero message fits");
static_assert(PR_WIRE_MAX_WANTED * 8 + 4 + PR_WIRE_HEADER_BYTES <= PR_WIRE_MAX_MESSAGE,
              "a want message fits");
/* These are sent before the sender knows how much the peer can receive, or with no way to split. */
static_assert(PR_WIRE_MAX_RAILS * (PR_WIRE_MAX_RAIL_NAME + 4) + 46 + PR_WIRE_HEADER_BYTES <=
                  PR_WIRE_MIN_MESSAGE,
              "a hello fits every peer");
static_assert(PR_WIRE_MAX_RAILS * (PR_WIRE_MAX_RAIL_NAME + 4) + 56 + PR_WIRE_HEADER_BYTES <=
                  PR_WIRE_MIN_MESSAGE,
              "a welcome fits every peer");
static_assert(PR_WIRE_MAX_NAME + 26 + PR_WIRE_HEADER_BYTES <= PR_WIRE_MIN_MESSAGE,
              "a region fits every peer");
static_assert(PR_WIRE_MAX_REASON + 6 + PR_WIRE_HEADER_BYTES <= PR_WIRE_MIN_MESSAGE,
              "an abort fits every peer");

#endif
