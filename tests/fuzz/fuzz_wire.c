/* SPDX-License-Identifier: BSD-2-Clause */
/* One libFuzzer target for each message: meson sets FUZZ_MESSAGE to its name. */
#include "tests/fuzz/property.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FUZZ_MESSAGE
#define FUZZ_MESSAGE "message" /* any, with its header */
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sample *s = sample_named(FUZZ_MESSAGE);
    const char *broken = s ? property_broken(s, data, size) : property_broken_message(data, size);
    if (broken) {
        fprintf(stderr, "%s: %s\n", FUZZ_MESSAGE, broken);
        abort();
    }
    return 0;
}
