/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/property.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *refusal_broken(int err)
{
    if (err != -EPROTO)
        return "a decoder returned something else than 0 or -EPROTO";
    return pr_error_message()[0] ? NULL : "a decoder refused without a sentence";
}

static const char *taken_broken(const struct sample *s, const union any_message *got,
                                const uint8_t *bytes, size_t len)
{
    uint8_t encoded[PR_WIRE_MAX_MESSAGE];
    union any_message again;
    size_t header = sample_header_bytes(s);
    size_t expected = s->type ? len : PR_WIRE_KNOCK_BYTES;
    int total = s->encode(got, encoded, sizeof(encoded));
    if (total < 0)
        return "what was decoded is refused by the encoder";
    if ((size_t)total != header + expected ||
        (expected && memcmp(encoded + header, bytes, expected) != 0))
        return "what was decoded encodes to other bytes";
    if (s->decode(&again, encoded + header, expected))
        return "what was encoded again is refused by the decoder";
    return NULL;
}

const char *property_broken(const struct sample *s, const uint8_t *bytes, size_t len)
{
    /* Exactly the message's own struct, so that ASan sees a write past it. */
    size_t size = s->struct_bytes ? s->struct_bytes : 1;
    union any_message *got = malloc(size);
    if (!got)
        return "there is no memory to decode into";
    memset(got, 0xa5, size); /* what the decoder does not set shows in the encoded bytes */
    pr_error(EIO, "%s", "");
    int err = s->decode(got, bytes, len);
    const char *broken = err ? refusal_broken(err) : taken_broken(s, got, bytes, len);
    free(got);
    return broken;
}

const char *property_broken_message(const uint8_t *bytes, size_t len)
{
    struct pr_wire_header header;
    const void *body;
    pr_error(EIO, "%s", "");
    int err = pr_wire_header_decode(&header, &body, bytes, len);
    if (err)
        return refusal_broken(err);
    if (header.type == 0 || header.type >= PR_WIRE_TYPES)
        return "a header of no known type was taken";
    if ((const uint8_t *)body != bytes + PR_WIRE_HEADER_BYTES ||
        header.body_len != len - PR_WIRE_HEADER_BYTES)
        return "a header's body is not what follows it";
    return property_broken(&samples[header.type], body, header.body_len);
}
