/*
 * stream_claim.c -- a stream under an Idempotency-Key.
 *
 * The first chunk has the client's key itself, so that a key of another request is found; the others have one that is
 * derived from it. What is kept of a chunk is the answer as if the chunk had been the whole stream:
 *
 *     {"results":[ … ],"taken":255,"refused":1,"token":"…"}
 */
#include <stdio.h>
#include <string.h>

#include "api/checks.h"
#include "api/stream_private.h"

static const char HEAD[] = "{\"results\":[", TAIL[] = "],\"taken\":";

static void digest_parts(const struct slice *parts, int count, uint8_t out[static CRYPTO_HASH_SIZE])
{
    struct buf text;

    buf_init(&text, 128 << 20);
    for (int i = 0; i < count; i++)
        buf_append_slice(&text, parts[i]);
    crypto_digest(buf_slice(&text), out);
    buf_done(&text);
}

#define BYTES(of) ((struct slice){(const char *)(of), sizeof(*(of))})

bool claim_open(struct stream *stream, struct error *error)
{
    struct api_call *call = stream->call;

    if (!claim_check(call, error))
        return false;
    stream->claim = call->claim;
    memcpy(stream->fingerprint, call->claim.hash, sizeof(stream->fingerprint)); /* method and target */
    return true;
}

void claim_line(struct stream *stream, struct slice line)
{
    const struct slice parts[] = {BYTES(&stream->fingerprint), BYTES(&stream->lines.number), line};

    digest_parts(parts, 3, stream->fingerprint);
}

/* Whether it is the last chunk, and the empty lines behind it, are part of its fingerprint: a longer body is another
 * one. */
void claim_begin(struct stream *stream)
{
    struct submit_claim *claim = &stream->call->claim;
    bool is_last = stream->is_ended && !lines_has_more(&stream->lines);
    const struct slice key[] = {BYTES(&stream->claim.key), BYTES(&stream->chunk_number)};
    const int64_t end[] = {is_last, is_last ? stream->lines.number : 0,
                           is_last ? (int64_t)lines_waiting(&stream->lines) : 0};
    const struct slice hash[] = {BYTES(&stream->fingerprint), BYTES(&end)};

    *claim = stream->claim;
    if (stream->chunk_number > 0)
        digest_parts(key, 2, claim->key);
    digest_parts(hash, 2, claim->hash);
}

/* ---- keeping ---- */

/* What was taken stays taken: a repeat that finds no results makes them from what the transaction kept. */
static void on_kept(void *context, bool is_first, const struct error *error)
{
    (void)is_first;
    (void)error;
    chunk_end(context);
}

void claim_keep(struct stream *stream)
{
    struct api_call *call = stream->call;
    char token[TOKEN_TEXT_MAX] = "";
    struct slice text = buf_slice(&stream->text);
    struct buf kept;

    if (stream->has_token)
        api_token_text(call, &stream->token, token);
    buf_init(&kept, STREAM_ARENA_BYTES);
    buf_append_text(&kept, HEAD);
    if (text.size)
        buf_append(&kept, text.data + 1, text.size - 1);
    buf_printf(&kept, "%s%lld,\"refused\":%lld", TAIL, (long long)stream->taken, (long long)stream->refused);
    if (stream->omitted)
        buf_printf(&kept, ",\"omitted\":%lld", (long long)stream->omitted);
    if (token[0])
        buf_printf(&kept, ",\"token\":\"%s\"", token);
    buf_append_byte(&kept, '}');
    arena_reset(&stream->attempt);
    if (kept.is_overflown)
        chunk_end(stream);
    else
        idempotency_keep(call->store, &stream->attempt, call->key.game_id, &call->claim, 200, slice_of(token),
                         buf_slice(&kept), on_kept, stream);
    buf_done(&kept);
}

/* ---- again ---- */

static bool kept_read(struct stream *stream, const struct idempotency_answer *answer)
{
    struct slice body = answer->body;
    long long taken, refused, omitted = 0;
    size_t head = sizeof(HEAD) - 1, tail = body.size;
    struct error error;

    if (answer->status != 200 || body.size < head || memcmp(body.data, HEAD, head) != 0)
        return false;
    while (tail > head && strncmp(body.data + tail, TAIL, sizeof(TAIL) - 1) != 0) /* it ends in a NUL */
        tail--;
    if (sscanf(body.data + tail, "],\"taken\":%lld,\"refused\":%lld,\"omitted\":%lld", &taken, &refused, &omitted) < 2)
        return false;
    struct slice results = {body.data + head, tail - head};
    if (results.size) {
        buf_append_byte(&stream->text, ',');
        buf_append_slice(&stream->text, results);
    }
    stream->taken = taken;
    stream->refused = refused;
    stream->omitted = omitted;
    stream->has_token =
        answer->token.size > 0 && token_decode(answer->token, api_token_key(stream->call->api), &stream->token, &error);
    return true;
}

static void on_found(void *context, const struct idempotency_answer *answer)
{
    struct stream *stream = context;
    struct error error = answer->error;

    stream->is_kept = true;
    stream->is_replayed = stream->is_replayed || stream->chunk_number == 0;
    if (answer->is_orphan) {
        stream->pending = stream->to;
        intake_resume(&stream->intake);
    } else if (answer->error.code != ERROR_NONE) {
        stream->is_kept = false;
        stream->pending = stream->from;
        chunk_failed(stream, &error);
    } else if (kept_read(stream, answer)) {
        chunk_end(stream);
    } else {
        error_set(&error, ERROR_INTERNAL, "the results that were kept cannot be read");
        stream->pending = stream->from;
        chunk_failed(stream, &error);
    }
}

void claim_replay(struct stream *stream)
{
    struct api_call *call = stream->call;

    buf_reset(&stream->text);
    stream->taken = stream->refused = stream->omitted = 0;
    idempotency_find(call->store, &stream->attempt, call->key.game_id, &call->claim, on_found, stream);
}
