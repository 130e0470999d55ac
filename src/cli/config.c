/*
 * config.c -- `ladder config check | show`.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

int cmd_config(int argc, char **argv)
{
    static struct settings settings;
    int status;

    if (!command_start(&argc, argv, "config check|show [--config FILE]", NULL, &settings, &status))
        return status;
    if (argc == 2 && strcmp(argv[1], "show") == 0) {
        settings_print(&settings, stdout);
        return EXIT_DONE;
    }
    if (argc != 2 || strcmp(argv[1], "check") != 0) {
        fprintf(stderr, "usage: ladder config check|show [--config FILE]\n");
        return EXIT_USAGE;
    }
    static struct db_settings database;
    struct error error;
    static struct kv_replicas_settings redis_replicas;
    if (!command_servers(&settings, &database, &error) || !command_redis_replicas(&settings, &redis_replicas, &error))
        return command_fail(&error);
    if (!settings.server_secret[0])
        fprintf(stderr, "ladder config: server.secret is not set: ladder serve does not start without it (16 bytes or "
                        "more, the same on every server)\n");
    printf("ok\n");
    return EXIT_DONE;
}
