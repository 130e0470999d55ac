/*
 * routes.c -- every route: method, path, the scope of the key that it needs, flags for the steps in front of it
 * (dispatch.c), its query parameters, its handler.
 */
#include "api/api.h"
#include "api/metrics.h"
#include "base/assert.h"

#define GAME "/v1/games/{game}"
#define BOARD GAME "/boards/{board}"

static const struct api_route routes[] = {
    {HTTP_GET, "/healthz", SCOPE_NONE, API_OPEN, "", api_healthz},
    {HTTP_GET, "/readyz", SCOPE_NONE, API_OPEN, "", api_readyz},
    {HTTP_GET, "/metrics", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_metrics},
    {HTTP_GET, "/version", SCOPE_NONE, API_OPEN, "", api_version},
    {HTTP_GET, "/monitoring/performance", SCOPE_NONE, API_OPEN, "", api_performance},
    {HTTP_GET, "/monitoring/alerts", SCOPE_NONE, API_OPEN, "", api_alerts},
    {HTTP_POST, "/monitoring/servers", SCOPE_NONE, API_OPEN | API_OPERATOR, "", api_servers_change},
    {HTTP_GET, "/openapi.json", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_description},
    {HTTP_GET, "/docs", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_docs},
    {HTTP_GET, GAME "/boards", SCOPE_READ, 0, "limit cursor", api_board_list},
    {HTTP_PUT, BOARD, SCOPE_ADMIN, API_CONDITIONAL, "", api_board_put},
    {HTTP_GET, BOARD, SCOPE_READ, API_NEEDS_BOARD, "", api_board_get},
    {HTTP_PATCH, BOARD, SCOPE_ADMIN, API_NEEDS_BOARD | API_CONDITIONAL, "", api_board_patch},
    {HTTP_DELETE, BOARD, SCOPE_ADMIN, API_NEEDS_BOARD | API_CONDITIONAL, "", api_board_delete},
    {HTTP_PUT, BOARD "/combination", SCOPE_ADMIN, API_NEEDS_BOARD, "", api_combination_put},
    {HTTP_GET, BOARD "/combination", SCOPE_READ, API_NEEDS_BOARD, "", api_combination_get},
    {HTTP_DELETE, BOARD "/combination", SCOPE_ADMIN, API_NEEDS_BOARD, "", api_combination_delete},
    {HTTP_POST, BOARD "/scores", SCOPE_WRITE, API_NEEDS_BOARD, "integers source", api_score_post},
    {HTTP_POST, GAME "/scores", SCOPE_WRITE, 0, "integers source results", api_scores_post},
    {HTTP_POST, GAME "/query", SCOPE_NONE, API_OPEN, "", api_query},
    {HTTP_GET, BOARD "/top", SCOPE_READ, API_NEEDS_BOARD | API_NEXT_ALONE,
     API_STANDING_PARAMETERS "limit offset cursor", api_top},
    {HTTP_GET, BOARD "/range", SCOPE_READ, API_NEEDS_BOARD | API_NEXT_ALONE,
     API_STANDING_PARAMETERS "min max limit cursor", api_range},
    {HTTP_GET, BOARD "/at", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "rank score subscore percentile",
     api_at},
    {HTTP_GET, BOARD "/stats", SCOPE_READ, API_NEEDS_BOARD, "window period facet integers source p histogram bins",
     api_statistics},
    {HTTP_GET, BOARD "/stats/history", SCOPE_READ, API_NEEDS_BOARD | API_NEXT_IS_FROM, "from to bucket integers",
     api_stats_history},
    {HTTP_GET, BOARD "/periods", SCOPE_READ, API_NEEDS_BOARD, "window limit cursor", api_periods},
    {HTTP_GET, BOARD "/compare", SCOPE_READ, API_NEEDS_BOARD, "window with limit integers", api_compare},
    {HTTP_GET, BOARD "/players/{player}/history", SCOPE_READ, API_NEEDS_BOARD, "window limit cursor integers",
     api_player_history},
    {HTTP_GET, GAME "/players/{player}/boards", SCOPE_READ, 0, "window limit cursor integers", api_player_boards},
    {HTTP_GET, GAME "/stats", SCOPE_READ, API_NEXT_IS_TO, "from to bucket board limit", api_game_statistics},
    {HTTP_GET, GAME "/hall-of-fame", SCOPE_READ, 0, "board window player top limit cursor integers", api_hall_of_fame},
    {HTTP_GET, GAME "/players/{player}/stats", SCOPE_READ, 0, "", api_player_statistics},
    {HTTP_GET, BOARD "/players", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "ids", api_players},
    {HTTP_GET, BOARD "/players/{player}", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS, api_player},
    {HTTP_GET, BOARD "/players/{player}/around", SCOPE_READ, API_NEEDS_BOARD,
     API_STANDING_PARAMETERS "above below absent", api_around},
    {HTTP_PATCH, BOARD "/players/{player}", SCOPE_WRITE, API_NEEDS_BOARD, "window integers source",
     api_player_describe},
    {HTTP_DELETE, BOARD "/players/{player}", SCOPE_WRITE, API_NEEDS_BOARD, "", api_player_remove},
    {HTTP_DELETE, GAME "/players/{player}", SCOPE_ADMIN, 0, "", api_player_erase},
    {HTTP_DELETE, GAME "/cache", SCOPE_ADMIN, 0, "tag", api_cache_purge},
};

const struct api_route *api_routes(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(routes);
    return routes;
}

_Static_assert(ARRAY_SIZE(routes) <= METRICS_ROUTES_MAX && (int)METRICS_ROUTES_MAX <= (int)L1_LABELS_MAX,
               "there is room for each");
