#include "cli/game_webhook.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/text.h"
#include "cli/command.h"
#include "edge/signature.h"

enum { SECRET_BYTES = 32, TOP_MAX = 1000, URL_BYTES_MAX = 1000 };

static bool url_check(const char *url, struct error *error)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;

    return (scheme && url[scheme] && !strchr("/?#", url[scheme]) && strlen(url) <= URL_BYTES_MAX &&
            text_is_utf8(slice_of(url)) && !text_has_control(slice_of(url)) && !strchr(url, ' ')) ||
           error_set(error, ERROR_INVALID_PARAMETER, "the URL is http:// or https:// and a host, at most %d bytes",
                     URL_BYTES_MAX);
}

static bool game_text(struct dbb *db, const char *game, char text[static 24], struct error *error)
{
    int64_t id;

    if (!command_game(db, game, &id, error))
        return false;
    snprintf(text, 24, "%lld", (long long)id);
    return true;
}

bool game_webhook_set(struct dbb *db, const char *game, const char *url, const struct webhook_options *options,
                      struct error *error)
{
    char id[24], hex[2 + 2 * WEBHOOK_SECRET_MAX + 1] = "\\x", shown[WEBHOOK_SECRET_TEXT_MAX];
    uint8_t secret[WEBHOOK_SECRET_MAX];
    size_t secret_size = SECRET_BYTES;
    int64_t top = 10;
    struct dbb_result *result;

    if (!url_check(url, error) || !game_text(db, game, id, error))
        return false;
    if (options->top && (!text_parse_int64(slice_of(options->top), &top) || top < 0 || top > TOP_MAX))
        return error_set(error, ERROR_INVALID_PARAMETER, "--top is 0 to %d", TOP_MAX);
    if (options->secret && !webhook_secret_read(slice_of(options->secret), secret, &secret_size))
        return error_set(error, ERROR_INVALID_PARAMETER, "--secret is whsec_ and %d to %d bytes in base64",
                         WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX);
    if (!options->secret)
        crypto_random(secret, SECRET_BYTES);
    text_hex_encode(secret, secret_size, hex + 2);
    const char *parameters[] = {id, url, hex, options->top, options->secret ? "true" : "false"};
    if (!dbb_query(
            db,
            "insert into ladder.webhook as w (game_id, url, secret, top_count) values ($1, $2, $3::bytea, coalesce($4::int, 10)) "
            "on conflict (game_id) do update set url = excluded.url, top_count = coalesce($4::int, w.top_count), updated_at = now(), "
            "secret = case when $5::boolean then excluded.secret else w.secret end returning xmax = 0",
            5, parameters, &result, error))
        return false;
    bool is_new = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    webhook_secret_write((struct slice){(const char *)secret, secret_size}, shown);
    if (is_new && !options->secret)
        printf("%s\n", shown);
    else
        printf("set\n");
    return true;
}

bool game_webhook_show(struct dbb *db, const char *game, struct error *error)
{
    char id[24];
    const char *parameters[] = {id};
    struct dbb_result *result;

    if (!game_text(db, game, id, error) ||
        !dbb_query(db, "select url, top_count from ladder.webhook where game_id = $1", 1, parameters, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    if (is_there)
        printf("%s\ttop %s\n", dbb_text(result, 0, 0), dbb_text(result, 0, 1));
    dbb_result_free(&result);
    if (!is_there)
        return error_set(error, ERROR_NOT_FOUND, "%s has no webhook", game);
    if (!dbb_query(
            db,
            "select d.message_id, coalesce(b.name || ' ' || ladder.window_title(p.window_kind, b.schedules) || ' ' || ladder.time_text(p.starts_at), 'test'), d.attempts, "
            "case when d.delivered_at is not null then 'delivered ' || ladder.time_text(d.delivered_at) "
            "     when d.next_at is null then 'given up' else 'next ' || ladder.time_text(d.next_at) end, coalesce(d.last_error, '') "
            "from ladder.webhook_delivery d left join ladder.period p on p.id = d.period_id left join ladder.board b on b.id = p.board_id "
            "where d.game_id = $1 order by d.id desc limit 20",
            1, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        printf("%s\t%s\ttries %s\t%s\t%s\n", dbb_text(result, i, 0), dbb_text(result, i, 1), dbb_text(result, i, 2),
               dbb_text(result, i, 3), dbb_text(result, i, 4));
    dbb_result_free(&result);
    return true;
}

bool game_webhook_clear(struct dbb *db, const char *game, struct error *error)
{
    char id[24];
    const char *parameters[] = {id};

    if (!game_text(db, game, id, error) ||
        !dbb_query(db, "delete from ladder.webhook_delivery where game_id = $1 and next_at is not null", 1, parameters,
                   NULL, error) ||
        !dbb_query(db, "delete from ladder.webhook where game_id = $1", 1, parameters, NULL, error))
        return false;
    printf("cleared\n");
    return true;
}

bool game_webhook_test(struct dbb *db, const char *game, struct error *error)
{
    char id[24];
    const char *parameters[] = {id};
    struct dbb_result *result;

    if (!game_text(db, game, id, error) ||
        !dbb_query(
            db,
            "insert into ladder.webhook_delivery (message_id, game_id) select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.game_id "
            "from ladder.webhook w where w.game_id = $1 returning message_id",
            1, parameters, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    if (is_there)
        printf("queued %s\n", dbb_text(result, 0, 0));
    dbb_result_free(&result);
    return is_there || error_set(error, ERROR_NOT_FOUND, "%s has no webhook", game);
}
