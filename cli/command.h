/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands of `pagerail`. To add one: declare it here, add its line to the table in main.c, its
 * sources to meson.build, and write docs/man/pagerail-<name>.1 (a test asks for it).
 */
#ifndef PR_CLI_COMMAND_H
#define PR_CLI_COMMAND_H

/* What `pagerail` exits with. Scripts rely on these: README.md and the man page list them. */
enum pr_exit {
    PR_EXIT_OK = 0,
    PR_EXIT_FAILED = 1,      /* it was tried and did not work; stderr has the sentence */
    PR_EXIT_USAGE = 2,       /* the command line makes no sense; nothing was tried */
    PR_EXIT_CANCELLED = 130, /* the user's interrupt ended it */
};

/* A command gets its own name as argv[0], parses the rest with getopt_long, answers --help itself
 * on stdout, and returns an enum pr_exit. */
int pr_cmd_devices(int argc, char **argv);
int pr_cmd_guest(int argc, char **argv);

/* Prints "pagerail <command>: <sentence>" and where help is to stderr; returns PR_EXIT_USAGE. */
int pr_command_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints "pagerail <command>: <the thread's error sentence>" to stderr; returns PR_EXIT_FAILED. */
int pr_command_failed(const char *command);

#endif
