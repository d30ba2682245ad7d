/* SPDX-License-Identifier: BSD-2-Clause */
/* `pagerail`: finds the command and hands over. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"devices", "show what this machine offers for migration", pr_cmd_devices},
    {"guest", "run a synthetic live guest, and migrate or receive it", pr_cmd_guest},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
    fputs("usage: pagerail COMMAND [OPTION]...\n\n"
          "Moves a running VM's memory between hosts with one-sided RDMA writes.\n\n",
          to);
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`pagerail COMMAND --help` explains one; `pagerail --version` prints the version.\n",
          to);
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return PR_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help(stdout);
        return PR_EXIT_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("pagerail " PR_VERSION);
        return PR_EXIT_OK;
    }
    const struct command *command = find(argv[1]);
    if (!command) {
        fprintf(stderr, "pagerail: there is no command '%s'; try `pagerail --help`\n", argv[1]);
        return PR_EXIT_USAGE;
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    /* A full disk or a closed pipe shows up here, and output that is cut off is no success. */
    if (fflush(stdout) || ferror(stdout)) {
        perror("pagerail: cannot write the output");
        return PR_EXIT_FAILED;
    }
    return status;
}
