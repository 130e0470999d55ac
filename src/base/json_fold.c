#include "base/json_fold.h"

#include <string.h>

enum { INDENT = 2, DEPTH_MAX = 64 /* deeper values stay on one line */ };

struct fold {
    struct slice text;
    struct buf *out;
    size_t line_start;    /* in out: the first byte of the line that is being written */
    size_t continuations; /* UTF-8 continuation bytes on that line: bytes, but not characters */
    int depth;
    bool is_broken[DEPTH_MAX + 1]; /* by depth: each item has a line of its own */
};

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* The offset behind the string whose opening quote is at `at`. */
static size_t string_end(struct slice text, size_t at)
{
    for (at++; at < text.size && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at + 1 < text.size ? at + 1 : text.size;
}

/* Whether the object or array at `at`, on one line, has at most `most` characters. Looks no further than those. */
static bool fits(struct slice text, size_t at, size_t most)
{
    size_t width = 0;
    int depth = 0;

    while (at < text.size && width <= most) {
        char byte = text.data[at];
        if (byte == '"') {
            size_t end = string_end(text, at);
            for (; at < end && width <= most; at++)
                width += !is_continuation(text.data[at]);
            continue;
        }
        at++;
        if (is_space(byte))
            continue;
        width += byte == ',' || byte == ':' ? 2 : 1;
        depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
        if (depth == 0)
            break;
    }
    return width <= most;
}

static bool is_empty(struct slice text, size_t at)
{
    do
        at++;
    while (at < text.size && is_space(text.data[at]));
    return at < text.size && (text.data[at] == '}' || text.data[at] == ']');
}

static void line_new(struct fold *fold)
{
    buf_append_byte(fold->out, '\n');
    fold->line_start = fold->out->size;
    fold->continuations = 0;
    for (int i = 0; i < fold->depth * INDENT; i++)
        buf_append_byte(fold->out, ' ');
}

static void open_at(struct fold *fold, size_t at)
{
    size_t column = fold->out->size - fold->line_start - fold->continuations;
    bool is_in_line = fold->depth > 0 && (fold->depth > DEPTH_MAX || !fold->is_broken[fold->depth]);
    size_t most = column < JSON_FOLD_COLUMNS ? JSON_FOLD_COLUMNS - column : 0;

    buf_append_byte(fold->out, fold->text.data[at]);
    fold->depth++;
    if (fold->depth > DEPTH_MAX)
        return;
    fold->is_broken[fold->depth] = !is_in_line && !is_empty(fold->text, at) && !fits(fold->text, at, most);
    if (fold->is_broken[fold->depth])
        line_new(fold);
}

static void close_with(struct fold *fold, char bracket)
{
    bool was_broken = fold->depth > 0 && fold->depth <= DEPTH_MAX && fold->is_broken[fold->depth];

    if (fold->depth > 0)
        fold->depth--;
    if (was_broken)
        line_new(fold);
    buf_append_byte(fold->out, bracket);
}

static void comma(struct fold *fold)
{
    buf_append_byte(fold->out, ',');
    if (fold->depth > 0 && fold->depth <= DEPTH_MAX && fold->is_broken[fold->depth])
        line_new(fold);
    else
        buf_append_byte(fold->out, ' ');
}

static size_t string_copy(struct fold *fold, size_t at)
{
    size_t end = string_end(fold->text, at);

    buf_append(fold->out, fold->text.data + at, end - at);
    for (; at < end; at++)
        fold->continuations += is_continuation(fold->text.data[at]);
    return end;
}

void json_fold(struct slice text, struct buf *out)
{
    struct fold fold = {.text = text, .out = out, .line_start = out->size};

    for (size_t at = 0; at < text.size && !out->is_overflown;) {
        char byte = text.data[at];
        if (byte == '"') {
            at = string_copy(&fold, at);
            continue;
        }
        if (byte == '{' || byte == '[')
            open_at(&fold, at);
        else if (byte == '}' || byte == ']')
            close_with(&fold, byte);
        else if (byte == ',')
            comma(&fold);
        else if (byte == ':')
            buf_append(out, ": ", 2);
        else if (!is_space(byte))
            buf_append_byte(out, byte);
        at++;
    }
}
