#include "api/board_show.h"

#include "base/json_fold.h"

static void board_render(const struct board *board, const struct schedules_view *schedules, struct buf *body)
{
    struct jsonw json;

    buf_init(body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, body);
    api_render_board(&json, board, schedules);
    buf_append_byte(body, '\n'); /* part of what the tag names */
}

struct answering {
    struct api_call *call;
    int status;
    struct board board;
    struct schedules_view schedules;
};

static void on_answer_schedules(void *context, const struct schedules_view *view, const struct error *error)
{
    struct answering *answering = context;
    struct api_call *call = answering->call;
    struct buf body;

    if (error) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the board was changed; the database went away behind it");
        return;
    }
    if (view->updated_us ==
        answering->board.updated_us) /* else it was changed again, and nothing is said of what comes */
        answering->schedules = *view;
    board_render(&answering->board, &answering->schedules, &body);
    api_answer(call, answering->status, &body, call->written);
}

void board_answer(struct api_call *call, int status, struct db_rows rows)
{
    struct answering *answering = arena_calloc(call->arena, 1, sizeof(*answering));
    struct buf body;

    if (!answering) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    answering->call = call;
    answering->status = status;
    store_board_read(&answering->board, rows, 0, 0);
    schedules_view_read(&answering->schedules, db_text(rows, 0, BOARD_SCHEDULES));
    if (board_has_schedules(&answering->board)) {
        schedules_find(call, answering->board.id, on_answer_schedules, answering);
        return;
    }
    board_render(&answering->board, NULL, &body);
    api_answer(call, status, &body, call->written);
}

void board_tags(const struct board *board, const struct schedules_view *schedules,
                char tags[static BOARD_TAGS][PAGE_TAG_MAX])
{
    struct buf body, folded;

    board_render(board, schedules, &body);
    page_tags(buf_slice(&body), tags);
    buf_init(&folded, HTTP_FOLDED_BYTES_MAX);
    json_fold(buf_slice(&body), &folded);
    buf_append_byte(&folded, '\n');
    page_tags(buf_slice(&folded), tags + PAGE_FORMS);
    buf_done(&body);
    buf_done(&folded);
}

static void parameter(struct db_call *db_call, const char *text)
{
    db_call->parameters[db_call->parameter_count++] = (struct db_parameter){.data = text, .format = DB_TEXT};
}

/* ---- GET ---- */

static void page_answer(struct api_call *call, struct buf *body, int64_t changed_us)
{
    if (body->is_overflown) {
        http_reply(call->http, 200, "application/json", body); /* which answers that */
        return;
    }
    struct page *page = page_new(call, 200, body, changed_us, INT64_MAX, INT64_MAX);
    page_send(call, page, API_CACHE_BYPASS);
    page_free(page);
}

static void on_found_again(void *context, const struct board *board, const struct error *error)
{
    struct api_call *call = context;

    if (error) {
        api_fail(call, error);
    } else {
        call->board = *board;
        api_board_get(call);
    }
    http_release(call->http);
}

/* It was changed since this server looked. Without a primary, the servers that answer may differ for a while. */
static bool get_again(struct api_call *call)
{
    enum { TRIES = 8 };
    int *tries = call->state ? call->state : arena_calloc(call->arena, 1, sizeof(*tries));

    call->state = tries;
    return tries && ++*tries < TRIES;
}

static void on_get_schedules(void *context, const struct schedules_view *view, const struct error *error)
{
    struct api_call *call = context;
    struct buf body;

    if (error) {
        api_fail(call, error);
    } else if (view->updated_us == call->board.updated_us) {
        board_render(&call->board, view, &body);
        page_answer(call, &body, 0); /* not the date of the board: what comes next changes with every period */
    } else if (!get_again(call)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the board changes again and again");
    } else {
        http_hold(call->http);
        store_board_forget(call->store, call->game, call->board_name);
        store_board_find(call->store, call->game, call->board_name, true, NULL, on_found_again, call);
    }
}

void api_board_get(struct api_call *call)
{
    struct buf body;

    if (board_has_schedules(&call->board)) {
        schedules_find(call, call->board.id, on_get_schedules, call);
        return;
    }
    board_render(&call->board, NULL, &body);
    page_answer(call, &body, call->board.updated_us);
}

static void on_list(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct api_call *call = context;
    struct db_rows rows = outcome->rows[0];
    struct buf body;
    struct jsonw json;

    call->source = store_source_of(outcome, source);
    if (outcome->error.code != ERROR_NONE) {
        struct error error;
        store_error_of(outcome, &error);
        api_fail(call, &error);
        http_release(call->http);
        return;
    }
    int64_t limit = *(int64_t *)call->state;
    int count = db_row_count(rows);
    struct board board = {.id = 0};
    struct schedules_view schedules;
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "boards");
    jsonw_array_open(&json);
    for (int i = 0; i < count && i < limit; i++) {
        store_board_read(&board, rows, i, 0);
        schedules_view_read(&schedules, db_text(rows, i, BOARD_SCHEDULES));
        api_render_board(&json, &board, &schedules);
    }
    jsonw_array_close(&json);
    jsonw_key(&json, "next");
    if (count > limit)
        jsonw_text(&json, board.name);
    else
        jsonw_null(&json);
    jsonw_object_close(&json);
    call->state = NULL;
    page_answer(call, &body, 0); /* a deleted board leaves no date behind */
    http_release(call->http);
}

void api_board_list(struct api_call *call)
{
    struct error error;
    struct slice cursor = api_text(call, "cursor");
    int64_t *limit = arena_alloc(call->arena, sizeof(*limit));
    struct db_call read = {.statement = STATEMENT_board_list};

    if (!limit) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *limit = 100;
    if (!api_int(call, "limit", 1, 1000, limit, &error) ||
        (cursor.data && !name_is_valid(cursor) &&
         !error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made"))) {
        api_fail(call, &error);
        return;
    }
    call->state = limit;
    parameter(&read, arena_printf(call->arena, "%lld", (long long)call->key.game_id));
    parameter(&read, cursor.data ? cursor.data : "");
    parameter(&read, arena_printf(call->arena, "%lld", (long long)*limit + 1));
    http_hold(call->http);
    if (!api_read_primary(call, &read, on_list, call)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the database is not reachable");
        http_release(call->http);
    }
}
