/* Cursors: as text from a client; and as fields from the input, which come back, and do not with one character changed. */
#include "fuzz.h"

#include "base/crypto.h"
#include "board/cursor.h"

enum { HEAD_SIZE = 3, NUMBERS = 8, FIELDS_SIZE = HEAD_SIZE + NUMBERS * 8 + PLAYER_BYTES_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto_key key;
    static bool has_key;
    struct cursor cursor = {.board_id = 0}, back;
    struct error error = {.code = ERROR_NONE};
    char text[CURSOR_TEXT_MAX];
    uint8_t fields[FIELDS_SIZE] = {0};
    int64_t numbers[NUMBERS];

    if (!has_key) {
        ASSERT(crypto_start());
        crypto_derive(&key, SLICE("a secret of the fuzzer"), "cursor");
        has_key = true;
    }
    if (!cursor_decode(fuzz_slice(data, size), &key, &back, &error))
        fuzz_check_error(&error);
    if (size)
        memcpy(fields, data, size < sizeof(fields) ? size : sizeof(fields));
    memcpy(numbers, fields + HEAD_SIZE, sizeof(numbers));
    cursor.window = (enum window)(fields[2] % WINDOW_COUNT);
    cursor.board_id = numbers[0];
    cursor.period_id = numbers[1];
    cursor.period_start_us = numbers[2];
    cursor.period_end_us = numbers[3];
    cursor.key = (struct sort_key){numbers[4], numbers[5], numbers[6]};
    cursor.k1_max = numbers[7];
    cursor.player_size = 1 + size % PLAYER_BYTES_MAX;
    memcpy(cursor.player, fields + HEAD_SIZE + sizeof(numbers), cursor.player_size);
    for (size_t i = 0; size % 2 && i < size % FACET_TEXT_MAX; i++)
        cursor.facet[i] = data[i] ? (char)data[i] : ':';
    cursor.has_view = true;
    cursor.view = (struct cursor_view){.ranking = (enum ranking)(fields[0] % (RANKING_DENSE + 1)),
                                       .limit = 1 + fields[1],
                                       .metadata = fields[2] & 1,
                                       .total = fields[2] & 2,
                                       .source = fields[2] & 4};
    size_t length = cursor_encode(&cursor, &key, text);
    ASSERT(length < sizeof(text) && strlen(text) == length);
    ASSERT(cursor_decode((struct slice){text, length}, &key, &back, &error));
    ASSERT(back.board_id == cursor.board_id && back.period_id == cursor.period_id && back.k1_max == cursor.k1_max);
    ASSERT(back.period_start_us == cursor.period_start_us && back.period_end_us == cursor.period_end_us);
    ASSERT(back.key.k1 == cursor.key.k1 && back.key.k2 == cursor.key.k2 && back.key.k3 == cursor.key.k3);
    ASSERT(back.window == cursor.window && back.player_size == cursor.player_size);
    ASSERT(memcmp(back.player, cursor.player, cursor.player_size) == 0);
    ASSERT(strcmp(back.facet, cursor.facet) == 0);
    ASSERT(back.has_view && back.view.ranking == cursor.view.ranking && back.view.limit == cursor.view.limit);
    ASSERT(back.view.metadata == cursor.view.metadata && back.view.total == cursor.view.total);
    ASSERT(back.view.source == cursor.view.source && !back.view.subscore && !back.view.percentile);
    char *changed = &text[fields[0] % length];
    char was = *changed;
    *changed = (char)fields[1];
    ASSERT(*changed == was || !cursor_decode((struct slice){text, length}, &key, &back, &error));
    return 0;
}
