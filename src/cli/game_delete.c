#include "cli/game_delete.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "db/statements.h"

enum { PAUSE_US = 100000, ROUNDS_MAX = 100 };
#define SOME_TEXT "1000"

static bool contents_print(struct dbb *db, const char *name, const char *game, struct error *error)
{
    struct dbb_result *found;

    if (!dbb_query(db, statement_text(STATEMENT_game_contents), 1, &game, &found, error))
        return false;
    printf("%s: %s boards with %s entries, %s live keys, %s webhooks\n", name, dbb_text(found, 0, 0),
           dbb_text(found, 0, 1), dbb_text(found, 0, 2), dbb_text(found, 0, 3));
    dbb_result_free(&found);
    return fflush(stdout) == 0;
}

static bool confirm(const char *name, struct error *error)
{
    char line[256];

    if (!isatty(STDIN_FILENO))
        return error_set(error, ERROR_CONFLICT, "nothing was deleted: say --yes to delete it");
    printf("This cannot be undone. Type the name of the game to delete it: ");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        line[0] = 0;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, name) == 0 || error_set(error, ERROR_CONFLICT, "nothing was deleted");
}

static bool boards_delete(struct dbb *db, const char *game, int64_t *deleted, struct error *error)
{
    const char *some[] = {game, SOME_TEXT};
    struct dbb_result *boards;
    bool is_ok = true, is_end = false;

    while (is_ok && !is_end) {
        if (!dbb_query(db, statement_text(STATEMENT_game_boards), 2, some, &boards, error))
            return false;
        is_end = dbb_rows(boards) == 0;
        for (size_t i = 0; i < dbb_rows(boards) && is_ok; i++) {
            const char *board[] = {dbb_text(boards, i, 0), NULL};
            is_ok = dbb_query(db, statement_text(STATEMENT_board_delete), 2, board, NULL, error);
            *deleted += is_ok;
        }
        dbb_result_free(&boards);
    }
    return is_ok;
}

/* A request with a key that a server still remembers may make a board meanwhile: then once more. */
static bool name_free(struct dbb *db, const char *game, int64_t *deleted, struct error *error)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        struct dbb_result *freed;
        if (!boards_delete(db, game, deleted, error) ||
            !dbb_query(db, statement_text(STATEMENT_game_delete), 1, &game, &freed, error))
            return false;
        bool is_done = dbb_rows(freed) == 1;
        dbb_result_free(&freed);
        if (is_done)
            return true;
        usleep(PAUSE_US);
    }
    return error_set(error, ERROR_CONFLICT, "the game gets new boards all the time: is another program at work in it?");
}

bool game_delete(struct dbb *db, const char *name, bool is_sure, struct error *error)
{
    int64_t id, deleted = 0;
    char game[24];
    const char *parameters[] = {game};

    if (!command_game(db, name, &id, error)) {
        if (error->code != ERROR_GAME_NOT_FOUND)
            return false;
        printf("there is no game %s: nothing to delete\n", name);
        return true;
    }
    snprintf(game, sizeof(game), "%lld", (long long)id);
    if (!contents_print(db, name, game, error) || (!is_sure && !confirm(name, error)) ||
        !dbb_query(db, "update ladder.api_key set revoked_at = now() where game_id = $1 and revoked_at is null", 1,
                   parameters, NULL, error) ||
        !name_free(db, game, &deleted, error))
        return false;
    printf("deleted %s with %lld boards; the purge job removes their rows\n", name, (long long)deleted);
    return true;
}
