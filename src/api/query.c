/*
 * query.c -- POST /query: several GETs in one request, each answered as if it had come alone, through the same caches.
 *
 *   {"queries": ["/boards/pinball/top?limit=3", "/boards/pinball/players/ann"]}
 *   -> {"results": [{"status": 200, "body": {…}}, {"status": 404, "body": {a problem}}]}
 *
 * Paths are relative to the game. Whether a key is needed is each query's own affair: public boards need none. So is
 * what is wrong with a query: a text that is no path has a problem as its result, and the others are answered.
 */
#include <stdio.h>

#include "api/api.h"
#include "http/json.h"

enum { QUERIES_MAX = 100 };

struct query {
    struct queries *queries;
    struct slice target; /* data NULL: it is no path, and answered already */
    int status;
    struct slice body; /* in the arena */
};

struct queries {
    struct api_call *call;
    size_t count, left;
    struct query items[];
};

static void queries_answer(struct queries *queries)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "results");
    jsonw_array_open(&json);
    for (size_t i = 0; i < queries->count; i++) {
        jsonw_object_open(&json);
        jsonw_key(&json, "status");
        jsonw_number(&json, queries->items[i].status);
        jsonw_key(&json, "body");
        jsonw_raw(&json, queries->items[i].body);
        jsonw_object_close(&json);
    }
    jsonw_array_close(&json);
    jsonw_object_close(&json);
    if (queries->call->arena->is_exhausted || body.is_overflown) {
        buf_done(&body);
        api_fail_with(queries->call, ERROR_OVERLOADED, "the answers together are too large");
    } else {
        api_answer(queries->call, 200, &body, "");
    }
    http_release(queries->call->http);
}

static void on_result(void *context, int status, struct slice body)
{
    struct query *query = context;
    struct queries *queries = query->queries;

    query->status = status;
    query->body = arena_copy(queries->call->arena, body);
    if (--queries->left == 0)
        queries_answer(queries);
}

static void query_refuse(struct query *query, const struct error *error)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    query->status = error_status(error->code);
    query->body = arena_copy(query->queries->call->arena, buf_slice(&body));
    buf_done(&body);
}

/* The text becomes a target, or a problem. */
static void query_read(struct query *query, struct slice text, size_t index)
{
    const struct api_call *call = query->queries->call;
    struct error error;
    char pointer[32];

    if (text.size == 0 || text.data[0] != '/') {
        snprintf(pointer, sizeof(pointer), "/queries/%zu", index);
        error_set_field(&error, ERROR_INVALID_BODY, pointer,
                        "must be a path within the game, like /boards/pinball/top?limit=3");
        query_refuse(query, &error);
        return;
    }
    char *target = arena_printf(call->arena, "/v1/games/%s%.*s", call->game.data, (int)text.size, text.data);
    query->target = slice_of(target); /* none: the arena is exhausted, which the answer says */
}

/* NULL after filling *error. */
static struct queries *queries_read(struct api_call *call, const struct json_object *object, struct error *error)
{
    size_t count;

    if (!json_read_array(object, "queries", QUERIES_MAX, &count, error))
        return NULL;
    struct queries *queries = arena_calloc(call->arena, 1, sizeof(*queries) + count * sizeof(queries->items[0]));
    if (!queries) {
        error_set(error, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    queries->call = call;
    queries->count = count;
    for (size_t i = 0; i < count; i++) {
        struct slice text;
        if (!json_array_text(object, "queries", i, &text, error))
            return NULL;
        queries->items[i].queries = queries;
        query_read(&queries->items[i], text, i);
    }
    return queries;
}

void api_query(struct api_call *call)
{
    static const char *const names[] = {"queries", NULL};
    struct json_document document;
    struct json_object object;
    struct queries *queries = NULL;
    struct error error;

    if (json_list_parse(&document, buf_slice(&call->http->body), QUERIES_MAX, &error)) {
        if (json_root_object(&document, &object, &error) && json_object_only(&object, names, &error))
            queries = queries_read(call, &object, &error);
        json_document_free(&document);
    }
    if (!queries) {
        api_fail(call, &error);
        return;
    }
    http_hold(call->http);
    queries->left = 1; /* until all are asked */
    for (size_t i = 0; i < queries->count; i++) {
        if (!queries->items[i].target.data)
            continue;
        queries->left++;
        http_request_within(call->http, queries->items[i].target, on_result, &queries->items[i]);
    }
    if (--queries->left == 0)
        queries_answer(queries);
}
