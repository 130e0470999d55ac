#include "http/inflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, GZIP_FIRST_BYTE = 0x1f };

struct inflater {
    z_stream zlib;
    bool is_member_over;
    Bytef out[INFLATE_STEP_BYTES];
};

struct inflater *inflater_new(void)
{
    struct inflater *inflater = malloc(sizeof(*inflater));

    if (!inflater)
        return NULL;
    inflater->zlib = (z_stream){.next_in = NULL};
    inflater->is_member_over = false;
    if (inflateInit2(&inflater->zlib, GZIP_WINDOW) == Z_OK)
        return inflater;
    free(inflater);
    return NULL;
}

void inflater_free(struct inflater **pinflater)
{
    if (!*pinflater)
        return;
    inflateEnd(&(*pinflater)->zlib);
    free(*pinflater);
    *pinflater = NULL;
}

bool inflater_is_whole(const struct inflater *inflater)
{
    return inflater->is_member_over;
}

/* Behind a member: another one begins. */
static bool member_begin(struct inflater *inflater, struct slice in, struct error *error)
{
    if ((unsigned char)in.data[0] != GZIP_FIRST_BYTE)
        return error_set(error, ERROR_INVALID_BODY, "the gzip body has bytes behind its end");
    inflater->is_member_over = false;
    inflateReset(&inflater->zlib);
    return true;
}

bool inflater_run(struct inflater *inflater, struct slice *in, struct slice *ret_out, struct error *error)
{
    z_stream *zlib = &inflater->zlib;

    *ret_out = (struct slice){"", 0};
    if (inflater->is_member_over && in->size == 0)
        return true;
    if (inflater->is_member_over && !member_begin(inflater, *in, error))
        return false;
    uInt given = in->size < UINT32_MAX ? (uInt)in->size : UINT32_MAX;
    zlib->next_in = (Bytef *)in->data;
    zlib->avail_in = given;
    zlib->next_out = inflater->out;
    zlib->avail_out = INFLATE_STEP_BYTES;
    int outcome = inflate(zlib, Z_NO_FLUSH);
    size_t taken = given - zlib->avail_in;
    *in = (struct slice){in->data + taken, in->size - taken};
    if (outcome == Z_MEM_ERROR)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (outcome != Z_OK && outcome != Z_STREAM_END && outcome != Z_BUF_ERROR) /* BUF_ERROR: nothing to do */
        return error_set(error, ERROR_INVALID_BODY, "the gzip body is damaged: %s",
                         zlib->msg ? zlib->msg : "it cannot be decoded");
    inflater->is_member_over = outcome == Z_STREAM_END;
    *ret_out = (struct slice){(const char *)inflater->out, INFLATE_STEP_BYTES - zlib->avail_out};
    return true;
}
