/* SPDX-License-Identifier: BSD-2-Clause */
/* `pagerail devices`: what this machine offers for migration. */
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] = "usage: pagerail devices\n\n"
                           "Shows what this machine offers for migration.\n";

int pr_cmd_devices(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option != 'h')
            return pr_command_usage("devices", "there is no option '%s'", argv[optind - 1]);
        fputs(help, stdout);
        return PR_EXIT_OK;
    }
    if (optind < argc)
        return pr_command_usage("devices", "it takes no argument '%s'", argv[optind]);
    puts("The same-host fabric `local:` works.");
    return PR_EXIT_OK;
}
