/*
 * command.c -- see command.h. It knows no command: main.c has their table.
 */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "db/statements.h"

static const char *command_name = "";
static const char *command_path; /* of the settings; NULL: none */

int command_run(command_fn *run, int argc, char **argv)
{
    command_name = argv[0];
    return run(argc, argv);
}

bool command_is_alone(int argc, char **argv)
{
    if (argc > 1)
        fprintf(stderr, "ladder %s: \"%s\" is one word too many (try --help)\n", command_name, argv[1]);
    return argc <= 1;
}

int command_fail(const struct error *error)
{
    fprintf(stderr, "ladder %s: %s\n", command_name, error->message);
    return EXIT_FAILED;
}

const char *command_config(void)
{
    return command_path;
}

static bool option_take(const struct option_row *options, const char *name, char **argv, int argc, int *at,
                        int *ret_status)
{
    for (int i = 0; options && options[i].name; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        if (options[i].flag) {
            *options[i].flag = true;
            return true;
        }
        if (*options[i].text && options[i + 1].name && strcmp(options[i + 1].name, name) == 0)
            continue;
        if (*at + 1 >= argc) {
            fprintf(stderr, "ladder %s: --%s needs a value\n", command_name, name);
            *ret_status = EXIT_USAGE;
            return false;
        }
        *options[i].text = argv[++*at];
        return true;
    }
    fprintf(stderr, "ladder %s: there is no option --%s (try --help)\n", command_name, name);
    *ret_status = EXIT_USAGE;
    return false;
}

bool command_start(int *argc, char **argv, const char *usage, const struct option_row *options,
                   struct settings *settings, int *ret_status)
{
    const char *config = NULL;
    int words = 1;
    struct error error;

    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("usage: ladder %s\n", usage);
            *ret_status = EXIT_DONE;
            return false;
        } else if (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i], "--") == 0) {
            argv[words++] = argv[i];
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
            config = argv[++i];
        } else if (!option_take(options, argv[i] + 2, argv, *argc, &i, ret_status)) {
            return false;
        }
    }
    *argc = words;
    argv[words] = NULL;
    command_path = config ? config : settings_default_path();
    if (!settings_load(settings, command_path, setting_check, &error)) {
        *ret_status = command_fail(&error);
        return false;
    }
    enum log_level level = LOG_LEVEL_INFO;
    log_level_parse(slice_of(settings->log_level), &level);
    log_set_level(level);
    return true;
}

bool command_game(struct dbb *db, const char *name, int64_t *ret_id, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, "select id from ladder.game where name = $1", 1, &name, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    if (is_there)
        *ret_id = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return is_there || error_set(error, ERROR_GAME_NOT_FOUND, "there is no game \"%s\" (ladder game create)", name);
}

bool command_board(struct dbb *db, const char *game, const char *board, int64_t *ret_id, struct error *error)
{
    const char *parameters[] = {game, board};
    struct dbb_result *result;

    if (!dbb_query(db, statement_text(STATEMENT_board_find), 2, parameters, &result, error))
        return false;
    bool is_there = dbb_rows(result) && !dbb_is_null(result, 0, 1);
    if (is_there)
        *ret_id = dbb_int64(result, 0, 1);
    dbb_result_free(&result);
    return is_there ||
           error_set(error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\" in the game \"%s\"", board, game);
}
