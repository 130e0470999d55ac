/* Consistency tokens, the same way as cursors. */
#include "fuzz.h"

#include "base/crypto.h"
#include "board/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto_key key;
    static bool has_key;
    struct token token = {.epoch = 0}, back;
    struct error error = {.code = ERROR_NONE};
    char text[TOKEN_TEXT_MAX];
    uint8_t fields[2 + 4 + 4 + 8 + 1 + 8] = {0};

    if (!has_key) {
        ASSERT(crypto_start());
        crypto_derive(&key, SLICE("a secret of the fuzzer"), "token");
        has_key = true;
    }
    if (!token_decode(fuzz_slice(data, size), &key, &back, &error))
        fuzz_check_error(&error);
    if (size)
        memcpy(fields, data, size < sizeof(fields) ? size : sizeof(fields));
    memcpy(&token.epoch, fields + 2, 4);
    memcpy(&token.timeline, fields + 6, 4);
    memcpy(&token.lsn, fields + 10, 8);
    token.is_applied = fields[18] & 1;
    memcpy(&token.committed_us, fields + 19, 8);
    size_t length = token_encode(&token, &key, text);
    ASSERT(length < sizeof(text) && strlen(text) == length);
    ASSERT(token_decode((struct slice){text, length}, &key, &back, &error));
    ASSERT(back.epoch == token.epoch && back.timeline == token.timeline && back.lsn == token.lsn);
    ASSERT(back.is_applied == token.is_applied && back.committed_us == token.committed_us);
    char *changed = &text[fields[0] % length];
    char was = *changed;
    *changed = (char)fields[1];
    ASSERT(*changed == was || !token_decode((struct slice){text, length}, &key, &back, &error));
    return 0;
}
