#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "kv/url.h"

int cmd_config(int argc, char **argv)
{
    static struct settings settings;
    struct kv_url url;
    struct error error;
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
    if (!kv_url_parse(settings.redis_url, &url, &error) || !command_servers(&settings, &database, &error))
        return command_fail(&error);
    printf("ok\n");
    return EXIT_DONE;
}
