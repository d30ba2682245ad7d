/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hostile/cases.h"

#include "base/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_MS 120000 /* far more than any timeout of the library */
#define CASE_CPU_S 15
#define AT_ONCE_MOST 16
#define PATH_BYTES 200

struct running {
    pid_t pid; /* 0: free */
    unsigned number;
    uint64_t deadline_ns;
};

extern void __gcov_dump(void) __attribute__((weak));
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

void scene_fail(const struct scene *scene, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    fprintf(stderr, "'%s', seed %llu: %s\n", scene->name, (unsigned long long)scene->seed, text);
    _exit(1);
}

pid_t scene_fork(void)
{
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid;
    /* Nobody is left behind when a case is killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

static bool wait_for(pid_t pid, int ms, int *status)
{
    uint64_t deadline = pr_deadline_after_ms(ms);
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (pr_deadline_left_ms(deadline) == 0)
            return false;
        pr_sleep_ms(2);
    }
}

bool scene_has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

void scene_end_other(pid_t pid, int wait_ms)
{
    int status;
    if (wait_for(pid, wait_ms, &status))
        return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

unsigned scene_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* What a case leaves in its folder is a failure: a socket file that outlives its listener. */
static unsigned left_behind(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char path[PATH_BYTES + 300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        unlink(path);
        count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

static void play(struct scene *scene, const char *folder)
{
    /* Whatever a peer sends, it costs no more processor time than this. */
    struct rlimit cpu = {CASE_CPU_S, CASE_CPU_S};
    setrlimit(RLIMIT_CPU, &cpu);
    scene->folder = folder;
    signal(SIGSEGV, SIG_DFL); /* cmocka's own handler hides it */
    signal(SIGABRT, SIG_DFL);
    scene->play(scene);
    if (left_behind(folder))
        scene_fail(scene, "a file was left behind");
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        scene_fail(scene, "memory was left behind");
    if (__gcov_dump)
        __gcov_dump();
    _exit(0);
}

static void start(struct running *place, struct scene *scene, unsigned number, const char *folder)
{
    char own[PATH_BYTES];
    snprintf(own, sizeof(own), "%s/%u", folder, number);
    mkdir(own, 0700);
    pid_t pid = scene_fork();
    if (!pid)
        play(scene, own);
    *place = (struct running){pid, number, pr_deadline_after_ms(CASE_MS)};
}

/* 0 it runs, 1 it passed, -1 it failed. */
static int look(const struct running *place, const struct scene *scene)
{
    int status;
    if (!wait_for(place->pid, 0, &status)) {
        if (pr_deadline_left_ms(place->deadline_ns))
            return 0;
        fprintf(stderr, "'%s', seed %llu: hangs\n", scene->name, (unsigned long long)scene->seed);
        kill(place->pid, SIGKILL);
        waitpid(place->pid, &status, 0);
        return -1;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "'%s', seed %llu: killed by signal %d\n", scene->name,
                (unsigned long long)scene->seed, WTERMSIG(status));
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 1 : -1;
}

static void finish(struct running *place, const char *folder)
{
    char own[PATH_BYTES];
    snprintf(own, sizeof(own), "%s/%u", folder, place->number);
    left_behind(own);
    rmdir(own);
    place->pid = 0;
}

unsigned scenes_play(struct scene *scenes, unsigned count, unsigned at_once, const char *folder)
{
    struct running running[AT_ONCE_MOST] = {0};
    unsigned next = 0, busy = 0, failed = 0;
    at_once = at_once < AT_ONCE_MOST ? at_once : AT_ONCE_MOST;
    while (next < count || busy) {
        for (unsigned i = 0; i < at_once; i++) {
            struct running *place = &running[i];
            if (!place->pid && next < count) {
                start(place, &scenes[next], next, folder);
                next++;
                busy++;
            }
            int end = place->pid ? look(place, &scenes[place->number]) : 0;
            if (!end)
                continue;
            failed += end < 0;
            busy--;
            finish(place, folder);
        }
        pr_sleep_ms(2);
    }
    return failed;
}
