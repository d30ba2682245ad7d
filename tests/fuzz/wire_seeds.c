/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire_seeds FOLDER SEED: makes a seed corpus with the encoders, FOLDER/<target>/<number>, and
 * prints a line "<target> <longest input worth trying>" for each fuzz target.
 */
#include "tests/fuzz/samples.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS 12
#define OVER 16 /* bytes past the limit: a decoder must refuse those, too */

static void die(const char *what)
{
    fprintf(stderr, "wire_seeds: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_folder(const char *folder, const char *target)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, target);
    if (mkdir(path, 0755))
        die(path);
}

static void write_seed(const char *folder, const char *target, unsigned number, const void *bytes,
                       size_t len)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s/%u", folder, target, number);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
        die(path);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: wire_seeds FOLDER SEED\n");
        return 2;
    }
    struct random r = {strtoull(argv[2], NULL, 0)};
    make_folder(argv[1], "message");
    printf("message %d\n", PR_WIRE_MAX_MESSAGE + OVER);
    for (unsigned i = 0; i < PR_WIRE_TYPES; i++) {
        const struct sample *s = &samples[i];
        size_t header = sample_header_bytes(s);
        make_folder(argv[1], s->name);
        printf("%s %zu\n", s->name, s->max_body + OVER);
        for (unsigned k = 0; k < SEEDS; k++) {
            union any_message message;
            uint8_t bytes[PR_WIRE_MAX_MESSAGE];
            sample_fill(s, &message, &r);
            int len = s->encode(&message, bytes, sizeof(bytes));
            if (len < 0) {
                fprintf(stderr, "wire_seeds: no %s can be encoded\n", s->name);
                return 1;
            }
            write_seed(argv[1], s->name, k, bytes + header, (size_t)len - header);
            if (header)
                write_seed(argv[1], "message", i * SEEDS + k, bytes, (size_t)len);
        }
    }
    return 0;
}
