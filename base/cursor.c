/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cursor.h"

#include "base/error.h"
#include "base/text.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct pr_reader pr_reader_over(const void *bytes, size_t len)
{
    /* Never NULL, not even over nothing: NULL means that too little is left. */
    static const uint8_t nothing;
    return (struct pr_reader){.at = bytes ? bytes : &nothing, .left = len};
}

const void *pr_read_view(struct pr_reader *r, size_t len)
{
    if (r->spent || r->left < len) {
        r->spent = true;
        return NULL;
    }
    const void *view = r->at;
    r->at += len;
    r->left -= len;
    return view;
}

void pr_read_bytes(struct pr_reader *r, void *to, size_t len)
{
    const void *view = pr_read_view(r, len);
    if (!len)
        return;
    if (view)
        memcpy(to, view, len);
    else
        memset(to, 0, len);
}

uint8_t pr_read_u8(struct pr_reader *r)
{
    uint8_t value;
    pr_read_bytes(r, &value, sizeof(value));
    return value;
}

uint16_t pr_read_u16(struct pr_reader *r)
{
    uint16_t value;
    pr_read_bytes(r, &value, sizeof(value));
    return le16toh(value);
}

uint32_t pr_read_u32(struct pr_reader *r)
{
    uint32_t value;
    pr_read_bytes(r, &value, sizeof(value));
    return le32toh(value);
}

uint64_t pr_read_u64(struct pr_reader *r)
{
    uint64_t value;
    pr_read_bytes(r, &value, sizeof(value));
    return le64toh(value);
}

void pr_read_string(struct pr_reader *r, char *to, size_t size)
{
    size_t len = pr_read_u16(r);
    const uint8_t *view = len < size ? pr_read_view(r, len) : NULL;
    if (!view || !pr_text_is_clean(view, len)) {
        r->spent = true;
        to[0] = '\0';
        return;
    }
    memcpy(to, view, len);
    to[len] = '\0';
}

int pr_reader_end(const struct pr_reader *r, const char *what)
{
    if (r->spent)
        return pr_error(EPROTO, "the peer's %s message is truncated or malformed", what);
    if (r->left)
        return pr_error(EPROTO, "the peer's %s message is %zu bytes too long", what, r->left);
    return 0;
}

struct pr_writer pr_writer_over(void *bytes, size_t size)
{
    return (struct pr_writer){.start = bytes, .at = bytes, .left = size};
}

void pr_write_bytes(struct pr_writer *w, const void *from, size_t len)
{
    if (w->spent || w->left < len) {
        w->spent = true;
        return;
    }
    if (!len)
        return;
    memcpy(w->at, from, len);
    w->at += len;
    w->left -= len;
}

void pr_write_u8(struct pr_writer *w, uint8_t value)
{
    pr_write_bytes(w, &value, sizeof(value));
}

void pr_write_u16(struct pr_writer *w, uint16_t value)
{
    value = htole16(value);
    pr_write_bytes(w, &value, sizeof(value));
}

void pr_write_u32(struct pr_writer *w, uint32_t value)
{
    value = htole32(value);
    pr_write_bytes(w, &value, sizeof(value));
}

void pr_write_u64(struct pr_writer *w, uint64_t value)
{
    value = htole64(value);
    pr_write_bytes(w, &value, sizeof(value));
}

void pr_write_string(struct pr_writer *w, const char *text)
{
    size_t len = strlen(text);
    if (len > UINT16_MAX) {
        w->spent = true;
        return;
    }
    pr_write_u16(w, (uint16_t)len);
    pr_write_bytes(w, text, len);
}

int pr_writer_end(const struct pr_writer *w, const char *what)
{
    if (w->spent)
        return pr_error(EMSGSIZE, "a %s message does not fit its limit", what);
    return (int)(w->at - w->start);
}
