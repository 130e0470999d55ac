#include "http/json_text.h"

#include <stdint.h>

enum { ESCAPE_DIGITS = 4 };

/* 0 behind the end, which no accepted text holds. */
static char byte_at(struct slice text, size_t at)
{
    return at < text.size ? text.data[at] : 0;
}

static size_t space_end(struct slice text, size_t at)
{
    while (byte_at(text, at) == ' ' || byte_at(text, at) == '\t' || byte_at(text, at) == '\n' ||
           byte_at(text, at) == '\r')
        at++;
    return at;
}

/* The offset behind the string whose opening quote is at `at`. */
static size_t string_end(struct slice text, size_t at)
{
    for (at++; at < text.size && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at < text.size ? at + 1 : text.size;
}

static size_t scalar_end(struct slice text, size_t at)
{
    while (at < text.size && !strchr(" \t\n\r,]}", text.data[at]))
        at++;
    return at;
}

/* The offset behind the value that begins at `at`. */
static size_t value_end(struct slice text, size_t at)
{
    int depth = 0;

    if (byte_at(text, at) != '{' && byte_at(text, at) != '[')
        return byte_at(text, at) == '"' ? string_end(text, at) : scalar_end(text, at);
    while (at < text.size) {
        char byte = text.data[at];
        if (byte == '"') {
            at = string_end(text, at);
            continue;
        }
        at++;
        depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
        if (depth == 0)
            break;
    }
    return at;
}

static struct slice part(struct slice text, size_t at, size_t end)
{
    return at < end ? (struct slice){text.data + at, end - at} : (struct slice){"", 0};
}

/* ---- names ---- */

/* The four hexadecimal digits at `at`. */
static uint32_t code_unit(struct slice text, size_t at)
{
    uint32_t unit = 0;

    for (size_t i = at; i < at + ESCAPE_DIGITS; i++) {
        char digit = byte_at(text, i);
        unit = unit << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10) % 16;
    }
    return unit;
}

static size_t utf8_write(uint32_t code, char out[static 4])
{
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[size] | code);
    return size;
}

/* Writes the character or the byte of a string at *at, and moves *at behind it. */
static size_t character_read(struct slice text, size_t *at, char out[static 4])
{
    static const char escapes[] = "bfnrt", meant[] = "\b\f\n\r\t";
    char byte = text.data[(*at)++];

    if (byte == '\\') {
        byte = byte_at(text, (*at)++);
        if (byte == 'u') {
            uint32_t code = code_unit(text, *at);
            *at += ESCAPE_DIGITS;
            if (code >= 0xd800 && code < 0xdc00) {
                code = 0x10000 + ((code & 0x3ff) << 10) + (code_unit(text, *at + 2) & 0x3ff);
                *at += 2 + ESCAPE_DIGITS;
            }
            return utf8_write(code, out);
        }
        const char *escape = byte ? strchr(escapes, byte) : NULL;
        byte = escape ? meant[escape - escapes] : byte;
    }
    out[0] = byte;
    return 1;
}

/* text: what stands between the quotes. */
static bool string_is(struct slice text, const char *name)
{
    struct slice left = slice_of(name);

    for (size_t at = 0; at < text.size;) {
        char character[4];
        size_t size = character_read(text, &at, character);
        if (left.size < size || memcmp(left.data, character, size) != 0)
            return false;
        left = (struct slice){left.data + size, left.size - size};
    }
    return left.size == 0;
}

/* ---- members and items ---- */

bool json_text_member(struct slice object, const char *name, struct slice *ret_value)
{
    size_t at = space_end(object, 0);

    if (byte_at(object, at) != '{')
        return false;
    do {
        size_t key = space_end(object, at + 1);
        if (byte_at(object, key) != '"')
            return false;
        size_t key_end = string_end(object, key);
        size_t value = space_end(object, space_end(object, key_end) + 1); /* behind the colon */
        size_t end = value_end(object, value);
        if (string_is(part(object, key + 1, key_end - 1), name)) {
            *ret_value = part(object, value, end);
            return true;
        }
        at = space_end(object, end);
    } while (byte_at(object, at) == ',');
    return false;
}

bool json_text_item(struct slice array, size_t *at, struct slice *ret_item)
{
    size_t before = space_end(array, *at);

    if (byte_at(array, before) != (*at == 0 ? '[' : ','))
        return false;
    size_t item = space_end(array, before + 1);
    if (item >= array.size || array.data[item] == ']')
        return false;
    *at = value_end(array, item);
    *ret_item = part(array, item, *at);
    return true;
}
