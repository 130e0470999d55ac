#include <stdio.h>
#include <string.h>

#include "board/board.h"
#include "cli/command.h"
#include "cli/game_delete.h"
#include "cli/game_webhook.h"

static bool game_create(struct dbb *db, const char *name, struct error *error)
{
    struct dbb_result *result;

    if (!name_is_valid(slice_of(name)))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "a game's name is a letter or digit, then up to 63 of letters, digits, '.', '_', '-'");
    if (!dbb_query(db, "insert into ladder.game (name) values ($1) on conflict do nothing returning id", 1, &name,
                   &result, error))
        return false;
    printf(dbb_rows(result) ? "created %s\n" : "%s exists\n", name);
    dbb_result_free(&result);
    return true;
}

static bool game_list(struct dbb *db, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(
            db,
            "select name, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from ladder.game where deleted_at is null order by name",
            0, NULL, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        printf("%s\t%s\n", dbb_text(result, i, 0), dbb_text(result, i, 1));
    dbb_result_free(&result);
    return true;
}

/* `game webhook …`; its words are argv[2] and on. */
static bool webhook(struct dbb *db, int argc, char **argv, const struct webhook_options *options, struct error *error)
{
    if (argc == 5 && strcmp(argv[2], "set") == 0)
        return game_webhook_set(db, argv[3], argv[4], options, error);
    if (argc == 4 && strcmp(argv[2], "show") == 0)
        return game_webhook_show(db, argv[3], error);
    if (argc == 4 && strcmp(argv[2], "clear") == 0)
        return game_webhook_clear(db, argv[3], error);
    return game_webhook_test(db, argv[3], error);
}

static bool is_webhook(int argc, char **argv)
{
    return argc >= 4 && strcmp(argv[1], "webhook") == 0 &&
           (strcmp(argv[2], "set") == 0 ? argc == 5
                                        : argc == 4 && (strcmp(argv[2], "show") == 0 || strcmp(argv[2], "clear") == 0 ||
                                                        strcmp(argv[2], "test") == 0));
}

#define USAGE                                                                                                          \
    "game create NAME | game list | game delete NAME [--yes] | game webhook set NAME URL [--top N] [--secret whsec_…] | game webhook show|clear|test NAME"

int cmd_game(int argc, char **argv)
{
    static struct settings settings;
    struct webhook_options webhook_options = {NULL, NULL};
    bool is_sure = false;
    const struct option_row options[] = {{"top", &webhook_options.top, NULL},
                                         {"secret", &webhook_options.secret, NULL},
                                         {"yes", NULL, &is_sure},
                                         {NULL, NULL, NULL}};
    struct error error;
    int status;

    if (!command_start(&argc, argv, USAGE, options, &settings, &status))
        return status;
    bool is_create = argc == 3 && strcmp(argv[1], "create") == 0, is_list = argc == 2 && strcmp(argv[1], "list") == 0;
    bool is_delete = argc == 3 && strcmp(argv[1], "delete") == 0;
    if (!is_create && !is_list && !is_delete && !is_webhook(argc, argv)) {
        fprintf(stderr, "usage: ladder " USAGE "\n");
        return EXIT_USAGE;
    }
    struct dbb *db = command_database(&settings, "ladder game", &error);
    bool is_ok = db && (is_create   ? game_create(db, argv[2], &error)
                        : is_list   ? game_list(db, &error)
                        : is_delete ? game_delete(db, argv[2], is_sure, &error)
                                    : webhook(db, argc, argv, &webhook_options, &error));
    dbb_close(&db);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
