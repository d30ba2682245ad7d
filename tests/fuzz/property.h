/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold of a decoder for any bytes at all. Used by the fuzz targets and by a unit test. */
#ifndef PR_TESTS_FUZZ_PROPERTY_H
#define PR_TESTS_FUZZ_PROPERTY_H

#include "tests/fuzz/samples.h"

/*
 * Decodes bytes as the body of s. Refused: with -EPROTO and a sentence. Taken: encodes again to the
 * same bytes (a knock without its padding), and those decode.
 * RETURN VALUE: NULL, or what does not hold, in words.
 */
const char *property_broken(const struct sample *s, const uint8_t *bytes, size_t len);

/* The same for a whole message: its header first, then the body that the header names. */
const char *property_broken_message(const uint8_t *bytes, size_t len);

#endif
