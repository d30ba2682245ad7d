/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * footprint GIB: what a session costs in memory beside the guest's, and how long its registrations
 * take, on each side. Connects two processes over `local:`; the guest is so much reserved memory
 * that nobody touches, so sizes far beyond this machine's work. No page is sent.
 */
#include <malloc.h>
#include <pagerail/pagerail.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double resident_mib(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &all, &resident) != 2)
        exit(1);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / MIB;
}

static double heap_mib(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd) / MIB;
}

static void must(int err)
{
    if (!err)
        return;
    fprintf(stderr, "footprint: %s\n", pagerail_error_message());
    exit(1);
}

static struct pagerail_region reserve(uint64_t len)
{
    void *addr =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addr == MAP_FAILED) {
        perror("footprint: mmap");
        exit(1);
    }
    return (struct pagerail_region){"ram", addr, len, PAGERAIL_PAGE_BYTES, PAGERAIL_REGION_FRESH};
}

/* A destination has all its windows a moment later than the source. */
static void receive(const char *uri, const struct pagerail_region *ram, int ready)
{
    double heap = heap_mib(), resident = resident_mib();
    pagerail_destination *destination;
    struct pagerail_stats stats;
    must(pagerail_destination_new(NULL, &destination));
    must(pagerail_destination_listen(destination, uri));
    if (write(ready, "", 1) != 1)
        exit(1);
    must(pagerail_destination_accept(destination, ram, 1, -1));
    do {
        usleep(10000);
        pagerail_destination_stats(destination, &stats);
    } while (stats.registered_bytes < ram->len_bytes);
    printf("destination: heap %.1f MiB, resident %.1f MiB; registered in %.2f s of its threads\n",
           heap_mib() - heap, resident_mib() - resident, (double)stats.registration_ns / 1e9);
    must(pagerail_destination_fence(destination)); /* the source's sign that it has measured too */
    pagerail_destination_free(destination);
}

static void send_nothing(const char *uri, const struct pagerail_region *ram)
{
    double heap = heap_mib(), resident = resident_mib();
    pagerail_source *source;
    struct pagerail_stats stats;
    must(pagerail_source_new(NULL, &source));
    must(pagerail_source_connect(source, uri, ram, 1));
    uint64_t start = now_ns();
    do {
        usleep(10000);
        pagerail_source_stats(source, &stats);
    } while (stats.registered_bytes < ram->len_bytes);
    printf("source: heap %.1f MiB, resident %.1f MiB; all registered %.2f s after the handshake\n",
           heap_mib() - heap, resident_mib() - resident, (double)(now_ns() - start) / 1e9);
    must(pagerail_source_fence(source, NULL));
    char byte;
    pagerail_source_read(source, &byte, 1, -1); /* until the destination ends the session */
    pagerail_source_free(source);
}

int main(int argc, char **argv)
{
    uint64_t gib = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    char folder[] = "/tmp/footprint-XXXXXX", uri[64], byte;
    int ready[2];
    if (!gib || gib > 65536) {
        fprintf(stderr, "usage: footprint GIB (1 to 65536)\n");
        return 2;
    }
    if (!mkdtemp(folder) || pipe(ready))
        return 1;
    snprintf(uri, sizeof(uri), "local:%s/socket", folder);
    struct pagerail_region ram = reserve(gib << 30);
    pid_t child = fork();
    if (!child) {
        receive(uri, &ram, ready[1]);
        exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1)
        send_nothing(uri, &ram);
    int status = 1;
    waitpid(child, &status, 0);
    rmdir(folder);
    return status ? 1 : 0;
}
