/*
 * main.c -- `ladder COMMAND …`: the table of commands, which main() calls by it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crypto.h"
#include "cli/command.h"

static const struct {
    const char *name;
    command_fn *run;
    const char *help;
} commands[] = {
    {"cache", cmd_cache, "purge --tag TAG | stats: the second cache"},
    {"config", cmd_config, "check | show: the settings"},
    {"db", cmd_db, "explain | indexes | analyze | slow: how the database does"},
    {"export", cmd_export, "write a standing as CSV or NDJSON"},
    {"game", cmd_game, "create NAME | list | delete NAME | webhook …: the tenants"},
    {"import", cmd_import, "submit the rows of a CSV file"},
    {"key", cmd_key, "create | list | revoke: API keys"},
    {"migrate", cmd_migrate, "up | down | status | verify: the schema"},
    {"partitions", cmd_partitions, "make partitions ahead, drop expired ones"},
    {"period", cmd_period, "reopen | log: closed periods opened again for corrections"},
    {"purge", cmd_purge, "delete what is no longer needed"},
    {"refresh", cmd_refresh, "refresh materialized views"},
    {"roll", cmd_roll, "open the coming periods, close those that ended"},
    {"routes", cmd_routes, "print what paths there are, for whom, with which parameters"},
    {"serve", cmd_serve, "answer HTTP"},
    {"servers", cmd_servers, "the database servers of a running serve; drain | undrain | add | remove"},
    {"snapshot", cmd_snapshot, "note the standings of the day"},
    {"warm", cmd_warm, "load standings into Redis at once"},
    {"work", cmd_work, "run the background jobs"},
};

static void help_print(FILE *out)
{
    fprintf(out, "ladder %s: exact leaderboards over HTTP\n\nusage: ladder COMMAND [OPTIONS]\n\n", LADDER_VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "  %-11s this text; `ladder COMMAND --help` says more\n  %-11s the version\n", "help", "version");
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (!crypto_start()) {
        fprintf(stderr, "ladder: the machine gives no random bytes\n");
        return EXIT_FAILED;
    }
    if (argc < 2) {
        help_print(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help_print(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("ladder %s\n", LADDER_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return command_run(commands[i].run, argc - 1, argv + 1);
    fprintf(stderr, "ladder: there is no command \"%s\" (try `ladder help`)\n", name);
    return EXIT_USAGE;
}
