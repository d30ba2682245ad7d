/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run in a child process. Killed threads can never be unwound, so the child ends by _exit with
 * everything they hold; the verdict lies in memory that the parent shares, where it survives a
 * crash and tells how far a hanging child got.
 */
#include "tests/sim/world_state.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WALL_LIMIT_S 60u

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    unsigned count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Handing the baton to a thread of the same processor takes no wake-up of another one. */
static void stay_on_this_processor(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int cpu = sched_getcpu();
    if (cpu >= 0) {
        CPU_SET((unsigned)cpu, &set);
        sched_setaffinity(0, sizeof(set), &set);
    }
}

/* A coverage build writes its counters at exit, which the child never reaches. */
extern void __gcov_dump(void) __attribute__((weak));

/* The threads of a killed side are neither a leak nor worth waiting for. */
extern const char *__tsan_default_options(void) __attribute__((visibility("default")));
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0:atexit_sleep_ms=0:report_signal_unsafe=0";
}

/* Present in a build with the address sanitizer, whose own check at exit _exit goes past. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void fail_left(struct world_shared *shared, const struct world_scenario *scenario,
                      const char *what, int count)
{
    shared->verdict.ok = false;
    snprintf(shared->verdict.text, sizeof(shared->verdict.text),
             "the scenario left %s behind (%d)\nseed %llu\n", what, count,
             (unsigned long long)scenario->seed);
}

/* A process that was killed closes and frees nothing, so only after a run without one. */
static void check_leaks(struct world_shared *shared, const struct world_scenario *scenario,
                        int descriptors)
{
    if (!shared->verdict.ok || shared->someone_died)
        return;
    if (descriptors)
        fail_left(shared, scenario, "open descriptors", descriptors);
    else if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        fail_left(shared, scenario, "memory that the leak sanitizer lists above", 1);
}

/* cmocka's handlers, which a test program has set, would call this an exit. The stack is taken in
 * the signal handler: not safe by the book, but the process is lost anyway. */
static struct world_shared *crash_shared;

static void on_crash(int signal)
{
    void *frames[FRAMES_MAX];
    pr_world_stack_print(frames, backtrace(frames, FRAMES_MAX), crash_shared->crash,
                         sizeof(crash_shared->crash));
    raise(signal);
}

static void catch_crashes(struct world_shared *shared)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    crash_shared = shared;
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

static void child(const struct world_scenario *scenario, struct world_shared *shared)
{
    stay_on_this_processor();
    catch_crashes(shared);
    unsigned before = open_descriptors();
    pr_world_run_shared(scenario, shared);
    unsigned after = open_descriptors();
    check_leaks(shared, scenario, (int)(after - before));
    if (__gcov_dump)
        __gcov_dump();
    _exit(0);
}

/* Waits until the child closed its end of the pipe by ending; false at the limit. */
static bool ended_in_time(int pipe_end, unsigned limit_s)
{
    struct pollfd fd = {.fd = pipe_end, .events = POLLIN};
    int ready;
    do
        ready = poll(&fd, 1, (int)(limit_s * 1000u));
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static void explain(struct world_shared *shared, const struct world_scenario *scenario,
                    bool in_time, unsigned limit_s, int status)
{
    struct world_verdict *verdict = &shared->verdict;
    if (shared->over && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    char how[96];
    if (!in_time)
        snprintf(how, sizeof(how), "the scenario hung for %u s of wall clock", limit_s);
    else if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "the scenario died by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof(how), "the scenario exited with %d", WEXITSTATUS(status));
    verdict->ok = false;
    snprintf(verdict->text, sizeof(verdict->text), "%s in %s after '%s'\n%sseed %llu\n", how,
             shared->running, shared->point ? shared->point : "nothing", shared->crash,
             (unsigned long long)scenario->seed);
}

bool world_run_forked(const struct world_scenario *scenario, struct world_verdict *out)
{
    struct world_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    if (shared == MAP_FAILED || pipe(ends) < 0)
        abort();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        close(ends[0]);
        child(scenario, shared);
    }
    close(ends[1]);
    unsigned limit_s = scenario->wall_limit_s ? scenario->wall_limit_s : WALL_LIMIT_S;
    bool in_time = ended_in_time(ends[0], limit_s);
    if (!in_time)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    explain(shared, scenario, in_time, limit_s, status);
    *out = shared->verdict;
    munmap(shared, sizeof(*shared));
    return out->ok;
}
