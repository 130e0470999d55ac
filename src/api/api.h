/*
 * api.h -- the service's public face: one table of routes, one file a resource.
 *
 * A request becomes a call: its route, its path's parts, who asks, which board. The steps in front of every handler
 * (route, parameters, token, key, board, …) are a table in dispatch.c; a handler parses its own parameters, asks the store, and renders.
 * One api a loop.
 */
#ifndef API_API_H
#define API_API_H

#include "base/jsonw.h"
#include "http/server.h"
#include "store/idempotency.h"
#include "store/standing.h"

struct api;
struct api_call;

typedef void api_handler_fn(struct api_call *call);

enum {
    API_NEEDS_BOARD = 1,
    API_OPEN = 2 /* no key */,
    API_CONDITIONAL = 4 /* a write that knows If-Match and If-None-Match */,
    API_FIXED_FORM = 8 /* its answer is a document or text: there is no `pretty` */,
    API_OPERATOR = 16 /* its key is the one of those who run the server */,
    API_NEXT_ALONE = 32 /* `next` holds all parameters of the page */,
    API_NEXT_IS_FROM = 64 /* it goes into `from`, not into `cursor` */,
    API_NEXT_IS_TO = 128,
    API_ANSWER_BYTES_MAX = 4 << 20
};

/* How an answer came about: see outcomes in page.c for how Ladder-Cache and Cache-Status say it. */
enum api_cache {
    API_CACHE_HIT,
    API_CACHE_STALE,
    API_CACHE_MISS,
    API_CACHE_TOUCHED, /* a miss: there was one, of which a change touched the ranks */
    API_CACHE_JOINED,
    API_CACHE_BYPASS,
    API_CACHE_L2,
    API_CACHE_JOINED_L2, /* somebody else's question to the second cache had it */
    API_CACHE_COUNT
};

struct api_route {
    enum http_method method;
    const char *path; /* "/v1/games/{game}/boards/{board}/top" */
    enum scope scope;
    int flags;
    const char *parameters; /* the query parameters it knows, space-separated */
    api_handler_fn *handle;
};

/* The parameters of every read of a standing. */
#define API_STANDING_PARAMETERS "window period facet ranking fields integers source "

struct api_call {
    struct api *api;
    struct store *store;
    struct http_request *http;
    struct arena *arena; /* the request's */
    const struct api_route *route;
    size_t step;                           /* the next one (dispatch.c) */
    struct slice game, board_name, player; /* from the path, decoded; data NULL if not in it */
    struct api_key key;
    bool is_authorized; /* by `key`, before the body (arriving.h) */
    struct board board; /* with API_NEEDS_BOARD */
    bool has_token;
    struct token token;
    char written[TOKEN_TEXT_MAX]; /* the token of the definition that this call has changed; "": none yet */
    bool integers_as_strings;
    bool shows_source;
    bool is_final;  /* the answer is of a closed period, asked for by its id: nothing but an erasure changes it */
    bool is_stored; /* one of ladder's caches keeps the answer: Cache-Status says so */
    bool is_untold; /* edges are not told when the answer changes */
    enum source source;
    /* Idempotency-Key: */
    bool has_claim;
    bool is_claimed;               /* the write happened with the claim: its answer must be kept */
    api_handler_fn *again;         /* while api_replay looks */
    const struct error *otherwise; /* while api_replay looks: the answer if the key was not used; in the arena */
    struct submit_claim claim;
    void *state; /* the handler's own, in the arena */
};

struct api_settings {
    struct slice secret;
    const char *spool_directory;
    int64_t spool_bytes_max;
    struct quota *spool;   /* of the files of all loops; outlives the api */
    int64_t results_bytes; /* of a stream's answer, from which on it lists no more of what was taken */
    int answer_timeout_ms;
    int64_t line_bytes_max;
    int64_t anonymous_body_bytes_max;
    struct quota *memory;      /* of all requests of the process; outlives the api */
    struct quota *connections; /* their number; the same */
    int64_t l1_bytes;
    const char *l2_url;
    int64_t l2_ttl_ms;
    int64_t closed_max_age_s;
    int64_t statistics_ms;
    int heartbeat_ms;
    int query_anonymous; /* queries in one POST /query without a key */
    int token_cookie_s;  /* 0: none */
    int64_t worker_silent_after_ms;
};

/* Every route there is, in the order in which a request is compared with them; static. */
const struct api_route *api_routes(size_t *ret_count);

struct api *api_new(struct ev_loop *loop, struct store *store, const struct api_settings *settings);
void api_free(struct api **api);
void api_start_draining(struct api *api);                         /* readyz says no */
struct http_counters *api_http_counters(struct api *api);         /* for the server to count in */
void api_set_server(struct api *api, struct http_server *server); /* to ask itself; NULL: it is going away */
struct http_application api_application(struct api *api);

/* ---- for the handlers ---- */

const struct crypto_key *api_cursor_key(const struct api *api);
const struct crypto_key *api_token_key(const struct api *api);
const struct api_settings *api_settings_of(const struct api *api);
bool api_is_draining(const struct api *api);
struct ev_loop *api_loop(const struct api *api);
struct documents *api_documents(const struct api *api);
/* Whether the worker gave no sign of life for too long; *ret_text says what is known of it: "ok", or since when. */
enum { API_WORKER_TEXT_MAX = 96 };
bool api_worker_is_silent(const struct api_call *call, char ret_text[static API_WORKER_TEXT_MAX]);

size_t api_route_index(const struct api_call *call);
/* age_us: how long ago what is sent was made; counted for what a cache had. */
void api_count(struct api_call *call, enum api_cache outcome, int64_t age_us);
/* The second cache did not have it; or has it, and it is refreshed. */
void api_count_l2(struct api_call *call, bool is_refresh);
/* Server-Timing: who answered, how long it took. */
enum { API_TIMING_MAX = 128 };
void api_timing_text(const struct api_call *call, char timing[static API_TIMING_MAX]);
void api_timing_header(const struct api_call *call); /* for what is answered next */

void api_fail(struct api_call *call, const struct error *error);
void api_fail_with(struct api_call *call, enum error_code code, const char *message);

/* A read from the leader as long as there is one; a standby that answers in its place has what the request's token names. As
 * db_read_with. */
bool api_read_primary(struct api_call *call, const struct db_call *read, db_read_fn *done, void *context);
/* A refusal because of what there is now (ERROR_NONE: nothing is left to do, which is 204): where an Idempotency-Key was
 * used before, its first answer all the same, or what `again` (may be NULL) makes of it. */
void api_refuse(struct api_call *call, const struct error *error, api_handler_fn *again);
/*
 * A change of a definition of the call's game. definition_written_call is the last of its calls on the primary;
 * definition_written takes that one's rows: it tells all servers, and makes the token that the answer carries
 * (call->written).
 */
struct db_call api_definition_written_call(struct api_call *call, int64_t game_id);
void api_definition_written(struct api_call *call, int64_t game_id, struct db_rows rows);
/* The same, if the transaction changed the entries of a standing, too. */
void api_standing_written(struct api_call *call, int64_t game_id, struct db_rows rows, int64_t standing);
/* Sends it; first keeps it where an Idempotency-Key asks for that. token "" for none. */
void api_answer(struct api_call *call, int status, struct buf *body, const char *token);
/* The Idempotency-Key was used: sends what it got; or, when that answer was never made, calls `again` to make it. */
void api_replay(struct api_call *call, api_handler_fn *again);

/* Parameters: false after filling *error. Missing: true, the value left as it was. */
bool api_int(const struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *ret_value,
             struct error *error);
struct slice api_text(const struct api_call *call, const char *name); /* data NULL: missing */
bool api_fields_has(const struct api_call *call, const char *name, bool by_default);

#define API_TOKEN_COOKIE "ladder_token"

/* The token that the answer of a write carries. */
void api_token_text(const struct api_call *call, const struct token *token, char out[static TOKEN_TEXT_MAX]);
/* Its header, and the cookie for clients that keep those instead. */
void api_token_headers(struct api_call *call, const char *token);

/* ---- handlers, by file ---- */

api_handler_fn api_board_put, api_board_get, api_board_list, api_board_patch, api_board_delete,
    api_board_deleted;                                                           /* boards.c */
api_handler_fn api_score_post, api_scores_post;                                  /* scores.c */
api_handler_fn api_top, api_range, api_player, api_around, api_players, api_at;  /* standings.c */
api_handler_fn api_compare, api_player_history;                                  /* history.c */
api_handler_fn api_combination_put, api_combination_get, api_combination_delete; /* combination.c */
api_handler_fn api_player_boards;                                                /* player_boards.c */
api_handler_fn api_statistics;                                                   /* statistics.c */
api_handler_fn api_stats_history;                                                /* stats_history.c */
api_handler_fn api_game_statistics, api_hall_of_fame;                            /* game_statistics.c */
api_handler_fn api_player_statistics;                                            /* player_statistics.c */
api_handler_fn api_periods;                                                      /* periods.c */
api_handler_fn api_player_describe;                                              /* describe.c */
api_handler_fn api_player_remove, api_player_erase;                              /* removal.c */
api_handler_fn api_cache_purge;                                                  /* purging.c */
api_handler_fn api_query;                                                        /* query.c */
api_handler_fn api_description, api_docs;                                        /* document.c */
api_handler_fn api_healthz, api_readyz, api_metrics, api_version;                /* health.c */
api_handler_fn api_performance, api_alerts, api_servers_change;                  /* servers.c */

/* The streamed form of POST /scores (stream.c): answered at once, or later, or the body is passed on. */
void api_stream_begin(struct api_call *call);
bool api_stream_data(struct api_call *call, struct slice bytes);
/* The rest of the body cannot be decoded: after this, only api_stream_end or api_stream_abandon. */
void api_stream_broken(struct api_call *call, const struct error *error);
void api_stream_end(struct api_call *call);
void api_stream_abandon(struct api_call *call); /* the client left before the end */
/* The API key in the Authorization header: data NULL without one, "" when it is no Bearer. */
struct slice api_bearer(const struct api_call *call);

/* Shared rendering (render.c). */
struct schedules_view;
/* schedules: of a board that has some; else NULL. */
void api_render_board(struct jsonw *json, const struct board *board, const struct schedules_view *schedules);
/* An entry's fields, without the braces, as `fields` asks. */
struct api_entry_view {
    bool subscore, achieved_at, metadata;
};
struct api_entry_view api_entry_view_of(const struct api_call *call, bool metadata_by_default);
void api_render_row(struct jsonw *json, const struct board *board, const struct standing_row *row,
                    struct api_entry_view view);
void api_render_result(struct api_call *call, struct jsonw *json, const struct submission *submission,
                       const struct submit_result *result);
struct intake_item;
void api_render_item(struct api_call *call, struct jsonw *json, const struct intake_item *item,
                     const struct submit_result *result);
/* submission.c. Reads one submission object: {board?, player, score, …}. board_name is set when the object names one. */
struct json_object;
bool api_read_submission(struct api_call *call, const struct json_object *object, bool has_board, struct arena *arena,
                         struct submission *ret_submission, struct slice *ret_board, struct error *error);

#endif
