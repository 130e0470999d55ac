#include "unit.h"

#include <brotli/decode.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/compress.h"

enum { BYTES_MAX = 1 << 20 };

/* A body of that many rows, as the service makes them. */
static void body_make(struct buf *body, int rows)
{
    buf_init(body, BYTES_MAX);
    for (int i = 0; i < rows; i++)
        buf_printf(body, "{\"rank\":%d,\"player\":\"p%05d\",\"score\":%d}", i + 1, i * 37 % 100000, 1000000 - i);
}

static void assert_restored(enum compress_coding coding, const struct buf *coded, const struct buf *body)
{
    uint8_t *back = malloc(BYTES_MAX);
    size_t size = BYTES_MAX;

    assert_non_null(back);
    if (coding == COMPRESS_BROTLI) {
        assert_int_equal(BrotliDecoderDecompress(coded->size, (uint8_t *)coded->data, &size, back),
                         BROTLI_DECODER_RESULT_SUCCESS);
    } else {
        z_stream stream = {
            .next_in = (Bytef *)coded->data, .avail_in = (uInt)coded->size, .next_out = back, .avail_out = BYTES_MAX};
        assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.avail_in, 0);
        size = stream.total_out;
        inflateEnd(&stream);
    }
    assert_int_equal(size, body->size);
    assert_memory_equal(back, body->data, size);
    free(back);
}

static void test_bodies_come_back(void **context)
{
    (void)context;
    for (int effort = COMPRESS_FAST; effort <= COMPRESS_SMALL; effort++)
        for (int coding = COMPRESS_GZIP; coding <= COMPRESS_BROTLI; coding++) {
            struct buf body, smaller;
            body_make(&body, 100);
            assert_true(
                compress_body((enum compress_coding)coding, (enum compress_effort)effort, buf_slice(&body), &smaller));
            assert_true(smaller.size < body.size / 2);
            assert_restored((enum compress_coding)coding, &smaller, &body);
            buf_done(&smaller);
            buf_done(&body);
        }
}

static void test_noise_does_not_pay(void **context)
{
    uint64_t state = 3;
    struct buf body, smaller;

    (void)context;
    buf_init(&body, 2000);
    for (int i = 0; i < 2000; i++)
        buf_append_byte(&body, (char)unit_random(&state));
    assert_false(compress_body(COMPRESS_GZIP, COMPRESS_SMALL, buf_slice(&body), &smaller));
    assert_false(compress_body(COMPRESS_BROTLI, COMPRESS_FAST, buf_slice(&body), &smaller));
    buf_done(&body);
}

/* One step, with room for `room` bytes at a time. */
static void step_run(struct compressor *compressor, enum compress_step step, struct slice in, size_t room,
                     struct buf *coded)
{
    uint8_t out[4096];
    size_t written;

    do {
        assert_true(compressor_run(compressor, step, &in, out, room, &written));
        buf_append(coded, (const char *)out, written);
    } while (written == room || in.size > 0);
}

/* In pieces of any size, with flushes between them and little room for the result. */
static void test_pieces_come_back(void **context)
{
    uint64_t state = 11;
    struct buf body;

    (void)context;
    body_make(&body, 5000);
    for (int turn = 0; turn < 60; turn++) {
        enum compress_coding coding = turn % 2 ? COMPRESS_GZIP : COMPRESS_BROTLI;
        struct compressor *compressor = compressor_new(coding, turn % 4 < 2 ? COMPRESS_FAST : COMPRESS_SMALL);
        struct slice rest = buf_slice(&body);
        struct buf coded;
        assert_non_null(compressor);
        buf_init(&coded, BYTES_MAX);
        while (rest.size > 0) {
            size_t size = 1 + unit_random(&state) % 70000, room = 1 + unit_random(&state) % 4096;
            struct slice piece = {rest.data, size < rest.size ? size : rest.size};
            rest = (struct slice){rest.data + piece.size, rest.size - piece.size};
            step_run(compressor, unit_random(&state) % 3 ? COMPRESS_MORE : COMPRESS_FLUSH, piece, room, &coded);
        }
        step_run(compressor, COMPRESS_END, rest, 1 + unit_random(&state) % 4096, &coded);
        assert_restored(coding, &coded, &body);
        buf_done(&coded);
        compressor_free(&compressor);
    }
    buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_come_back),
        cmocka_unit_test(test_noise_does_not_pay),
        cmocka_unit_test(test_pieces_come_back),
    };

    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
