/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a thread stands, for the report of a deadlock or livelock. */
#include "tests/sim/world_state.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void pr_world_stack_take(struct pr_thread *thread)
{
    thread->frame_count = backtrace(thread->frames, FRAMES_MAX);
}

/* The offset of a return address in this program, for addr2line; 0 when it is elsewhere. */
static unsigned long offset_of(void *frame)
{
    Dl_info here, there;
    if (!dladdr((void *)pr_world_stack_take, &here) || !dladdr(frame, &there) ||
        here.dli_fbase != there.dli_fbase)
        return 0;
    return (unsigned long)((char *)frame - (char *)here.dli_fbase) - 1;
}

/* The way from the library's call down to the baton says nothing about the session. */
static bool of_the_simulator(const char *line)
{
    static const char *const files[] = {
        " at stacks.c:",  " at schedule.c:", " at points.c:", " at report.c:",
        " at runtime.c:", " at world.c:",    "sanitizer",     "?? "};
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strstr(line, files[i]))
            return true;
    return false;
}

int pr_world_stack_print(void *const *frames, int count, char *out, int room)
{
    char command[1024];
    int len = snprintf(command, sizeof(command), "addr2line -s -f -p -e /proc/%d/exe", getpid());
    for (int i = 0; i < count && len < (int)sizeof(command) - 24; i++) {
        unsigned long offset = offset_of(frames[i]);
        if (offset)
            len += snprintf(command + len, sizeof(command) - (size_t)len, " 0x%lx", offset);
    }
    FILE *lines = popen(command, "r");
    if (!lines)
        return 0;
    int used = 0;
    char line[256];
    while (fgets(line, sizeof(line), lines))
        if (!of_the_simulator(line) && used + (int)strlen(line) + 8 < room)
            used += snprintf(out + used, (size_t)(room - used), "      %s", line);
    pclose(lines);
    return used;
}
