/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/json.h"

#include "base/error.h"

#include <errno.h>

void pr_json_add_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

void pr_json_add_u64(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

void pr_json_add_node(struct json_object *object, const char *key, int node)
{
    json_object_object_add(object, key, node < 0 ? NULL : json_object_new_int(node));
}

void pr_json_add_limit(struct json_object *object, const char *key, uint64_t bytes)
{
    json_object_object_add(object, key, bytes == UINT64_MAX ? NULL : json_object_new_uint64(bytes));
}

int pr_json_print(struct json_object *object, FILE *to)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text)
        fprintf(to, "%s\n", text);
    json_object_put(object);
    return text ? 0 : pr_error(ENOMEM, "no memory for the JSON output");
}
