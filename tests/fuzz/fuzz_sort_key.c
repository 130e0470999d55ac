/* Members of Redis's sorted sets: whatever decodes is the one coding of its integers; and the order of bytes is theirs. */
#include "fuzz.h"

#include "board/sort_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sort_key key, other;
    uint8_t bytes[SORT_KEY_MAX], other_bytes[SORT_KEY_MAX];
    size_t key_size, other_size;

    if (!sort_key_decode(fuzz_slice(data, size), &key, &key_size))
        return 0;
    ASSERT(key_size <= size && key_size <= SORT_KEY_MAX);
    ASSERT(sort_key_encode(&key, bytes) == key_size && memcmp(bytes, data, key_size) == 0);
    if (!sort_key_decode(fuzz_slice(data + key_size, size - key_size), &other, &other_size))
        return 0;
    ASSERT(sort_key_encode(&other, other_bytes) == other_size);
    int by_bytes = memcmp(bytes, other_bytes, key_size < other_size ? key_size : other_size);
    int by_value = sort_key_compare(&key, SLICE(""), &other, SLICE(""));
    ASSERT((by_bytes > 0) == (by_value > 0) && (by_bytes < 0) == (by_value < 0));
    return 0;
}
