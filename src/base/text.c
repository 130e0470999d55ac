#include "base/text.h"

#include <stdlib.h>

/* Decodes one character at data[0..size); 0: invalid. Unicode 15, table 3-7. */
static size_t character(const unsigned char *data, size_t size, uint32_t *ret_code)
{
    uint32_t code;
    size_t count;

    if (data[0] < 0x80) {
        *ret_code = data[0];
        return 1;
    }
    if (data[0] >= 0xc2 && data[0] <= 0xdf) {
        code = data[0] & 0x1f;
        count = 2;
    } else if ((data[0] & 0xf0) == 0xe0) {
        code = data[0] & 0x0f;
        count = 3;
    } else if (data[0] >= 0xf0 && data[0] <= 0xf4) {
        code = data[0] & 0x07;
        count = 4;
    } else {
        return 0;
    }
    if (size < count)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if ((data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (data[i] & 0x3f);
    }
    if ((count == 3 && code < 0x800) || (count == 4 && code < 0x10000) || (code >= 0xd800 && code <= 0xdfff) ||
        code > 0x10ffff)
        return 0;
    *ret_code = code;
    return count;
}

bool text_is_utf8(struct slice text)
{
    uint32_t code;

    for (size_t at = 0; at < text.size;) {
        size_t count = character((const unsigned char *)text.data + at, text.size - at, &code);
        if (!count)
            return false;
        at += count;
    }
    return true;
}

size_t text_keep_utf8(char *text, size_t size)
{
    uint32_t code;
    size_t kept = 0;

    for (size_t at = 0; at < size;) {
        size_t count = character((const unsigned char *)text + at, size - at, &code);
        memmove(text + kept, text + at, count);
        kept += count;
        at += count ? count : 1;
    }
    return kept;
}

bool text_has_control(struct slice text)
{
    uint32_t code;

    for (size_t at = 0; at < text.size;) {
        size_t count = character((const unsigned char *)text.data + at, text.size - at, &code);
        if (!count || code < 0x20 || (code >= 0x7f && code <= 0x9f))
            return true;
        at += count;
    }
    return false;
}

bool text_parse_uint64(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool text_parse_int64(struct slice text, int64_t *ret_value)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;

    if (is_negative) {
        text.data++;
        text.size--;
    }
    if (!text_parse_uint64(text, &magnitude) || magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_value = (int64_t)(is_negative ? -magnitude : magnitude);
    return true;
}

bool text_parse_decimal(struct slice text, double *ret_value)
{
    char copy[64];
    bool has_digit = false, has_point = false;

    if (text.size == 0 || text.size >= sizeof(copy))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c >= '0' && c <= '9')
            has_digit = true;
        else if (c == '.' && !has_point)
            has_point = true;
        else if (c != '-' || i != 0)
            return false;
        copy[i] = c;
    }
    copy[text.size] = 0;
    if (!has_digit)
        return false;
    *ret_value = strtod(copy, NULL);
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t text_base64url_size(size_t bytes_size)
{
    return (bytes_size * 4 + 2) / 3;
}

size_t text_base64url_encode(const void *bytes, size_t size, char *out)
{
    const unsigned char *in = bytes;
    size_t at = 0;

    for (size_t i = 0; i < size; i += 3) {
        uint32_t group =
            (uint32_t)in[i] << 16 | (i + 1 < size ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < size ? in[i + 2] : 0);
        size_t digits = size - i >= 3 ? 4 : size - i + 1;
        for (size_t d = 0; d < digits; d++)
            out[at++] = alphabet[group >> (18 - 6 * d) & 63];
    }
    out[at] = 0;
    return at;
}

static int digit_of(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

bool text_base64url_decode(struct slice text, void *out, size_t out_max, size_t *ret_size)
{
    unsigned char *to = out;
    uint32_t group = 0;
    int bits = 0;
    size_t size = 0;

    if (text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.data[i]);
        if (digit < 0)
            return false;
        group = (group << 6 | (uint32_t)digit) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (size == out_max)
                return false;
            to[size++] = (unsigned char)(group >> bits);
        }
    }
    *ret_size = size;
    return (group & ((1u << bits) - 1)) == 0;
}

size_t text_base64_encode(const void *bytes, size_t size, char *out)
{
    size_t length = text_base64url_encode(bytes, size, out);

    for (size_t i = 0; i < length; i++)
        out[i] = out[i] == '-' ? '+' : out[i] == '_' ? '/' : out[i];
    while (length % 4)
        out[length++] = '=';
    out[length] = 0;
    return length;
}

bool text_base64_decode(struct slice text, void *out, size_t out_max, size_t *ret_size)
{
    char url[1024];
    size_t size = text.size;

    if (size % 4 || size > sizeof(url))
        return false;
    for (int i = 0; i < 2 && size && text.data[size - 1] == '='; i++)
        size--;
    for (size_t i = 0; i < size; i++) {
        char c = text.data[i];
        if (c == '-' || c == '_')
            return false;
        url[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    return text_base64url_decode((struct slice){url, size}, out, out_max, ret_size);
}

void text_hex_encode(const void *bytes, size_t size, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *in = bytes;

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex[in[i] >> 4];
        out[2 * i + 1] = hex[in[i] & 15];
    }
    out[2 * size] = 0;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool text_percent_decode(struct slice text, char *out, size_t *ret_size)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            out[size++] = text.data[i];
            continue;
        }
        if (text.size - i < 3 || hex_of(text.data[i + 1]) < 0 || hex_of(text.data[i + 2]) < 0)
            return false;
        out[size++] = (char)(hex_of(text.data[i + 1]) << 4 | hex_of(text.data[i + 2]));
        i += 2;
    }
    *ret_size = size;
    return true;
}
