#include "board/token.h"

#include "base/text.h"

enum { VERSION = 3, SIZE = 1 + 1 + 4 + 4 + 5 * 8, VERSION_2 = 2, SIZE_2 = SIZE - 3 * 8 };

static void put(uint8_t *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static uint64_t get(const uint8_t *at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

size_t token_encode(const struct token *token, const struct crypto_key *key, char out[static TOKEN_TEXT_MAX])
{
    uint8_t bytes[SIZE + CRYPTO_MAC_SIZE] = {VERSION, token->is_applied};

    put(bytes + 2, (uint32_t)token->epoch, 4);
    put(bytes + 6, (uint32_t)token->timeline, 4);
    put(bytes + 10, (uint64_t)token->lsn, 8);
    put(bytes + 18, (uint64_t)token->version, 8);
    put(bytes + 26, (uint64_t)token->committed_us, 8);
    put(bytes + 34, (uint64_t)token->game_id, 8);
    put(bytes + 42, (uint64_t)token->definition, 8);
    crypto_mac(key, (struct slice){(const char *)bytes, SIZE}, bytes + SIZE);
    return text_base64url_encode(bytes, sizeof(bytes), out);
}

/* Does it end with the MAC of what is before it, and has it the size of its version? */
static bool is_ours(const uint8_t *bytes, size_t size, const struct crypto_key *key)
{
    uint8_t mac[CRYPTO_MAC_SIZE];
    size_t expected = bytes[0] == VERSION ? SIZE : SIZE_2;

    if (size != expected + CRYPTO_MAC_SIZE)
        return false;
    crypto_mac(key, (struct slice){(const char *)bytes, expected}, mac);
    return crypto_equal(mac, bytes + expected, CRYPTO_MAC_SIZE) && (bytes[0] == VERSION || bytes[0] == VERSION_2);
}

bool token_decode(struct slice text, const struct crypto_key *key, struct token *ret_token, struct error *error)
{
    uint8_t bytes[SIZE + CRYPTO_MAC_SIZE] = {0};
    size_t size;

    if (text_base64url_decode(text, bytes, sizeof(bytes), &size) && is_ours(bytes, size, key)) {
        *ret_token = (struct token){
            .epoch = (int32_t)get(bytes + 2, 4),
            .timeline = (int32_t)get(bytes + 6, 4),
            .lsn = (int64_t)get(bytes + 10, 8),
            .version = (int64_t)get(bytes + 18, 8),
            .is_applied = bytes[1] != 0,
        };
        if (bytes[0] == VERSION) {
            ret_token->committed_us = (int64_t)get(bytes + 26, 8);
            ret_token->game_id = (int64_t)get(bytes + 34, 8);
            ret_token->definition = (int64_t)get(bytes + 42, 8);
        }
        return true;
    }
    return error_set_field(error, ERROR_INVALID_TOKEN, "Ladder-Token", "the token is not one that this service made");
}

struct token token_later(const struct token *before, const struct token *after)
{
    struct token token = *after;

    if (before) {
        token.lsn = before->lsn > after->lsn ? before->lsn : after->lsn;
        token.version = before->version > after->version ? before->version : after->version;
        token.is_applied = before->is_applied && after->is_applied;
        token.committed_us = before->committed_us > after->committed_us ? before->committed_us : after->committed_us;
        token.definition = before->definition > after->definition ? before->definition : after->definition;
    }
    return token;
}
