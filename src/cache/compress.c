#include "cache/compress.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>

/* Made once and sent often, but while requests wait: the levels at which both still take well under a millisecond a
 * page. */
enum { GZIP_LEVEL = 6, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, BROTLI_LEVEL = 5, BROTLI_WINDOW = 18 };

static size_t gzip(struct slice body, uint8_t *out, size_t size)
{
    z_stream stream = {
        .next_in = (Bytef *)body.data, .avail_in = (uInt)body.size, .next_out = out, .avail_out = (uInt)size};

    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int end = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return end == Z_STREAM_END ? size - stream.avail_out : 0;
}

static size_t brotli(struct slice body, uint8_t *out, size_t size)
{
    size_t written = size;

    return BrotliEncoderCompress(BROTLI_LEVEL, BROTLI_WINDOW, BROTLI_MODE_TEXT, body.size, (const uint8_t *)body.data,
                                 &written, out)
               ? written
               : 0;
}

bool compress_body(enum compress_coding coding, struct slice body, struct buf *out)
{
    size_t size = body.size - body.size / 10;

    buf_init(out, size + 1);
    uint8_t *room = (uint8_t *)buf_reserve(out, size);
    if (!room)
        return false;
    size_t written = coding == COMPRESS_GZIP ? gzip(body, room, size) : brotli(body, room, size);
    out->size += written;
    if (written > 0)
        return true;
    buf_done(out);
    return false;
}

bool compress_restore(struct slice coded, size_t size, struct buf *body)
{
    size_t written = size;
    uint8_t *room = (uint8_t *)buf_reserve(body, size + 1);

    if (!room ||
        BrotliDecoderDecompress(coded.size, (const uint8_t *)coded.data, &written, room) !=
            BROTLI_DECODER_RESULT_SUCCESS ||
        written != size)
        return false;
    body->size += written;
    body->data[body->size] = 0;
    return true;
}
