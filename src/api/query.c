/*
 * query.c -- POST /query: several GETs in one request, each answered as if it had come alone, through the same caches.
 *
 *   {"queries": ["/boards/pinball/top?limit=3", "/boards/pinball/players/ann"]}
 *   -> {"results": [{"status": 200, "body": {…}}, {"status": 404, "body": {a problem}}]}
 *
 * Paths are relative to the game. Whether a key is needed is each query's own affair: public boards need none. So is
 * what is wrong with a query: a text that is no path has a problem as its result, and the others are answered.
 *
 * A few are under way at a time; each that ends starts the next one. Whoever sends no API key that is valid may have
 * fewer queries in a request (limits.query_anonymous).
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/fault.h"
#include "http/json.h"
#include "http/json_plain.h"

enum { QUERIES_MAX = 100, AT_ONCE = 4 };

struct query {
    struct queries *queries;
    struct slice target; /* data NULL: it is no path, and answered already */
    int status;
    struct slice body; /* in the arena */
};

struct queries {
    struct api_call *call;
    size_t count, next; /* to be started */
    size_t under_way;
    size_t bytes; /* of the answers */
    bool is_starting;
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
    if (queries->call->arena->is_exhausted || body.is_overflown || queries->bytes > API_ANSWER_BYTES_MAX) {
        buf_done(&body);
        api_fail_with(queries->call, ERROR_OVERLOADED, "the answers together are too large");
    } else {
        api_answer(queries->call, 200, &body, "");
    }
    http_release(queries->call->http);
}

static void queries_start(struct queries *queries);

static void on_result(void *context, int status, struct slice body)
{
    struct query *query = context;
    struct queries *queries = query->queries;

    query->status = status;
    if (!http_is_answered(queries->call->http)) /* by the deadline, or for lack of memory */
        query->body = arena_copy(queries->call->arena, body);
    queries->bytes += body.size;
    queries->under_way--;
    queries_start(queries);
}

/* One that is answered at once comes back here from inside. */
static void queries_start(struct queries *queries)
{
    size_t at_once = fault_is("turns") ? QUERIES_MAX : AT_ONCE;

    if (queries->is_starting)
        return;
    queries->is_starting = true;
    /* Answered by its deadline, or too large already: nobody waits for the rest. */
    if (http_is_answered(queries->call->http) || queries->bytes > API_ANSWER_BYTES_MAX)
        queries->next = queries->count;
    while (queries->next < queries->count && queries->under_way < at_once) {
        struct query *query = &queries->items[queries->next++];
        if (!query->target.data)
            continue;
        queries->under_way++;
        http_request_within(queries->call->http, query->target, on_result, query);
    }
    queries->is_starting = false;
    if (queries->under_way == 0 && queries->next == queries->count)
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
    const struct slice base = SLICE("/v1/games/");
    char *target = arena_alloc(call->arena, base.size + call->game.size + text.size);
    if (!target)
        return; /* which the answer says */
    memcpy(target, base.data, base.size);
    memcpy(target + base.size, call->game.data, call->game.size);
    memcpy(target + base.size + call->game.size, text.data, text.size);
    query->target = (struct slice){target, base.size + call->game.size + text.size};
}

/* NULL after filling *error. */
static struct queries *queries_new(struct api_call *call, const struct slice *texts, size_t count, struct error *error)
{
    struct queries *queries = arena_calloc(call->arena, 1, sizeof(*queries) + count * sizeof(queries->items[0]));

    if (!queries) {
        error_set(error, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    queries->call = call;
    queries->count = count;
    for (size_t i = 0; i < count; i++) {
        queries->items[i].queries = queries;
        query_read(&queries->items[i], texts[i], i);
    }
    return queries;
}

static bool texts_read(const struct json_object *object, struct slice texts[static QUERIES_MAX], size_t *ret_count,
                       struct error *error)
{
    static const char *const names[] = {"queries", NULL};

    if (!json_object_only(object, names, error) || !json_read_array(object, "queries", QUERIES_MAX, ret_count, error))
        return false;
    for (size_t i = 0; i < *ret_count; i++)
        if (!json_array_text(object, "queries", i, &texts[i], error))
            return false;
    return true;
}

/* The same. */
static struct queries *queries_read(struct api_call *call, struct error *error)
{
    const struct slice body = buf_slice(&call->http->body);
    struct slice texts[QUERIES_MAX];
    struct json_document document;
    struct json_object object;
    struct queries *queries = NULL;
    size_t count;

    if (json_plain_texts(body, "queries", QUERIES_MAX, texts, &count))
        return queries_new(call, texts, count, error);
    if (!json_list_parse(&document, body, QUERIES_MAX, error))
        return NULL;
    if (json_root_object(&document, &object, error) && texts_read(&object, texts, &count, error))
        queries = queries_new(call, texts, count, error);
    json_document_free(&document);
    return queries;
}

void api_query(struct api_call *call)
{
    struct error error;
    struct queries *queries = queries_read(call, &error);

    if (!queries) {
        api_fail(call, &error);
        return;
    }
    int anonymous_max = api_settings_of(call->api)->query_anonymous;
    if (!call->is_authorized && queries->count > (size_t)anonymous_max && !fault_is("turns")) {
        error_set_field(&error, ERROR_INVALID_BODY, "/queries", "has %zu items, the limit without an API key is %d",
                        queries->count, anonymous_max);
        api_fail(call, &error);
        return;
    }
    http_hold(call->http);
    queries_start(queries);
}
