#include "base/compress.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/assert.h"

enum { GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, BROTLI_WINDOW = 18 };

static const int gzip_levels[] = {[COMPRESS_FAST] = 1, [COMPRESS_SMALL] = 6};
static const int brotli_levels[] = {[COMPRESS_FAST] = 1, [COMPRESS_SMALL] = 5};

struct compressor {
    enum compress_coding coding;
    z_stream gzip;
    BrotliEncoderState *brotli;
};

static bool gzip_begin(z_stream *stream, enum compress_effort effort)
{
    return deflateInit2(stream, gzip_levels[effort], Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
}

static size_t gzip(enum compress_effort effort, struct slice body, uint8_t *out, size_t size)
{
    z_stream stream = {
        .next_in = (Bytef *)body.data, .avail_in = (uInt)body.size, .next_out = out, .avail_out = (uInt)size};

    if (!gzip_begin(&stream, effort))
        return 0;
    int end = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return end == Z_STREAM_END ? size - stream.avail_out : 0;
}

static size_t brotli(enum compress_effort effort, struct slice body, uint8_t *out, size_t size)
{
    size_t written = size;

    return BrotliEncoderCompress(brotli_levels[effort], BROTLI_WINDOW, BROTLI_MODE_TEXT, body.size,
                                 (const uint8_t *)body.data, &written, out)
               ? written
               : 0;
}

bool compress_body(enum compress_coding coding, enum compress_effort effort, struct slice body, struct buf *out)
{
    size_t size = body.size - body.size / 10;

    buf_init(out, size + 1);
    uint8_t *room = (uint8_t *)buf_reserve(out, size);
    if (!room)
        return false;
    size_t written = coding == COMPRESS_GZIP ? gzip(effort, body, room, size) : brotli(effort, body, room, size);
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

/* ---- in pieces ---- */

static bool brotli_begin(struct compressor *compressor, enum compress_effort effort)
{
    BrotliEncoderState *brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);

    compressor->brotli = brotli;
    return brotli && BrotliEncoderSetParameter(brotli, BROTLI_PARAM_QUALITY, (uint32_t)brotli_levels[effort]) &&
           BrotliEncoderSetParameter(brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW) &&
           BrotliEncoderSetParameter(brotli, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
}

struct compressor *compressor_new(enum compress_coding coding, enum compress_effort effort)
{
    struct compressor *compressor = calloc(1, sizeof(*compressor));

    if (!compressor)
        return NULL;
    compressor->coding = coding;
    if (coding == COMPRESS_GZIP ? gzip_begin(&compressor->gzip, effort) : brotli_begin(compressor, effort))
        return compressor;
    compressor_free(&compressor);
    return NULL;
}

void compressor_free(struct compressor **pcompressor)
{
    struct compressor *compressor = *pcompressor;

    if (!compressor)
        return;
    if (compressor->coding == COMPRESS_GZIP)
        deflateEnd(&compressor->gzip);
    else if (compressor->brotli)
        BrotliEncoderDestroyInstance(compressor->brotli);
    free(compressor);
    *pcompressor = NULL;
}

static bool gzip_run(z_stream *stream, enum compress_step step, struct slice *in, uint8_t *out, size_t size,
                     size_t *ret_written)
{
    static const int steps[] = {
        [COMPRESS_MORE] = Z_NO_FLUSH, [COMPRESS_FLUSH] = Z_SYNC_FLUSH, [COMPRESS_END] = Z_FINISH};

    stream->next_in = (Bytef *)in->data;
    stream->avail_in = (uInt)in->size;
    stream->next_out = out;
    stream->avail_out = (uInt)size;
    int end = deflate(stream, steps[step]);
    *in = (struct slice){(const char *)stream->next_in, stream->avail_in};
    *ret_written = size - stream->avail_out;
    return end == Z_OK || end == Z_STREAM_END || end == Z_BUF_ERROR; /* BUF_ERROR: there is nothing to do */
}

static bool brotli_run(BrotliEncoderState *brotli, enum compress_step step, struct slice *in, uint8_t *out, size_t size,
                       size_t *ret_written)
{
    static const BrotliEncoderOperation steps[] = {[COMPRESS_MORE] = BROTLI_OPERATION_PROCESS,
                                                   [COMPRESS_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                   [COMPRESS_END] = BROTLI_OPERATION_FINISH};
    size_t left = size;
    const uint8_t *next = (const uint8_t *)in->data;

    bool is_ok = BrotliEncoderCompressStream(brotli, steps[step], &in->size, &next, &left, &out, NULL);
    in->data = (const char *)next;
    *ret_written = size - left;
    return is_ok;
}

bool compressor_run(struct compressor *compressor, enum compress_step step, struct slice *in, uint8_t *out, size_t size,
                    size_t *ret_written)
{
    ASSERT(size > 0);
    return compressor->coding == COMPRESS_GZIP ? gzip_run(&compressor->gzip, step, in, out, size, ret_written)
                                               : brotli_run(compressor->brotli, step, in, out, size, ret_written);
}
