#include "base/put.h"

#include <stdbool.h>

const char put_pairs[200] = {
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
    "555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"};

static int digit_count(uint64_t value)
{
    int count = 1;

    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

char *put_uint64(char *at, uint64_t value)
{
    char *end = at + digit_count(value), *from = end;

    for (; value >= 100; value /= 100)
        put_two_digits(from -= 2, (int)(value % 100));
    if (value >= 10)
        put_two_digits(at, (int)value);
    else
        *at = (char)('0' + value);
    return end;
}

char *put_int64(char *at, int64_t value)
{
    if (value >= 0)
        return put_uint64(at, (uint64_t)value);
    return put_uint64(put_byte(at, '-'), -(uint64_t)value);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

#define EACH_BYTE(byte) (0x0101010101010101u * (byte))

/* Whether one of eight bytes is below a limit (at most 0x80): then its subtraction borrows into its highest bit. */
static bool has_below(uint64_t bytes, uint64_t limit)
{
    return ((bytes - EACH_BYTE(limit)) & ~bytes & EACH_BYTE(0x80)) != 0;
}

/* How many bytes need no escape: eight at a time, as long as all eight are plain. */
static size_t plain_size(struct slice text)
{
    size_t size = 0;
    uint64_t eight;

    for (; text.size - size >= sizeof(eight); size += sizeof(eight)) {
        memcpy(&eight, text.data + size, sizeof(eight));
        if (has_below(eight, 0x20) || has_below(eight ^ EACH_BYTE('"'), 1) || has_below(eight ^ EACH_BYTE('\\'), 1) ||
            has_below(eight ^ EACH_BYTE(0x7f), 1))
            break;
    }
    while (size < text.size && is_plain((unsigned char)text.data[size]))
        size++;
    return size;
}

/* Of a byte that is not plain. */
static size_t escape_size(char c)
{
    return c == '"' || c == '\\' ? 2 : 6;
}

size_t put_json_size(struct slice text)
{
    size_t size = text.size + 2;

    for (size_t i = plain_size(text); i < text.size; i++)
        if (!is_plain((unsigned char)text.data[i]))
            size += escape_size(text.data[i]) - 1;
    return size;
}

char *put_json_string(char *at, struct slice text)
{
    static const char hex[] = "0123456789abcdef";

    at = put_byte(at, '"');
    while (text.size) {
        size_t plain = plain_size(text);
        at = put_bytes(at, text.data, plain);
        if (plain == text.size)
            break;
        char c = text.data[plain];
        if (escape_size(c) == 2) {
            at = put_byte(put_byte(at, '\\'), c);
        } else {
            at = put_literal(at, "\\u00");
            at = put_byte(put_byte(at, hex[c >> 4]), hex[c & 15]);
        }
        text = (struct slice){text.data + plain + 1, text.size - plain - 1};
    }
    return put_byte(at, '"');
}
