// SPDX-License-Identifier: BSD-2-Clause
// The only C++ in the project: Google Benchmark behind bench/shim.h.
#include "bench/shim.h"

#include <benchmark/benchmark.h>

struct pr_bench {
    benchmark::State &state;
};

void pr_bench_register(const char *name, pr_bench_fn fn, void *arg)
{
    benchmark::RegisterBenchmark(name, [fn, arg](benchmark::State &state) {
        pr_bench bench{state};
        fn(&bench, arg);
    });
}

void pr_bench_options(int *argc, char **argv)
{
    benchmark::Initialize(argc, argv);
}

void pr_bench_run(void)
{
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}

bool pr_bench_next(struct pr_bench *bench)
{
    return bench->state.KeepRunning();
}

void pr_bench_pause(struct pr_bench *bench)
{
    bench->state.PauseTiming();
}

void pr_bench_resume(struct pr_bench *bench)
{
    bench->state.ResumeTiming();
}

void pr_bench_bytes(struct pr_bench *bench, uint64_t bytes_per_round)
{
    bench->state.SetBytesProcessed(
        static_cast<int64_t>(bytes_per_round * static_cast<uint64_t>(bench->state.iterations())));
}

void pr_bench_counter(struct pr_bench *bench, const char *name, double value)
{
    bench->state.counters[name] = value;
}
