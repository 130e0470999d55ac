/*
 * stream_private.h -- what the files of a stream share: stream.c (its life), stream_chunk.c (taking a chunk),
 * stream_claim.c (under an Idempotency-Key).
 */
#ifndef API_STREAM_PRIVATE_H
#define API_STREAM_PRIVATE_H

#include <ev.h>

#include "api/lines.h"
#include "api/spool.h"
#include "api/stream.h"

enum {
    STREAM_LINES = 512,         /* in a chunk, at most */
    STREAM_LINES_MIN = 16,      /* in one attempt of a database that is too slow for more */
    STREAM_KEYED_LINES = 256,   /* in a chunk under an Idempotency-Key, always: repeats must cut at the same lines */
    STREAM_INPUT_BYTES = 65536, /* read ahead of the chunk under way */
    STREAM_ARENA_BYTES = 16 << 20,
    STREAM_RETRY_MS = 100,
};

struct stream {
    struct api_call *call;
    struct lines lines;
    struct spool results; /* the answer, so far */
    bool has_results;
    bool only_errors;
    int64_t all_bytes_max; /* from here on, too, though `omitted` says how many were left out */

    bool is_open;      /* the key was looked at */
    bool is_paused;    /* no more is read */
    bool is_ended;     /* no more comes */
    bool is_abandoned; /* the client left before the end: nothing more begins */
    bool is_begun;     /* the answer */
    bool is_in_run, is_over;
    bool is_failed;
    struct error error;

    /* The chunk: */
    bool is_busy; /* from its first attempt to its end */
    bool is_late; /* nothing was taken for server.answer_timeout_ms */
    struct intake_item items[STREAM_LINES];
    size_t count;
    struct arena arena; /* of its items */
    struct buf text;    /* its results, each behind a comma */
    int64_t taken, refused, omitted;
    struct token token;
    bool has_token;
    bool is_kept; /* taken by an earlier request */
    /* Its attempt: items from `from` to `to`, of which those from `pending` on have failed so far. */
    size_t from, to, pending, attempt_max;
    struct arena attempt;
    struct intake intake;
    struct error failure;
    bool is_uncertain; /* they may have been taken all the same */
    bool is_mixed;     /* a later line was taken than one that failed */
    ev_timer deadline, retry;

    /* All chunks: */
    int64_t taken_sum, refused_sum, omitted_sum;
    int64_t taken_now;       /* without the results that were kept of an earlier request */
    int64_t first_not_taken; /* line; 0: none */
    struct token token_sum;
    bool has_token_sum;

    /* Under an Idempotency-Key: */
    struct submit_claim claim;             /* the request's */
    uint8_t fingerprint[CRYPTO_HASH_SIZE]; /* of all lines so far */
    int64_t chunk_number;
    bool is_replayed; /* the first chunk was */
};

/* stream.c */
void stream_run(struct stream *stream);
void stream_fail(struct stream *stream, const struct error *error);

/* stream_chunk.c */
bool chunk_fill(struct stream *stream); /* true: it can begin */
void chunk_begin(struct stream *stream);
void chunk_attempt(struct stream *stream, size_t from);
void chunk_failed(struct stream *stream, const struct error *error); /* all that is pending; tried again, or given up */
void chunk_give_up(struct stream *stream);
void chunk_end(struct stream *stream);
/* Results that say that the items from `from` on, and all lines that have come since, were not taken. */
void chunk_report(struct stream *stream, size_t from);

/* stream_claim.c */
bool claim_open(struct stream *stream, struct error *error); /* reads the key from the header */
void claim_line(struct stream *stream, struct slice line);   /* the fingerprint goes on */
void claim_begin(struct stream *stream);                     /* a chunk's own key and fingerprint */
void claim_keep(struct stream *stream);                      /* the chunk's results, then ends it */
void claim_replay(struct stream *stream);                    /* the chunk was taken before */

#endif
