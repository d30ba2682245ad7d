/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/fault.h"

#ifdef PR_FAULTS

#include "base/error.h"
#include "base/log.h"
#include "base/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum action { ACTION_BREAK, ACTION_KILL, ACTION_STOP, ACTION_LINGER };

#define LINGER_MS 2

#define MAX_POINTS 16

struct point {
    char name[48];
    unsigned long at; /* 0 = every time */
    unsigned long passed;
    enum action action;
};

static struct {
    pthread_mutex_t lock;
    struct point points[MAX_POINTS];
    unsigned count;
} armed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int parse_action(const char *text, enum action *out)
{
    static const char *const names[] = {"break", "kill", "stop", "linger"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(text, names[i])) {
            *out = (enum action)i;
            return 0;
        }
    }
    return pr_error(EINVAL, "fault action '%s' is none of break, kill, stop, linger", text);
}

/* Digits only: strtoul would take "-1" and " 1" as well. */
static int parse_hit(const char *text, unsigned long *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long hit = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (!hit || *end || errno)
        return pr_error(EINVAL, "fault hit '%s' is not a number from 1", text);
    *out = hit;
    return 0;
}

static int parse_point(char *text, struct point *out)
{
    *out = (struct point){.action = ACTION_BREAK};
    char *action = strchr(text, '=');
    if (action) {
        *action++ = '\0';
        int err = parse_action(action, &out->action);
        if (err)
            return err;
    }
    char *at = strchr(text, '@');
    if (at) {
        *at++ = '\0';
        int err = parse_hit(at, &out->at);
        if (err)
            return err;
    }
    if (!*text || strlen(text) >= sizeof(out->name))
        return pr_error(EINVAL, "fault point '%s' has no usable name", text);
    strcpy(out->name, text);
    return 0;
}

static int arm_locked(const char *spec)
{
    armed.count = 0;
    if (!spec || !*spec)
        return 0;
    char *copy = strdup(spec);
    if (!copy)
        return pr_error(ENOMEM, "no memory to arm a fault");
    int err = 0;
    char *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part && !err; part = strtok_r(NULL, ",", &save)) {
        if (armed.count == MAX_POINTS)
            err = pr_error(EINVAL, "more than %d faults armed at once", MAX_POINTS);
        else if (!(err = parse_point(part, &armed.points[armed.count])))
            armed.count++;
    }
    free(copy);
    if (err)
        armed.count = 0;
    return err;
}

static void arm_from_environment(void)
{
    pthread_mutex_lock(&armed.lock);
    if (!armed.count && arm_locked(getenv("PAGERAIL_FAULT")))
        pr_log_error("PAGERAIL_FAULT: %s", pr_error_message());
    pthread_mutex_unlock(&armed.lock);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

int pr_fault_arm(const char *spec)
{
    pthread_once(&once, arm_from_environment);
    pthread_mutex_lock(&armed.lock);
    int err = arm_locked(spec);
    pthread_mutex_unlock(&armed.lock);
    return err;
}

/* Counts the pass for every point of that name; the first that fires now, or NULL. */
static const struct point *pass_locked(const char *name)
{
    const struct point *fires = NULL;
    for (unsigned i = 0; i < armed.count; i++) {
        struct point *point = &armed.points[i];
        if (strcmp(point->name, name))
            continue;
        point->passed++;
        if (!fires && (!point->at || point->passed == point->at))
            fires = point;
    }
    return fires;
}

bool pr_fault(const char *name)
{
    pthread_once(&once, arm_from_environment);
    pthread_mutex_lock(&armed.lock);
    const struct point *point = pass_locked(name);
    enum action action = point ? point->action : ACTION_BREAK;
    pthread_mutex_unlock(&armed.lock);
    if (!point)
        return false;
    switch (action) {
    case ACTION_BREAK:
        return true;
    case ACTION_KILL:
        raise(SIGKILL);
        break;
    case ACTION_STOP:
        raise(SIGSTOP);
        break;
    case ACTION_LINGER:
        pr_sleep_ms(LINGER_MS);
        break;
    }
    return false;
}

#endif
