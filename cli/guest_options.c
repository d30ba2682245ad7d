/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_options.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/guest_memory.h"
#include "cli/text.h"
#include "transport/uri.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RATE_MAX (1ull << 50)
#define SECONDS_MAX 1000000u

static const char help[] =
    "usage: pagerail guest [--size SIZE] [OPTION]...                run a guest here\n"
    "       pagerail guest --to URI [--size SIZE] [OPTION]...       run it and migrate it\n"
    "       pagerail guest --listen URI [--size SIZE] [OPTION]...   receive one\n\n"
    "A synthetic live guest: memory whose every byte is known, and threads that keep writing to "
    "it.\n"
    "It is checked page by page while it runs, and in full at the end.\n\n"
    "The guest (a destination needs only --size, and --hugepages if the source has it):\n"
    "  --size SIZE           its memory (default 4G)\n"
    "  --hugepages 2M|1G     back it by huge pages\n"
    "  --threads N           that write, 1 to 256 (default 2)\n"
    "  --dirty RATE          bytes of pages written each second by all threads (default 100M; 0 =\n"
    "                        idle)\n"
    "  --pattern NAME        which pages: seq, uniform, hot, zipf, alternate, zeroing (default\n"
    "                        uniform)\n"
    "  --fill NAME           before the first write: zero, random, mixed (default mixed)\n"
    "  --seed N              of all that is random (default: drawn and printed)\n"
    "  --tracking NAME       how writes are found: auto, uffd, softdirty (default auto)\n\n"
    "The migration:\n"
    "  --to URI              send the guest there: rdma:HOST:PORT or local:/PATH.sock\n"
    "  --listen URI          wait for one there\n"
    "  --run-before SECONDS  let it run before it is sent (default 1)\n"
    "  --run-after SECONDS   let it run on afterwards, before the last check (default 2)\n"
    "  --max-downtime MS     stand still for no longer (default 500)\n"
    "  --on-stall abort|force\n"
    "                        when rounds stop shrinking: give up, or exceed the limit (default\n"
    "                        abort)\n"
    "  --lanes N             data connections (default: what suits the fabric)\n"
    "  --window SIZE         memory is registered in windows of this size (default 64M,\n"
    "                        more with huge pages)\n"
    "  --pin-budget SIZE     most memory registered at once (default: no limit)\n\n"
    "For rdma:HOST:PORT (both sides alike):\n"
    "  --fabric NAME         auto, verbs (RDMA devices) or local (two processes of this machine);\n"
    "                        auto, the default, takes local where no device can be used\n"
    "  --rails NAME,...      the RDMA devices that may be used (default: all)\n"
    "  --traffic-class N     of RoCE packets, 1 to 255: 4 x DSCP (default: the host's)\n"
    "  --on-demand-paging    do not pin the guest's memory, where the device can do without\n\n"
    "Other:\n"
    "  --json FILE           write what happened, see pagerail-guest(1)\n"
    "  --quiet               no progress and no summary\n"
    "  --help                this text\n\n"
    "Exit status: 0 all is well, 1 failed, 2 bad command line, 130 cancelled.\n";

const char *pr_guest_role_name(enum pr_guest_role role)
{
    return role == PR_GUEST_SOURCE        ? "source"
           : role == PR_GUEST_DESTINATION ? "destination"
                                          : "alone";
}

/* --- one setter for each option: 0, or a negative errno with the complaint --- */

typedef int setter(struct pr_guest_options *o, const char *text);

static int set_number32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value;
    int err = pr_number_parse(text, min, max, &value);
    if (!err)
        *out = (uint32_t)value;
    return err;
}

/* Seconds with up to three decimals. */
static int set_seconds(const char *text, uint64_t *out_ms)
{
    char whole[16];
    size_t len = strcspn(text, ".");
    const char *decimals = text[len] ? text + len + 1 : "";
    size_t count = strlen(decimals);
    uint64_t seconds = 0;
    if (!len || len >= sizeof(whole) || (text[len] && !count) || count > 3 ||
        strspn(decimals, "0123456789") != count)
        return pr_error(EINVAL, "'%s' is no time: write seconds like 2 or 0.5", text);
    memcpy(whole, text, len);
    whole[len] = '\0';
    int err = pr_number_parse(whole, 0, SECONDS_MAX, &seconds);
    if (err)
        return err;
    static const unsigned scale[] = {0, 100, 10, 1};
    *out_ms = seconds * 1000 + strtoul(count ? decimals : "0", NULL, 10) * scale[count];
    return 0;
}

static int set_size(struct pr_guest_options *o, const char *text)
{
    int err = pr_size_parse(text, &o->len_bytes);
    return !err && !o->len_bytes ? pr_error(EINVAL, "a guest needs memory: write it like 4G") : err;
}

static int set_hugepages(struct pr_guest_options *o, const char *text)
{
    int err = pr_size_parse(text, &o->page_bytes);
    if (err || (o->page_bytes != 2u << 20 && o->page_bytes != 1u << 30))
        return pr_error(EINVAL, "huge pages are of 2M or 1G, not '%s'", text);
    return 0;
}

static int set_threads(struct pr_guest_options *o, const char *text)
{
    return set_number32(text, 1, PR_GUEST_THREADS_MAX, &o->plan.threads);
}

static int set_dirty(struct pr_guest_options *o, const char *text)
{
    int err = pr_size_parse(text, &o->plan.rate_Bps);
    if (!err && o->plan.rate_Bps > RATE_MAX)
        return pr_error(ERANGE, "'%s' is more than 1P bytes a second", text);
    return err;
}

static int set_pattern(struct pr_guest_options *o, const char *text)
{
    if (pr_guest_pattern_find(text, &o->plan.pattern))
        return 0;
    return pr_error(EINVAL,
                    "there is no pattern '%s': take seq, uniform, hot, zipf, alternate or "
                    "zeroing",
                    text);
}

static int set_fill(struct pr_guest_options *o, const char *text)
{
    if (pr_guest_fill_find(text, &o->plan.fill))
        return 0;
    return pr_error(EINVAL, "there is no fill '%s': take zero, random or mixed", text);
}

static int set_seed(struct pr_guest_options *o, const char *text)
{
    return pr_number_parse(text, 0, UINT64_MAX, &o->plan.seed);
}

static int set_tracking(struct pr_guest_options *o, const char *text)
{
    if (pr_tracker_kind_find(text, &o->tracking))
        return 0;
    return pr_error(EINVAL, "there is no tracking '%s': take auto, uffd or softdirty", text);
}

static int set_uri(struct pr_guest_options *o, const char *text, enum pr_guest_role role)
{
    if (o->role == (enum pr_guest_role)(PR_GUEST_SOURCE + PR_GUEST_DESTINATION - role))
        return pr_error(EINVAL, "a guest is either sent (--to) or received (--listen)");
    o->role = role;
    o->uri = text;
    return 0;
}

static int set_to(struct pr_guest_options *o, const char *text)
{
    return set_uri(o, text, PR_GUEST_SOURCE);
}

static int set_listen(struct pr_guest_options *o, const char *text)
{
    return set_uri(o, text, PR_GUEST_DESTINATION);
}

static int set_run_before(struct pr_guest_options *o, const char *text)
{
    return set_seconds(text, &o->run_before_ms);
}

static int set_run_after(struct pr_guest_options *o, const char *text)
{
    return set_seconds(text, &o->run_after_ms);
}

static int set_max_downtime(struct pr_guest_options *o, const char *text)
{
    return set_number32(text, 1, 3600000, &o->migration.downtime_budget_ms);
}

static int set_on_stall(struct pr_guest_options *o, const char *text)
{
    bool force = !strcmp(text, "force");
    if (!force && strcmp(text, "abort"))
        return pr_error(EINVAL, "'%s' is neither abort nor force", text);
    o->migration.on_stall = force ? PAGERAIL_STALL_FORCE : PAGERAIL_STALL_ABORT;
    return 0;
}

static int set_lanes(struct pr_guest_options *o, const char *text)
{
    return set_number32(text, 1, 256, &o->migration.lanes);
}

static int set_window(struct pr_guest_options *o, const char *text)
{
    uint64_t size;
    int err = pr_size_parse(text, &size);
    if (!err && (size & (size - 1) || size < 64u << 10 || size > 1ull << 40))
        return pr_error(EINVAL, "a window is a power of two from 64K to 1T, not '%s'", text);
    o->migration.window_bytes = err ? 0 : size;
    return err;
}

static int set_fabric(struct pr_guest_options *o, const char *text)
{
    static const char *const names[] = {
        [PAGERAIL_FABRIC_AUTO] = "auto",
        [PAGERAIL_FABRIC_VERBS] = "verbs",
        [PAGERAIL_FABRIC_LOCAL] = "local",
    };
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]))
            continue;
        o->migration.fabric = i;
        return 0;
    }
    return pr_error(EINVAL, "there is no fabric '%s': take auto, verbs or local", text);
}

/* The library says what a list of names is. */
static int set_rails(struct pr_guest_options *o, const char *text)
{
    char *rails = o->migration.rails;
    if (!*text || strlen(text) >= sizeof(o->migration.rails))
        return pr_error(EINVAL, "'%.40s' is no list of RDMA devices: write mlx5_0,mlx5_1", text);
    strcpy(rails, text);
    return 0;
}

static int set_traffic_class(struct pr_guest_options *o, const char *text)
{
    return set_number32(text, 1, 255, &o->migration.traffic_class);
}

static int set_on_demand_paging(struct pr_guest_options *o, const char *text)
{
    (void)text;
    o->migration.on_demand_paging = 1;
    return 0;
}

static int set_pin_budget(struct pr_guest_options *o, const char *text)
{
    int err = pr_size_parse(text, &o->migration.pin_budget_bytes);
    if (!err && !o->migration.pin_budget_bytes)
        return pr_error(EINVAL, "nothing can be sent with a budget of 0");
    return err;
}

/* A file beside which another can be made, so that writing it at the end can work. */
static int set_json(struct pr_guest_options *o, const char *text)
{
    char folder[PATH_MAX];
    if (!*text || strlen(text) >= sizeof(folder))
        return pr_error(EINVAL, "'%s' is no file name", text);
    strcpy(folder, text);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    if (access(slash ? folder : ".", W_OK | X_OK))
        return pr_error(errno, "no file can be made in '%s': %s", slash ? folder : ".",
                        strerror(errno));
    o->json_path = text;
    return 0;
}

static int set_quiet(struct pr_guest_options *o, const char *text)
{
    (void)text;
    o->quiet = true;
    return 0;
}

#define ANY (PR_GUEST_ALONE | PR_GUEST_SOURCE | PR_GUEST_DESTINATION)
#define BOTH (PR_GUEST_SOURCE | PR_GUEST_DESTINATION)
#define HERE (PR_GUEST_ALONE | PR_GUEST_SOURCE)

static const struct {
    const char *name;
    int argument;
    unsigned roles; /* in which it means something */
    setter *set;
} table[] = {
    {"size", required_argument, ANY, set_size},
    {"hugepages", required_argument, ANY, set_hugepages},
    {"threads", required_argument, HERE, set_threads},
    {"dirty", required_argument, HERE, set_dirty},
    {"pattern", required_argument, HERE, set_pattern},
    {"fill", required_argument, HERE, set_fill},
    {"seed", required_argument, HERE, set_seed},
    {"tracking", required_argument, PR_GUEST_SOURCE, set_tracking},
    {"to", required_argument, ANY, set_to},
    {"listen", required_argument, ANY, set_listen},
    {"run-before", required_argument, PR_GUEST_SOURCE, set_run_before},
    {"run-after", required_argument, ANY, set_run_after},
    {"max-downtime", required_argument, PR_GUEST_SOURCE, set_max_downtime},
    {"on-stall", required_argument, PR_GUEST_SOURCE, set_on_stall},
    {"lanes", required_argument, PR_GUEST_SOURCE, set_lanes},
    {"window", required_argument, PR_GUEST_SOURCE, set_window},
    {"pin-budget", required_argument, BOTH, set_pin_budget},
    {"fabric", required_argument, BOTH, set_fabric},
    {"rails", required_argument, BOTH, set_rails},
    {"traffic-class", required_argument, BOTH, set_traffic_class},
    {"on-demand-paging", no_argument, BOTH, set_on_demand_paging},
    {"json", required_argument, ANY, set_json},
    {"quiet", no_argument, ANY, set_quiet},
};
#define OPTIONS (sizeof(table) / sizeof(table[0]))
#define HELP OPTIONS

/* --- the whole --- */

static void long_options(struct option out[OPTIONS + 2])
{
    memset(out, 0, (OPTIONS + 2) * sizeof(*out));
    for (unsigned i = 0; i < OPTIONS; i++)
        out[i] = (struct option){table[i].name, table[i].argument, NULL, 0};
    out[HELP] = (struct option){"help", no_argument, NULL, 0};
}

static int parse_one(struct pr_guest_options *o, int index, bool *seen)
{
    int err = table[index].set(o, optarg);
    if (err)
        return pr_command_usage("guest", "--%s: %s", table[index].name, pr_error_message());
    seen[index] = true;
    return -1;
}

static int misuse(int option, char *const *argv)
{
    if (option == ':')
        return pr_command_usage("guest", "%s needs a value", argv[optind - 1]);
    return pr_command_usage("guest", "there is no option '%s'", argv[optind - 1]);
}

static int parse_all(struct pr_guest_options *o, int argc, char **argv, bool *seen)
{
    struct option options[OPTIONS + 2];
    long_options(options);
    opterr = 0;
    optind = 0;
    int index = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", options, &index)) != -1;) {
        if (option == 'h' || (option == 0 && index == HELP)) {
            fputs(help, stdout);
            return PR_EXIT_OK;
        }
        int status = option ? misuse(option, argv) : parse_one(o, index, seen);
        if (status >= 0)
            return status;
    }
    if (optind < argc)
        return pr_command_usage("guest", "it takes no argument '%s'", argv[optind]);
    return -1;
}

static int check_roles(const struct pr_guest_options *o, const bool *seen)
{
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (!seen[i] || table[i].roles & o->role)
            continue;
        if (o->role == PR_GUEST_DESTINATION)
            return pr_command_usage("guest", "--%s is the source's to choose, not with --listen",
                                    table[i].name);
        return pr_command_usage("guest", "--%s needs a migration: give --to", table[i].name);
    }
    return -1;
}

/* Opening a fabric touches nothing outside; it says whether there is one for the URI. */
static int check_uri(const struct pr_guest_options *o)
{
    struct pr_uri_target target;
    if (o->role == PR_GUEST_ALONE)
        return -1;
    if (pr_uri_open(o->uri, &o->migration, &target))
        return pr_command_usage("guest", "--%s: %s", o->role == PR_GUEST_SOURCE ? "to" : "listen",
                                pr_error_message());
    pr_fabric_close(target.fabric);
    return -1;
}

static int check_size(const struct pr_guest_options *o)
{
    char text[PR_SIZE_TEXT_MAX], other[PR_SIZE_TEXT_MAX];
    if (o->len_bytes % o->page_bytes)
        return pr_command_usage("guest", "--size must be a multiple of the pages' %s",
                                pr_size_text(o->page_bytes, text));
    if (o->len_bytes / PR_GUEST_PAGE_BYTES < o->plan.threads)
        return pr_command_usage("guest", "--size must give each of %u threads a page of 4 KiB",
                                o->plan.threads);
    if (o->page_bytes != PR_GUEST_PAGE_BYTES)
        return pr_hugepages_check(o->len_bytes, o->page_bytes)
                   ? pr_command_usage("guest", "%s", pr_error_message())
                   : -1;
    uint64_t available = pr_memory_available();
    if (available && o->len_bytes > available)
        return pr_command_usage("guest", "--size %s is more than the %s of memory that are free",
                                pr_size_text(o->len_bytes, text), pr_size_text(available, other));
    return -1;
}

static uint64_t drawn_seed(void)
{
    uint32_t seed; /* short, as people copy it */
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint32_t)getpid();
    return seed;
}

int pr_guest_options_parse(int argc, char **argv, struct pr_guest_options *out)
{
    struct pr_guest_options o = {
        .role = PR_GUEST_ALONE,
        .len_bytes = 4ull << 30,
        .page_bytes = PR_GUEST_PAGE_BYTES,
        .plan = {.seed = drawn_seed(),
                 .pattern = PR_GUEST_UNIFORM,
                 .fill = PR_GUEST_FILL_MIXED,
                 .threads = 2,
                 .rate_Bps = 100u << 20},
        .run_before_ms = 1000,
        .run_after_ms = 2000,
        .migration = PAGERAIL_OPTIONS_INIT,
    };
    bool seen[OPTIONS] = {false};
    int status = parse_all(&o, argc, argv, seen);
    if (status < 0)
        status = check_roles(&o, seen);
    if (status < 0)
        status = check_size(&o);
    if (status < 0)
        status = check_uri(&o);
    if (status < 0)
        *out = o;
    return status;
}
