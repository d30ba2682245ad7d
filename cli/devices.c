/* SPDX-License-Identifier: BSD-2-Clause */
/* `pagerail devices`: what this machine offers for migration. */
#include "cli/devices.h"

#include "cli/command.h"

#include <getopt.h>

static const char help[] =
    "usage: pagerail devices [--json]\n\n"
    "Shows what this machine offers for migration: RDMA devices and ports, NUMA nodes, huge\n"
    "pages, and what this process may pin and reach. A machine without an RDMA device is no\n"
    "failure: the same-host fabric `local:` works without one.\n\n"
    "  --json  print it for programs; pagerail-devices(1) explains the keys\n"
    "  --help  this text\n";

static int show(bool json)
{
    static const struct pr_devices_source source = {"/sys", "/proc", NULL, &pr_verbs_real};
    struct pr_devices devices;
    int err = pr_devices_collect(&source, &devices);
    if (err)
        return pr_command_failed("devices");
    err = json ? pr_devices_print_json(&devices, stdout) : pr_devices_print(&devices, stdout);
    pr_devices_release(&devices);
    return err ? pr_command_failed("devices") : PR_EXIT_OK;
}

int pr_cmd_devices(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}, {0}};
    bool json = false;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'h':
            fputs(help, stdout);
            return PR_EXIT_OK;
        case 'j':
            json = true;
            break;
        default:
            return pr_command_usage("devices", "there is no option '%s'", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return pr_command_usage("devices", "it takes no argument '%s'", argv[optind]);
    return show(json);
}
