#include "board/key_id.h"

#include <string.h>

#include "base/assert.h"
#include "base/crypto.h"

enum { KEY_TEXT_MAX = 128 };

_Static_assert(KEY_ID_SIGNED_DIGITS < KEY_ID_MAX, "an id with a MAC is an id");

const char key_digits[62 + 1] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool key_id_parse(struct slice text, char id[static KEY_ID_MAX])
{
    if (text.size > KEY_TEXT_MAX || text.size < 5 || memcmp(text.data, "lk_", 3) != 0)
        return false;
    const char *end = memchr(text.data + 3, '_', text.size - 3);
    if (!end || end - (text.data + 3) < 1 || end - (text.data + 3) >= KEY_ID_MAX)
        return false;
    size_t size = (size_t)(end - (text.data + 3));
    memcpy(id, text.data + 3, size);
    id[size] = 0;
    return strspn(id, key_digits) == size;
}

bool key_id_has_mac(const char *id)
{
    return strlen(id) == KEY_ID_SIGNED_DIGITS;
}

/* Of the first digits of the id. */
static void mac_digits(const struct key_secret *secret, const char *id, char out[static KEY_ID_MAC_DIGITS])
{
    const struct slice parts[] = {SLICE("ladder key id "), {id, KEY_ID_RANDOM_DIGITS}};
    uint8_t mac[CRYPTO_HMAC_SHA256_SIZE];
    uint64_t number = 0;

    crypto_hmac_sha256((struct slice){(const char *)secret->bytes, sizeof(secret->bytes)}, parts, ARRAY_SIZE(parts),
                       mac);
    for (size_t i = 0; i < sizeof(number); i++)
        number = number << 8 | mac[i];
    for (size_t i = KEY_ID_MAC_DIGITS; i-- > 0; number /= 62)
        out[i] = key_digits[number % 62];
}

void key_id_sign(const struct key_secret *secret, char id[static KEY_ID_MAX])
{
    mac_digits(secret, id, id + KEY_ID_RANDOM_DIGITS);
    id[KEY_ID_SIGNED_DIGITS] = 0;
}

bool key_id_verify(const struct key_secret *secret, const char *id)
{
    char mac[KEY_ID_MAC_DIGITS];

    if (!key_id_has_mac(id))
        return false;
    mac_digits(secret, id, mac);
    return crypto_equal(mac, id + KEY_ID_RANDOM_DIGITS, sizeof(mac));
}
