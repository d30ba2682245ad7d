/* SPDX-License-Identifier: BSD-2-Clause */
#include "rdma/verbs/cm.h"

#include "base/error.h"
#include "base/log.h"
#include "base/runtime.h"
#include "base/text.h"
#include "rdma/verbs/greeting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define RETRIES 7     /* unless the device needs another number; the one who connects decides */
#define RNR_RETRIES 7 /* for ever; credits see to it that none happens */

/* Reasons of a rejection, as InfiniBand numbers them. */
#define REJECT_NOBODY_LISTENS 8
#define REJECT_STALE 10
#define REJECT_BY_PROGRAM 28

int pr_verbs_channel_open(struct rdma_event_channel **out)
{
    struct rdma_event_channel *channel = rdma_create_event_channel();
    if (!channel)
        return pr_error(errno,
                        "cannot open /dev/infiniband/rdma_cm: %s (load rdma_ucm; in a "
                        "container, pass /dev/infiniband in; or raise `ulimit -n`)",
                        strerror(errno));
    int flags = fcntl(channel->fd, F_GETFL);
    if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK)) {
        int err = pr_error(errno, "cannot set up an event channel: %s", strerror(errno));
        rdma_destroy_event_channel(channel);
        return err;
    }
    *out = channel;
    return 0;
}

static bool carries_data(enum rdma_cm_event_type type)
{
    return type == RDMA_CM_EVENT_CONNECT_REQUEST || type == RDMA_CM_EVENT_CONNECT_RESPONSE ||
           type == RDMA_CM_EVENT_ESTABLISHED || type == RDMA_CM_EVENT_REJECTED;
}

int pr_verbs_channel_next(struct rdma_event_channel *channel, struct pr_verbs_event *out)
{
    struct rdma_cm_event *event;
    if (rdma_get_cm_event(channel, &event))
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : pr_error(errno, "cannot read a connection event: %s", strerror(errno));
    *out = (struct pr_verbs_event){.type = event->event, .status = event->status, .id = event->id};
    if (carries_data(event->event) && event->param.conn.private_data) {
        out->len = event->param.conn.private_data_len; /* at most 255 */
        memcpy(out->data, event->param.conn.private_data, out->len);
    }
    rdma_ack_cm_event(event);
    return 1;
}

int pr_verbs_channel_wait(struct rdma_event_channel *channel, uint64_t deadline_ns,
                          const struct pr_event *cancel, int also, struct pr_verbs_event *out)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = cancel ? cancel->fd : -1, .events = POLLIN},
                                {.fd = channel->fd, .events = POLLIN},
                                {.fd = also, .events = POLLIN}};
        int ready = pr_poll(fds, 3, pr_deadline_left_ms(deadline_ns));
        if (ready < 0)
            return ready;
        if (fds[0].revents)
            return pr_error(ECANCELED, "canceled while waiting for the peer");
        if (fds[1].revents) {
            int count = pr_verbs_channel_next(channel, out);
            if (count)
                return count < 0 ? count : 0;
        }
        if (fds[2].revents)
            return 1;
        if (pr_deadline_left_ms(deadline_ns) == 0)
            return pr_error(ETIMEDOUT, "the peer did not answer in time");
    }
}

static int rejected(const struct pr_verbs_event *event, const char *address)
{
    const uint8_t *bytes;
    uint32_t len;
    if (!pr_verbs_greeting_decode(event->data, event->len, PR_VERBS_REFUSAL, &bytes, &len)) {
        char sentence[PR_VERBS_MAX_SENTENCE + 1];
        snprintf(sentence, sizeof(sentence), "%.*s", (int)len, (const char *)bytes);
        pr_text_clean(sentence);
        return pr_error(ECONNREFUSED, "%s refused: %s", address, sentence);
    }
    switch (event->status) {
    case REJECT_NOBODY_LISTENS:
    case -ECONNREFUSED: /* iWARP: an errno */
        return pr_error(ECONNREFUSED, "nobody listens at %s: start the destination first", address);
    case REJECT_BY_PROGRAM: /* also what the kernel says for a listener that closes */
        return pr_error(ECONNREFUSED,
                        "what listened at %s refused without a word: it has just ended, or it is "
                        "no pagerail (QEMU's own rdma:?)",
                        address);
    case REJECT_STALE:
        return pr_error(ECONNREFUSED, "%s still holds an older connection: try again", address);
    default:
        return pr_error(ECONNREFUSED, "%s rejected the connection (reason %d)", address,
                        event->status);
    }
}

static const char *reason(int status)
{
    return status < 0 ? strerror(-status) : "no reason given";
}

int pr_verbs_connect_error(const struct pr_verbs_event *event, const char *address)
{
    switch (event->type) {
    case RDMA_CM_EVENT_REJECTED:
        return rejected(event, address);
    case RDMA_CM_EVENT_ADDR_ERROR:
        return pr_error(event->status < 0 ? -event->status : EHOSTUNREACH,
                        "%s cannot be reached over an RDMA device: %s (check the address, and "
                        "that `pagerail devices` shows a port in its network)",
                        address, reason(event->status));
    case RDMA_CM_EVENT_ROUTE_ERROR:
        return pr_error(event->status < 0 ? -event->status : EHOSTUNREACH,
                        "no RDMA route leads to %s: %s (on InfiniBand, is a subnet manager "
                        "running?)",
                        address, reason(event->status));
    case RDMA_CM_EVENT_UNREACHABLE:
        return pr_error(ETIMEDOUT,
                        "%s does not answer connection requests: check that the host is up, and "
                        "that no firewall holds back RoCE (UDP port 4791)",
                        address);
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        return pr_error(ENODEV, "the RDMA device was removed while connecting to %s", address);
    case RDMA_CM_EVENT_DISCONNECTED:
        return pr_error(ECONNRESET, "%s ended the connection at once", address);
    default:
        return pr_error(ECONNRESET, "connecting to %s failed: %s, %s", address,
                        rdma_event_str(event->type), reason(event->status));
    }
}

int pr_verbs_lost_error(const struct pr_verbs_event *event)
{
    switch (event->type) {
    case RDMA_CM_EVENT_DISCONNECTED:
    case RDMA_CM_EVENT_TIMEWAIT_EXIT:
        return pr_error(ECONNRESET, "the peer has closed the connection or ended");
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        return pr_error(ENODEV, "the RDMA device was removed: the connection is lost");
    case RDMA_CM_EVENT_ADDR_CHANGE:
        return pr_error(ECONNRESET, "the network interface under the connection changed its "
                                    "address (a bond's failover?): migrate again");
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_REJECTED:
        return pr_error(ECONNRESET, "the peer left while it was connecting: %s",
                        rdma_event_str(event->type));
    default:
        return 0;
    }
}

struct rdma_conn_param pr_verbs_conn_param(const void *private_data, uint8_t len)
{
    return (struct rdma_conn_param){
        .private_data = private_data,
        .private_data_len = len,
        .responder_resources = RDMA_MAX_RESP_RES, /* what device and peer can do */
        .initiator_depth = RDMA_MAX_INIT_DEPTH,
        .retry_count = RETRIES,
        .rnr_retry_count = RNR_RETRIES,
    };
}

void pr_verbs_set_timeout(struct rdma_cm_id *id, uint8_t exponent)
{
    if (rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &exponent,
                        sizeof(exponent)))
        pr_log_debug("this kernel chooses the RDMA timeout itself: %s", strerror(errno));
}

int pr_verbs_set_traffic_class(struct rdma_cm_id *id, uint8_t traffic_class)
{
    if (!traffic_class || !rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &traffic_class,
                                           sizeof(traffic_class)))
        return 0;
    return pr_error(errno, "cannot set the traffic class %u: %s", traffic_class, strerror(errno));
}
