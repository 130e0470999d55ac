/*
 * key.c -- API keys: lk_<id>_<secret>. Only a hash of the whole is stored, so a key is shown once.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/text.h"
#include "board/board.h"
#include "board/key_id.h"
#include "cli/command.h"
#include "kv/blocking.h"
#include "kv/keys.h"

enum { REDIS_TIMEOUT_MS = 2000, SECRET_DIGITS = 43 /* 62^43 > 2^256 */, LABEL_BYTES_MAX = 200 };

static void random_digits(char *out, int count)
{
    for (int i = 0; i < count;) {
        uint8_t byte;
        crypto_random(&byte, 1);
        if (byte < 248) /* 4 * 62: no digit is likelier than another */
            out[i++] = key_digits[byte % 62];
    }
}

static bool id_make(struct dbb *db, char id[static KEY_ID_MAX], struct error *error)
{
    struct key_secret secret;
    struct dbb_result *result;
    size_t size = 0;

    if (!dbb_query(db, "select encode(secret, 'base64') from ladder.key_secret", 0, NULL, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1 &&
                    text_base64_decode(slice_of(dbb_text(result, 0, 0)), secret.bytes, sizeof(secret.bytes), &size);
    dbb_result_free(&result);
    if (!is_there || size != sizeof(secret.bytes))
        return error_set(
            error, ERROR_NOT_FOUND,
            "the secret that signs keys is missing from the database (docs/operations.md, The first game)");
    random_digits(id, KEY_ID_RANDOM_DIGITS);
    key_id_sign(&secret, id);
    return true;
}

static bool key_create(struct dbb *db, const char *game, const char *scope, const char *name, struct error *error)
{
    char key[3 + KEY_ID_SIGNED_DIGITS + 1 + SECRET_DIGITS + 1] = "";
    char id[KEY_ID_MAX], hash_text[2 * CRYPTO_HASH_SIZE + 3] = "\\x", game_id_text[24];
    uint8_t hash[CRYPTO_HASH_SIZE];
    enum scope parsed;
    int64_t game_id;

    if (!scope || !scope_parse(slice_of(scope), &parsed))
        return error_set(error, ERROR_INVALID_PARAMETER, "--scope must be admin, write or read");
    if (name && (!text_is_utf8(slice_of(name)) || text_has_control(slice_of(name)) || strlen(name) > LABEL_BYTES_MAX))
        return error_set(error, ERROR_INVALID_PARAMETER, "--name is UTF-8 without control characters, at most %d bytes",
                         LABEL_BYTES_MAX);
    if (!command_game(db, game, &game_id, error) || !id_make(db, id, error))
        return false;
    int before = snprintf(key, sizeof(key), "lk_%s_", id);
    random_digits(key + before, SECRET_DIGITS);
    crypto_digest((struct slice){key, sizeof(key) - 1}, hash);
    text_hex_encode(hash, sizeof(hash), hash_text + 2);
    snprintf(game_id_text, sizeof(game_id_text), "%lld", (long long)game_id);
    const char *parameters[] = {id, game_id_text, name ? name : "", scope, hash_text};
    if (!dbb_query(
            db,
            "insert into ladder.api_key (id, game_id, name, scope, hash) values ($1, $2, $3, $4::ladder.key_scope, $5::bytea)",
            5, parameters, NULL, error))
        return false;
    printf("%s\n", key);
    return true;
}

static bool key_list(struct dbb *db, const char *game, struct error *error)
{
    char text[24];
    const char *parameters[] = {text};
    struct dbb_result *result;
    int64_t game_id;

    if (!command_game(db, game, &game_id, error))
        return false;
    snprintf(text, sizeof(text), "%lld", (long long)game_id);
    if (!dbb_query(
            db,
            "select k.id, k.scope, k.name, to_char(k.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
            "coalesce(to_char(k.revoked_at at time zone 'UTC', '\"revoked \"YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'live') "
            "from ladder.api_key k where k.game_id = $1 order by k.created_at, k.id",
            1, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        printf("%s\t%s\t%s\t%s\t%s\n", dbb_text(result, i, 0), dbb_text(result, i, 1), dbb_text(result, i, 2),
               dbb_text(result, i, 3), dbb_text(result, i, 4));
    dbb_result_free(&result);
    return true;
}

static bool revoked_publish(const struct settings *settings, struct dbb *db, const char *id, struct error *error)
{
    struct dbb_result *result;
    struct kvb_reply *reply;
    char message[128];

    /* What the commit has drawn. */
    if (!dbb_query(
            db,
            "select g.id, g.definition from ladder.api_key k join ladder.game g on g.id = k.game_id where k.id = $1", 1,
            &id, &result, error))
        return false;
    int size = dbb_rows(result) == 0
                   ? 0
                   : snprintf(message, sizeof(message), "%s %s %s", dbb_text(result, 0, 0), dbb_text(result, 0, 1), id);
    dbb_result_free(&result);
    if (size <= 0 || size >= (int)sizeof(message))
        return true; /* the game is gone, and with it the key */
    struct kvb *kv = kvb_open(settings->redis_url, REDIS_TIMEOUT_MS, error);
    const struct slice publish[] = {SLICE("PUBLISH"), SLICE(KV_DEFINITIONS), slice_of(message)};
    bool is_ok = kv && kvb_call(kv, ARRAY_SIZE(publish), publish, &reply, error);
    if (is_ok)
        kvb_reply_free(&reply);
    kvb_close(&kv);
    return is_ok;
}

/* The servers are told through Redis; the commit stands whether or not that is there. */
static void revoked_tell(const struct settings *settings, struct dbb *db, const char *id)
{
    struct error error;

    if (!revoked_publish(settings, db, id, &error))
        fprintf(stderr,
                "ladder key: the servers could not be told through Redis (%s): they take the key for %lld ms more\n",
                error.message, (long long)settings->cache_key_ttl_ms);
}

static bool key_revoke(const struct settings *settings, struct dbb *db, const char *id, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, "update ladder.api_key set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id",
                   1, &id, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    dbb_result_free(&result);
    if (!is_there)
        return error_set(error, ERROR_NOT_FOUND, "there is no key %s", id);
    revoked_tell(settings, db, id);
    printf("revoked %s\n", id);
    return true;
}

int cmd_key(int argc, char **argv)
{
    static struct settings settings;
    const char *game = NULL, *scope = NULL, *name = NULL;
    const struct option_row options[] = {
        {"game", &game, NULL}, {"scope", &scope, NULL}, {"name", &name, NULL}, {NULL, NULL, NULL}};
    struct error error;
    int status;

    if (!command_start(&argc, argv,
                       "key create --game G --scope admin|write|read [--name TEXT] | key list --game G | key revoke ID",
                       options, &settings, &status))
        return status;
    const char *verb = argc > 1 ? argv[1] : "";
    bool is_create = strcmp(verb, "create") == 0 && argc == 2 && game,
         is_list = strcmp(verb, "list") == 0 && argc == 2 && game;
    if (!is_create && !is_list && !(strcmp(verb, "revoke") == 0 && argc == 3)) {
        fprintf(
            stderr,
            "usage: ladder key create --game G --scope admin|write|read [--name TEXT] | key list --game G | key revoke ID\n");
        return EXIT_USAGE;
    }
    struct dbb *db = command_database(&settings, "ladder key", &error);
    bool is_ok = db && (is_create ? key_create(db, game, scope, name, &error)
                        : is_list ? key_list(db, game, &error)
                                  : key_revoke(&settings, db, argv[2], &error));
    dbb_close(&db);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
