/* Cursors: as text from a client; and as fields from the input, which come back, and do not with one character changed. */
#include "fuzz.h"

#include "base/crypto.h"
#include "board/cursor.h"

static void take(const uint8_t **data, size_t *size, void *to, size_t count)
{
    size_t taken = *size < count ? *size : count;

    memset(to, 0, count);
    memcpy(to, *data, taken);
    *data += taken;
    *size -= taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto_key key;
    static bool has_key;
    struct cursor cursor, back;
    struct error error = {.code = ERROR_NONE};
    char text[CURSOR_TEXT_MAX];
    uint8_t change[2], window;

    if (!has_key) {
        ASSERT(crypto_start());
        crypto_derive(&key, SLICE("a secret of the fuzzer"), "cursor");
        has_key = true;
    }
    if (!cursor_decode(fuzz_slice(data, size), &key, &back, &error))
        fuzz_check_error(&error);
    memset(&cursor, 0, sizeof(cursor));
    take(&data, &size, change, sizeof(change));
    take(&data, &size, &window, 1);
    cursor.window = (enum window)(window % 5);
    take(&data, &size, &cursor.board_id, 8);
    take(&data, &size, &cursor.period_id, 8);
    take(&data, &size, &cursor.period_start_us, 8);
    take(&data, &size, &cursor.period_end_us, 8);
    take(&data, &size, &cursor.key.k1, 8);
    take(&data, &size, &cursor.key.k2, 8);
    take(&data, &size, &cursor.key.k3, 8);
    take(&data, &size, &cursor.k1_max, 8);
    cursor.player_size = 1 + size % PLAYER_BYTES_MAX;
    take(&data, &size, cursor.player, cursor.player_size);
    size_t length = cursor_encode(&cursor, &key, text);
    ASSERT(length < sizeof(text) && strlen(text) == length);
    ASSERT(cursor_decode((struct slice){text, length}, &key, &back, &error));
    ASSERT(back.board_id == cursor.board_id && back.period_id == cursor.period_id && back.k1_max == cursor.k1_max);
    ASSERT(back.period_start_us == cursor.period_start_us && back.period_end_us == cursor.period_end_us);
    ASSERT(back.key.k1 == cursor.key.k1 && back.key.k2 == cursor.key.k2 && back.key.k3 == cursor.key.k3);
    ASSERT(back.window == cursor.window && back.player_size == cursor.player_size);
    ASSERT(memcmp(back.player, cursor.player, cursor.player_size) == 0);
    char *changed = &text[change[0] % length];
    char was = *changed;
    *changed = (char)change[1];
    ASSERT(*changed == was || !cursor_decode((struct slice){text, length}, &key, &back, &error));
    return 0;
}
