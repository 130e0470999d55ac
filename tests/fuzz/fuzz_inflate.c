/* gzip bodies: in one piece and byte by byte, the outcome and the output are the same. */
#include "fuzz.h"

#include "http/inflate.h"

enum { OUT_BYTES_MAX = 1 << 16 };

struct outcome {
    bool is_ok, is_whole;
    size_t size;
    uint64_t sum; /* FNV-1a of the output */
};

static bool piece_run(struct inflater *inflater, struct slice piece, struct outcome *outcome)
{
    struct error error = {.code = ERROR_NONE};
    struct slice out;

    do {
        size_t before = piece.size;
        outcome->is_ok = inflater_run(inflater, &piece, &out, &error);
        ASSERT(piece.size <= before && out.size <= INFLATE_STEP_BYTES);
        ASSERT(!outcome->is_ok || before > piece.size || out.size > 0 || before == 0);
        for (size_t i = 0; i < out.size; i++)
            outcome->sum = (outcome->sum ^ (unsigned char)out.data[i]) * 1099511628211u;
        outcome->size += out.size;
    } while (outcome->is_ok && outcome->size < OUT_BYTES_MAX && (piece.size > 0 || out.size > 0));
    if (!outcome->is_ok)
        fuzz_check_error(&error);
    return outcome->is_ok && outcome->size < OUT_BYTES_MAX;
}

static struct outcome decode(struct slice data, size_t piece_bytes)
{
    struct outcome outcome = {.is_ok = true, .sum = 14695981039346656037u};
    struct inflater *inflater = inflater_new();

    ASSERT(inflater != NULL);
    ASSERT(!inflater_is_whole(inflater));
    for (size_t at = 0; at < data.size; at += piece_bytes) {
        size_t left = data.size - at;
        if (!piece_run(inflater, (struct slice){data.data + at, left < piece_bytes ? left : piece_bytes}, &outcome))
            break;
    }
    outcome.is_whole = outcome.is_ok && inflater_is_whole(inflater);
    inflater_free(&inflater);
    ASSERT(inflater == NULL);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_slice(data, size);
    struct outcome whole = decode(input, size + 1), bytes = decode(input, 1), pieces = decode(input, 7);

    if (whole.size >= OUT_BYTES_MAX || bytes.size >= OUT_BYTES_MAX || pieces.size >= OUT_BYTES_MAX)
        return 0;
    ASSERT(whole.is_ok == bytes.is_ok && whole.is_ok == pieces.is_ok);
    ASSERT(whole.is_whole == bytes.is_whole && whole.is_whole == pieces.is_whole);
    if (whole.is_ok)
        ASSERT(whole.size == bytes.size && whole.sum == bytes.sum && whole.size == pieces.size &&
               whole.sum == pieces.sum);
    return 0;
}
