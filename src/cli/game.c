#include <stdio.h>
#include <string.h>

#include "board/board.h"
#include "cli/command.h"

static bool game_create(struct dbb *db, const char *name, struct error *error)
{
    struct dbb_result *result;

    if (!name_is_valid(slice_of(name)))
        return error_set(error, ERROR_INVALID_PARAMETER, "a game's name is a letter or digit, then up to 63 of letters, digits, '.', '_', '-'");
    if (!dbb_query(db, "insert into ladder.game (name) values ($1) on conflict do nothing returning id", 1, &name, &result, error))
        return false;
    printf(dbb_rows(result) ? "created %s\n" : "%s exists\n", name);
    dbb_result_free(&result);
    return true;
}

static bool game_list(struct dbb *db, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, "select name, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from ladder.game order by name", 0, NULL, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        printf("%s\t%s\n", dbb_text(result, i, 0), dbb_text(result, i, 1));
    dbb_result_free(&result);
    return true;
}

int cmd_game(int argc, char **argv)
{
    static struct settings settings;
    struct error error;
    int status;

    if (!command_start(&argc, argv, "game create NAME | game list", NULL, &settings, &status))
        return status;
    bool is_create = argc == 3 && strcmp(argv[1], "create") == 0;
    if (!is_create && !(argc == 2 && strcmp(argv[1], "list") == 0)) {
        fprintf(stderr, "usage: ladder game create NAME | ladder game list\n");
        return EXIT_USAGE;
    }
    struct dbb *db = command_database(&settings, "ladder game", &error);
    bool is_ok = db && (is_create ? game_create(db, argv[2], &error) : game_list(db, &error));
    dbb_close(&db);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
