#include "http/guard.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/text.h"
#include "http/authority.h"
#include "http/request.h"

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && (c == 0 || !strchr("!#$%&'*+-.^`|~", c))) /* not '_': proxies map it to '-' */
            return false;
    }
    return size > 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool segment_is_odd(struct slice segment, bool is_last)
{
    if (segment.size == 0)
        return !is_last;
    /* Escaped dots are a player's id: nothing here climbs, and who resolves them on the way does not send them on. */
    return slice_is(segment, ".") || slice_is(segment, "..");
}

bool guard_target(struct slice target, int uri_bytes_max, struct error *error)
{
    if (target.size > (size_t)uri_bytes_max)
        return error_set(error, ERROR_URI_TOO_LONG, "the request target has %zu bytes, the limit is %d", target.size,
                         uri_bytes_max);
    if (target.size == 0 || target.data[0] != '/')
        return error_set(error, ERROR_BAD_REQUEST, "the request target must start with '/'");
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.data[i];
        if (c < 0x21 || c > 0x7e)
            return error_set(error, ERROR_BAD_REQUEST, "the request target has a byte that must be percent-encoded");
        if (c != '%')
            continue;
        if (i + 2 >= target.size || !is_hex(target.data[i + 1]) || !is_hex(target.data[i + 2]))
            return error_set(error, ERROR_BAD_REQUEST, "the request target has a broken percent-escape");
        if (target.data[i + 1] == '0' && target.data[i + 2] == '0')
            return error_set(error, ERROR_BAD_REQUEST, "the request target has a NUL");
    }
    const char *query = memchr(target.data, '?', target.size);
    size_t path_size = query ? (size_t)(query - target.data) : target.size;
    for (size_t at = 1; at <= path_size;) {
        const char *slash = memchr(target.data + at, '/', path_size - at);
        size_t end = slash ? (size_t)(slash - target.data) : path_size;
        if (segment_is_odd((struct slice){target.data + at, end - at}, end == path_size))
            return error_set(error, ERROR_BAD_REQUEST, "the path has an empty or a dot segment");
        at = end + 1;
    }
    return true;
}

struct scan {
    struct error *error;
    const char *next;   /* where the next line must begin */
    bool is_contiguous; /* so far */
    bool is_ok;
    int count;
    size_t bytes, bytes_max;
    int hosts, content_lengths, transfer_encodings, singles[9];
    struct slice host, transfer_encoding, content_length, expect;
};

/* Fields of which a second one is an attack or a mistake. */
static const char *const single_names[] = {
    "Content-Type",        "Authorization",    "Idempotency-Key", "Range", "If-Modified-Since",
    "If-Unmodified-Since", "Content-Encoding", "Ladder-Token",    "Expect"};

static enum MHD_Result scan_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                  const char *value, size_t value_size)
{
    struct scan *scan = context;

    (void)kind;
    scan->is_ok = false;
    if (++scan->count > HTTP_HEADERS_MAX) {
        error_set(scan->error, ERROR_HEADERS_TOO_LARGE, "more than %d header fields", HTTP_HEADERS_MAX);
        return MHD_NO;
    }
    if (!is_token(name, name_size)) {
        error_set(scan->error, ERROR_BAD_REQUEST, "a header field's name is malformed");
        return MHD_NO;
    }
    scan->bytes += name_size + value_size + 4; /* ": " and the line's end */
    if (scan->bytes > scan->bytes_max) {
        error_set(scan->error, ERROR_HEADERS_TOO_LARGE, "the header fields have more than %zu bytes", scan->bytes_max);
        return MHD_NO;
    }
    for (size_t i = 0; i < value_size; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            error_set(scan->error, ERROR_BAD_REQUEST, "the header field %s has a control character", name);
            return MHD_NO;
        }
    }
    struct slice text = {value, value_size};
    scan->is_contiguous = scan->is_contiguous && name == scan->next;
    scan->next = value + value_size + 2;
    if (strcasecmp(name, "Host") == 0) {
        scan->hosts++;
        scan->host = text;
    }
    if (strcasecmp(name, "Content-Length") == 0) {
        scan->content_lengths++;
        scan->content_length = text;
    }
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        scan->transfer_encodings++;
        scan->transfer_encoding = text;
    }
    if (strcasecmp(name, "Expect") == 0)
        scan->expect = text;
    for (size_t i = 0; i < ARRAY_SIZE(single_names); i++)
        if (strcasecmp(name, single_names[i]) == 0 && ++scan->singles[i] > 1) {
            error_set(scan->error, ERROR_BAD_REQUEST, "the header field %s is there twice", single_names[i]);
            return MHD_NO;
        }
    scan->is_ok = true;
    return MHD_YES;
}

/* RFC 9112 section 3.2. The library strips the white space before a value, not behind it. */
static bool guard_host(const struct scan *scan, bool is_1_1, struct error *error)
{
    struct slice host = scan->host;

    if (scan->hosts > 1 || (is_1_1 && scan->hosts != 1))
        return error_set(error, ERROR_BAD_REQUEST, "there must be one Host header field");
    while (host.size > 0 && (host.data[host.size - 1] == ' ' || host.data[host.size - 1] == '\t'))
        host.size--;
    return authority_is_valid(host) ||
           error_set(error, ERROR_BAD_REQUEST, "the Host header field is not a host with an optional port");
}

static bool slice_is_word(struct slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static struct slice trimmed(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct slice){text.data + 1, text.size - 1};
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* RFC 9112 section 6.1: codings that are not known, and chunked last and once, get 501. What is no list of codings, or
 * does not end in chunked, has no length that both sides can know. */
static bool coding_refuse(struct slice codings, struct error *error)
{
    bool is_list = true, is_chunked = false;

    for (size_t at = 0; at <= codings.size;) {
        const char *comma = memchr(codings.data + at, ',', codings.size - at);
        size_t end = comma ? (size_t)(comma - codings.data) : codings.size;
        struct slice name = trimmed((struct slice){codings.data + at, end - at});
        is_list = is_list && !is_chunked && is_token(name.data, name.size);
        is_chunked = slice_is_word(name, "chunked");
        at = end + 1;
    }
    if (is_list && is_chunked && memchr(codings.data, ',', codings.size))
        return error_set(error, ERROR_NOT_IMPLEMENTED, "the only transfer coding is chunked");
    return error_set(error, ERROR_BAD_REQUEST, "the only transfer coding is chunked");
}

static bool guard_framing(const struct scan *scan, bool is_1_1, struct guard_result *result, struct error *error)
{
    if (scan->content_lengths > 1)
        return error_set(error, ERROR_BAD_REQUEST, "more than one Content-Length");
    if (scan->transfer_encodings > 1)
        return error_set(error, ERROR_BAD_REQUEST, "more than one Transfer-Encoding");
    if (scan->transfer_encodings == 1) {
        if (!is_1_1 || scan->content_lengths > 0)
            return error_set(error, ERROR_BAD_REQUEST, "Transfer-Encoding beside Content-Length, or in HTTP/1.0");
        if (!slice_is_word(scan->transfer_encoding, "chunked"))
            return coding_refuse(scan->transfer_encoding, error);
        result->has_body = true;
    }
    if (scan->content_lengths == 1) {
        uint64_t length;
        if (scan->content_length.size > 15 || !text_parse_uint64(scan->content_length, &length))
            return error_set(error, ERROR_BAD_REQUEST, "the Content-Length is not a number of up to 15 digits");
        result->is_length_known = true;
        result->content_length = (int64_t)length;
        result->has_body = length > 0;
    }
    return true;
}

/*
 * The header lies in the library's buffer as it came, but for NULs that it put over the spaces of the first line, the
 * colons and both bytes of each line's end. So each part begins where the one before it ended, and what the library cut
 * off, skipped or joined shows as a gap:
 *
 *   GET 0 /a?b 0 HTTP/1.1 00 Host 0 [ ]h 00 Accept 0 [ ]x 00 00 body
 *   |<---------------------- header_size --------------------->|
 */
static bool guard_layout(struct MHD_Connection *connection, const struct guard_line *line, const struct scan *scan,
                         struct error *error)
{
#if MHD_VERSION <= 0x00097500
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    bool is_whole = line->target == line->method + strlen(line->method) + 1 &&
                    line->version == line->target + line->target_size + 1 && scan->is_contiguous &&
                    line->method + info->header_size == scan->next + 2;

    if (!is_whole || (scan->count > 0 && (scan->next[-1] || scan->next[0] || scan->next[1])))
        return error_set(error, ERROR_BAD_REQUEST,
                         "the header has a NUL, a folded or an empty line, or lines that do not end in CR LF");
#else
    (void)connection;
    (void)line; /* later versions refuse these shapes, and promise no such layout */
    (void)scan;
    (void)error;
#endif
    return true;
}

/*
 * When the first line behind the last chunk arrives in pieces, the library (0.9.75) takes the header's last line for a
 * trailer line it has begun, and adds that field once more as a trailer. It is known by its place: it still lies in the
 * header.
 */
struct trailers {
    const char *last_header; /* its name, where it lies */
    bool is_ok;
};

static enum MHD_Result scan_last_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                        const char *value, size_t value_size)
{
    struct trailers *trailers = context;

    (void)kind;
    (void)name_size;
    (void)value;
    (void)value_size;
    trailers->last_header = name;
    return MHD_YES;
}

static enum MHD_Result scan_trailer(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                    const char *value, size_t value_size)
{
    static const char *const forbidden[] = {"Content-Length", "Transfer-Encoding", "Host",   "Content-Type",
                                            "Authorization",  "Content-Encoding",  "Expect", "Idempotency-Key",
                                            "Connection",     "Trailer",           "Cookie", "Ladder-Token"};
    struct trailers *trailers = context;

    (void)kind;
    (void)value;
    (void)value_size;
    if (name == trailers->last_header)
        return MHD_YES;
    trailers->is_ok = is_token(name, name_size);
    for (size_t i = 0; i < ARRAY_SIZE(forbidden) && trailers->is_ok; i++)
        trailers->is_ok = strcasecmp(name, forbidden[i]) != 0;
    return trailers->is_ok ? MHD_YES : MHD_NO;
}

bool guard_trailers(struct MHD_Connection *connection, struct error *error)
{
    struct trailers trailers = {.is_ok = true};

    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_last_header, &trailers);
    MHD_get_connection_values_n(connection, MHD_FOOTER_KIND, scan_trailer, &trailers);
    return trailers.is_ok ||
           error_set(error, ERROR_BAD_REQUEST, "a trailer field is malformed, or belongs into the header");
}

bool guard_header(struct MHD_Connection *connection, const struct guard_line *line, int header_bytes_max,
                  struct guard_result *ret_result, struct error *error)
{
    struct scan scan = {.error = error,
                        .is_ok = true,
                        .is_contiguous = true,
                        .bytes_max = (size_t)header_bytes_max,
                        .next = line->version + strlen(line->version) + 2};
    /* A later minor version is taken as 1.1 (RFC 9110 section 2.5), as the library does. */
    bool is_1_1 = strlen(line->version) == 8 && memcmp(line->version, "HTTP/1.", 7) == 0 && line->version[7] >= '1' &&
                  line->version[7] <= '9';

    *ret_result = (struct guard_result){.has_body = false};
    if (!is_1_1 && strcmp(line->version, "HTTP/1.0") != 0)
        return error_set(error, ERROR_BAD_REQUEST, "the HTTP version is malformed");
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_field, &scan);
    if (!scan.is_ok || !guard_layout(connection, line, &scan, error))
        return false;
    if (!guard_host(&scan, is_1_1, error) || !guard_framing(&scan, is_1_1, ret_result, error))
        return false;
    if (scan.expect.data && (scan.expect.size != 12 || strncasecmp(scan.expect.data, "100-continue", 12) != 0))
        return error_set(error, ERROR_EXPECTATION_FAILED, "the only expectation is 100-continue");
    ret_result->expects_continue = scan.expect.data != NULL;
    return true;
}
