/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handshake: who are you, do we speak a common version, is it the same guest, what do we agree
 * on. Runs on the caller's thread, before the session's threads start. What each side must check of
 * the other is here, so this is the page to read with a hostile peer in mind.
 *
 *   source                         destination
 *   knock(lane 0)  ------------->  admit: magic, version, lane
 *   hello, region...  ---------->  same names, lengths, page sizes?   no: abort(reason)
 *                  <-------------  welcome(token), accept...
 *   knock(lane n, token)  ------>  admit: token, lane not there yet    [lanes times]
 */
#ifndef PR_TRANSPORT_HANDSHAKE_H
#define PR_TRANSPORT_HANDSHAKE_H

#include "transport/session.h"

/* What one side has to say, from its options, fabric and regions. */
void pr_handshake_hello(const struct pr_session *session, struct pr_wire_hello *out);
int pr_handshake_knock(uint16_t lane, const uint8_t *token, void *to, size_t size);

/*
 * Source: connects the control lane, exchanges hello and welcome, connects the data lanes.
 * lanes: room for PR_WIRE_MAX_LANES; fresh: [regions], set where the destination's region reads as
 * zero. On success session->lanes and window_bytes are agreed and lanes[] filled.
 */
int pr_handshake_source(struct pr_session *session, const char *address, struct pr_lane **lanes,
                        bool *fresh, struct pr_wire_welcome *welcome);

/*
 * Destination: accepts a control lane, answers hello, accepts the data lanes.
 * local_of: [regions], set to our index of each of the source's regions. first_contact_ms: how long
 * to wait for somebody to come, -1 = for ever; then -EAGAIN.
 */
int pr_handshake_destination(struct pr_session *session, struct pr_listener *listener,
                             int first_contact_ms, struct pr_lane **lanes, uint32_t *local_of,
                             struct pr_wire_hello *hello);

#endif
