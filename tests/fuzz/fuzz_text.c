/* The small parsers of base/text and base/clock: UTF-8, numbers, base64url, times. */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_slice(data, size);
    char *kept = fuzz_text(data, size);
    size_t kept_size = text_keep_utf8(kept, size);

    ASSERT(kept_size <= size && text_is_utf8((struct slice){kept, kept_size}));
    ASSERT(text_is_utf8(text) == (kept_size == size));
    text_has_control(text);
    free(kept);

    int64_t number;
    if (text_parse_int64(text, &number)) {
        char again[32];
        int digits = snprintf(again, sizeof(again), "%lld", (long long)number);
        bool is_plain = data[0] != '0' && !(size > 1 && data[0] == '-' && data[1] == '0');
        ASSERT(!is_plain || slice_equal(text, (struct slice){again, (size_t)digits}));
    }
    uint64_t natural;
    if (text_parse_uint64(text, &natural))
        ASSERT(natural > INT64_MAX || (text_parse_int64(text, &number) && (uint64_t)number == natural));
    double real;
    if (text_parse_decimal(text, &real))
        ASSERT(isfinite(real));

    uint8_t *bytes = malloc(size + 1);
    char *coded = malloc(text_base64url_size(size) + 1);
    size_t bytes_size;
    ASSERT(bytes && coded);
    if (text_base64url_decode(text, bytes, size, &bytes_size)) {
        ASSERT(bytes_size <= size);
        ASSERT(slice_equal((struct slice){coded, text_base64url_encode(bytes, bytes_size, coded)}, text));
    }
    size_t coded_size = text_base64url_encode(data, size, coded);
    ASSERT(coded_size == text_base64url_size(size));
    ASSERT(text_base64url_decode((struct slice){coded, coded_size}, bytes, size, &bytes_size) && bytes_size == size);
    ASSERT(size == 0 || memcmp(bytes, data, size) == 0);
    free(bytes);
    free(coded);

    int64_t time_us, again_us;
    if (clock_parse(text, &time_us)) {
        char written[CLOCK_TEXT_MAX];
        size_t written_size = clock_format(time_us, written);
        ASSERT(written_size < sizeof(written) && clock_parse((struct slice){written, written_size}, &again_us));
        ASSERT(again_us == time_us);
    }
    return 0;
}
