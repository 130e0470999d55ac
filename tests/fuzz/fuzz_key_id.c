/* What is sent as an API key; and whatever id comes of it, signed and then changed. */
#include "fuzz.h"

#include "base/crypto.h"
#include "board/key_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_secret secret = {{0}};
    char id[KEY_ID_MAX], made[KEY_ID_MAX];

    ASSERT(crypto_start());
    memcpy(secret.bytes, data, size < sizeof(secret.bytes) ? size : sizeof(secret.bytes));
    if (!key_id_parse(fuzz_slice(data, size), id))
        return 0;
    size_t length = strlen(id);
    ASSERT(length > 0 && length < KEY_ID_MAX && strspn(id, key_digits) == length);
    ASSERT(memcmp(data + 3, id, length) == 0 && data[3 + length] == '_');
    ASSERT(key_id_has_mac(id) == (length == KEY_ID_SIGNED_DIGITS));
    bool is_right = key_id_verify(&secret, id);
    if (length < KEY_ID_RANDOM_DIGITS)
        return 0;
    memcpy(made, id, KEY_ID_RANDOM_DIGITS);
    key_id_sign(&secret, made);
    ASSERT(strlen(made) == KEY_ID_SIGNED_DIGITS && strspn(made, key_digits) == KEY_ID_SIGNED_DIGITS);
    ASSERT(key_id_verify(&secret, made) && is_right == (strcmp(made, id) == 0));
    char *changed = &made[data[size - 1] % KEY_ID_SIGNED_DIGITS], was = *changed;
    *changed = key_digits[size % 62];
    ASSERT(*changed == was || !key_id_verify(&secret, made));
    return 0;
}
