/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands' --json output has in common, on top of json-c. */
#ifndef PR_CLI_JSON_H
#define PR_CLI_JSON_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>

/* A NULL text becomes null. */
void pr_json_add_text(struct json_object *object, const char *key, const char *text);
void pr_json_add_u64(struct json_object *object, const char *key, uint64_t value);

/* A NUMA node; null when it is negative, so unknown. */
void pr_json_add_node(struct json_object *object, const char *key, int node);

/* A limit in bytes; null when it is UINT64_MAX, so none. */
void pr_json_add_limit(struct json_object *object, const char *key, uint64_t bytes);

/* Prints the object with a newline and frees it. 0 or -ENOMEM. */
int pr_json_print(struct json_object *object, FILE *to);

#endif
