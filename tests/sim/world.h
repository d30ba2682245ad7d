/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world: whole sessions, many threads on several sides, run one thread at a time in an order
 * drawn from a seed and in simulated time. README.md tells how it works.
 *
 * A *side* stands for a process: a main thread and all that it spawns. Between two scheduling
 * points a thread runs alone, so world calls need no locks and the run is a function of the seed.
 * Only threads of the world may run while it does.
 *
 * SCHEDULING POINTS. Always: pr_poll, pr_sleep_ms, pr_thread_spawn, pr_thread_join and the blocking
 * calls of the simulated fabric. By chance (preempt_percent): pr_sim_step, pthread_mutex_lock and
 * unlock, pr_event_raise and clear, the fabric's other calls, and now and then pr_now_ns. Each one
 * passed counts one step, which moves time by some nanoseconds; otherwise time moves only when no
 * thread can run, straight to the next deadline or event.
 *
 * Link with sim_dep: the points inside pthread_mutex_* and pr_event_* come from the linker's
 * --wrap. A blocking call that goes past base/runtime.h stops the whole world until the wall-clock
 * limit reports it.
 */
#ifndef PR_SIM_WORLD_H
#define PR_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct world;

#define WORLD_SIDES_MAX 8
#define WORLD_VALUES 16

/* One process of the scenario. fn is its main thread. */
struct world_side {
    const char *name;
    void (*fn)(struct world *world, void *arg);
    void *arg;
};

/* Zero means the default everywhere but in seed. */
struct world_scenario {
    uint64_t seed;
    const struct world_side *sides; /* numbered from 0 in this order */
    unsigned side_count;
    /* Before the first thread runs: arm what shall happen later. May be NULL. */
    void (*begin)(struct world *world, void *arg);
    /* After the last thread ended: check what came out. May be NULL. Not called when the run
     * failed before. */
    void (*end)(struct world *world, void *arg);
    void *arg;                /* of begin and end */
    uint64_t max_steps;       /* then it is a livelock; 2 million */
    uint64_t max_sim_ms;      /* an hour */
    unsigned wall_limit_s;    /* of world_run_forked; 60 */
    unsigned preempt_percent; /* at points by chance; 10. 100 = always, 101 = never */
    unsigned stall_ppm;       /* picked threads that lose up to 2 ms instead; 200. 1000001 = none */
    bool trace;               /* print every step to stderr; so does SIM_TRACE=1 */
};

/* What came out of a run. */
struct world_verdict {
    bool ok;
    char text[8192];   /* why not: sentence, seed, threads, the last steps; "" when ok */
    uint64_t hash;     /* of the whole trace: equal hashes, equal runs */
    uint64_t steps;    /* scheduling points passed */
    uint64_t switches; /* of the baton from one thread to another */
    uint64_t sim_ns;   /* simulated time that went by */
    uint64_t values[WORLD_VALUES]; /* of world_report */
};

/*
 * Runs the scenario in this process. After a verdict that is not ok, or with a side killed, threads
 * stay behind for ever and the process should end soon: use world_run_forked.
 */
void world_run(const struct world_scenario *scenario, struct world_verdict *out);

/*
 * Runs the scenario in a forked child with a wall-clock limit. A child that crashes, or hangs in a
 * call that the world does not know, is a failed verdict that names the last thread and step. When
 * no side was killed, descriptors that the scenario left open are a failure too. Memory that the
 * sides write is the child's copy: results come back by world_report or shared mappings.
 * RETURN VALUE: verdict->ok.
 */
bool world_run_forked(const struct world_scenario *scenario, struct world_verdict *out);

/*
 * The seeds of a loop over runs: seed = world_seed_first(); seed < world_seed_end(usual). From 1,
 * `usual` many. In the environment, SIM_EFFORT=n takes n times as many and SIM_SEED=n only that
 * one, to replay what a verdict names; SIM_TRACE=1 prints every step of every run.
 */
uint64_t world_seed_first(void);
uint64_t world_seed_end(uint64_t usual);

/* ---- inside a run: from its threads, from begin and end, and from callbacks ---- */

/* Draws from the world's seed. below: at least 1. */
uint64_t world_random(struct world *world);
uint64_t world_random_below(struct world *world, uint64_t below);

/* Simulated nanoseconds; unlike pr_now_ns it does not move time. */
uint64_t world_now_ns(const struct world *world);
uint64_t world_steps(const struct world *world);

/* The side of the calling thread; in callbacks, begin and end: -1. */
int world_side_now(const struct world *world);

/* Ends the run as failed with this sentence. Does not return to a thread of the world; to begin,
 * end and callbacks it does. The first failure stands. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the run, naming the condition and the line, when the condition is false. */
#define world_check(world, condition)                                                              \
    do {                                                                                           \
        if (!(condition))                                                                          \
            world_fail(world, "%s:%d: %s does not hold", __FILE__, __LINE__, #condition);          \
    } while (0)

/* Puts a number into the verdict. */
void world_report(struct world *world, unsigned index, uint64_t value);

/* A point by chance for test code, e.g. a guest that writes memory in a loop. The name (a string
 * that lives for ever) shows in traces. */
void pr_sim_step(const char *name);

/* Sleeps in nanoseconds, where pr_sleep_ms is too coarse. No-op outside of the world's threads. */
void world_sleep_ns(struct world *world, uint64_t ns);

/* As kill -9: the side's threads never run again, and what hangs on it (fabric ends, listeners)
 * vanishes. A thread that kills its own side does not return. Killing twice is killing once. */
void world_kill(struct world *world, unsigned side);
bool world_killed(const struct world *world, unsigned side);

/* As SIGSTOP and SIGCONT: the side's threads do not run, its connections stay. */
void world_freeze(struct world *world, unsigned side);
void world_thaw(struct world *world, unsigned side);

/* All connections between sides break and no new ones can be made until world_mend. */
void world_cut(struct world *world);
void world_mend(struct world *world);
bool world_is_cut(const struct world *world);

/* Calls fn(world, arg) at the given step (from 1) or simulated time from the start of the run.
 * It must not block. */
typedef void (*world_fn)(struct world *world, void *arg);
void world_at_step(struct world *world, uint64_t step, world_fn fn, void *arg);
void world_at_ms(struct world *world, uint64_t ms, world_fn fn, void *arg);

/* world_kill at a step. */
void world_kill_at_step(struct world *world, unsigned side, uint64_t step);

/* ---- for what simulates devices inside the world ---- */

/* Something that happens at a simulated time. Embed it, zeroed; fn runs between two threads and
 * must not block. An event is set at most once at a time: setting it again moves it. */
struct world_event {
    void (*fn)(struct world_event *event);
    uint64_t at_ns;
    uint64_t order; /* events of one time fire in the order they were set */
    unsigned place; /* in the heap, from 1; 0 = not set */
};

void world_event_set(struct world *world, struct world_event *event, uint64_t at_ns);
void world_event_cancel(struct world *world, struct world_event *event);

/* pr_event_raise and pr_event_clear without the point in them. */
struct pr_event;
void world_raise(const struct pr_event *event);
void world_clear(const struct pr_event *event);

/* What a device wants to hear. Registered once; lives as long as the world. */
struct world_device {
    void (*killed)(struct world_device *device, unsigned side);
    void (*cut)(struct world_device *device);
    /* After `end` of an ok run: what was left behind makes the run fail (world_fail). */
    void (*ended)(struct world_device *device);
    struct world_device *next;
};

void world_device_add(struct world *world, struct world_device *device);
struct world_device *world_devices(struct world *world);

/* The world that runs in this process, or NULL. */
struct world *world_current(void);

/* True while the caller is a thread of the world outside of its scheduler. */
bool world_in_thread(void);

/* A point that always draws (`must`) or draws by chance. No-op outside of the world's threads. */
void world_point(const char *name, bool must);

#endif
