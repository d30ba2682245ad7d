/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

/* How many bytes the character takes that `first` begins, by UTF-8; 0 when it begins none. */
static size_t promised(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if ((first & 0xf0) == 0xe0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* Whether `len` bytes, the right number for the first, are one character that may be shown. The
 * second byte excludes over-long forms, surrogates and what lies beyond U+10FFFF. */
static bool is_clean_char(const uint8_t *at, size_t len)
{
    if (len == 1)
        return *at >= 0x20 && *at != 0x7f;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return false;
    }
    switch (at[0]) {
    case 0xc2:
    case 0xe0:
        return at[1] >= 0xa0;
    case 0xed:
        return at[1] < 0xa0;
    case 0xf0:
        return at[1] >= 0x90;
    case 0xf4:
        return at[1] < 0x90;
    default:
        return true;
    }
}

/* The length of the clean character at `at`, 0 when there is none. */
static size_t clean_char(const uint8_t *at, size_t left)
{
    size_t len = promised(*at);
    return len && len <= left && is_clean_char(at, len) ? len : 0;
}

bool pr_text_is_clean(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t step; len; at += step, len -= step) {
        step = clean_char(at, len);
        if (!step)
            return false;
    }
    return true;
}

/* Whether the bytes to the end begin a character and stop before it is complete. */
static bool is_cut_off(const uint8_t *at, size_t left)
{
    if (promised(*at) <= left)
        return false;
    for (size_t i = 1; i < left; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return false;
    }
    return true;
}

void pr_text_clean(char *text)
{
    uint8_t *at = (uint8_t *)text;
    for (size_t left = strlen(text), step; left; at += step, left -= step) {
        step = clean_char(at, left);
        if (step)
            continue;
        if (is_cut_off(at, left)) {
            *at = '\0';
            return;
        }
        *at = '?';
        step = 1;
    }
}
