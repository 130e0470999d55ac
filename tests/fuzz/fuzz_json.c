/* A JSON body: parsed, read by every reader; what is kept of its metadata is the same value byte for byte. */
#include <stdio.h>

#include "fuzz.h"

#include "http/json.h"
#include "http/json_plain.h"
#include "http/json_scan.h"

/* Whether a field of two objects is read the same, as each kind of value. */
static void check_same(const struct json_object *one, const struct json_object *two, struct arena *arena)
{
    struct slice texts[2] = {{NULL, 0}, {NULL, 0}};
    struct error error;
    int64_t numbers[2];
    bool flags[2];

    bool is_text = json_read_text(one, "metadata", true, &texts[0], &error);
    ASSERT(is_text == json_read_text(two, "metadata", true, &texts[1], &error));
    ASSERT(!is_text || slice_equal(texts[0], texts[1]));
    bool is_number = json_read_int64(one, "metadata", true, &numbers[0], &error);
    ASSERT(is_number == json_read_int64(two, "metadata", true, &numbers[1], &error));
    ASSERT(!is_number || numbers[0] == numbers[1]);
    bool is_flag = json_read_bool(one, "metadata", true, &flags[0], &error);
    ASSERT(is_flag == json_read_bool(two, "metadata", true, &flags[1], &error));
    ASSERT(!is_flag || flags[0] == flags[1]);
    bool is_compact = json_read_compact(one, "metadata", 100000, arena, &texts[0], &error);
    ASSERT(is_compact == json_read_compact(two, "metadata", 100000, arena, &texts[1], &error));
    ASSERT(!is_compact || slice_equal(texts[0], texts[1]));
}

static void check_kept(const struct json_object *object, struct slice kept)
{
    char body[2048 + 32];
    struct json_document again;
    struct json_object root;
    struct arena arena;
    struct slice text = {NULL, 0};
    struct error error;
    int size = snprintf(body, sizeof(body), "{\"metadata\":%.*s}", (int)kept.size, kept.data);

    arena_init(&arena, 1 << 20);
    ASSERT(kept.size > 0 && kept.size <= 2048 && text_is_utf8(kept));
    ASSERT(json_document_parse(&again, (struct slice){body, (size_t)size}, &error));
    ASSERT(json_root_object(&again, &root, &error));
    ASSERT(json_read_raw(&root, "metadata", 2048, &arena, &text, &error) && slice_equal(text, kept));
    check_same(object, &root, &arena);
    json_document_free(&again);
    arena_done(&arena);
}

static void read_object(struct json_object *object, struct arena *arena)
{
    static const char *const names[] = {"player", "score", "metadata", "board", "at", NULL};
    struct error error = {.code = ERROR_NONE};
    struct slice text = {NULL, 0};
    int64_t number;
    bool flag;
    size_t count = 0;

    if (!json_object_only(object, names, &error))
        fuzz_check_error(&error);
    if (!json_read_text(object, "player", true, &text, &error))
        fuzz_check_error(&error);
    else
        ASSERT(text_is_utf8(text) && !memchr(text.data, 0, text.size));
    if (!json_read_int64(object, "score", true, &number, &error))
        fuzz_check_error(&error);
    if (!json_read_bool(object, "at", true, &flag, &error))
        fuzz_check_error(&error);
    text = (struct slice){NULL, 0};
    if (!json_read_raw(object, "metadata", 2048, arena, &text, &error)) {
        fuzz_check_error(&error);
    } else if (text.data) {
        check_kept(object, text);
    }
    if (!json_read_array(object, "scores", 100, &count, &error))
        fuzz_check_error(&error);
    for (size_t i = 0; i < count; i++) {
        struct json_object item;
        if (!json_array_text(object, "scores", i, &text, &error))
            fuzz_check_error(&error);
        if (json_array_object(object, "scores", i, &item, &error))
            read_object(&item, arena);
        else
            fuzz_check_error(&error);
    }
}

enum { PLAIN_MAX = 8 };

/* What is read without the parser is what the parser reads. */
static void check_plain(struct slice body)
{
    struct json_document document;
    struct json_object root;
    struct slice texts[PLAIN_MAX], text;
    struct error error;
    size_t count, counted;

    if (!json_plain_texts(body, "scores", PLAIN_MAX, texts, &count))
        return;
    ASSERT(json_document_parse(&document, body, &error) && json_root_object(&document, &root, &error));
    static const char *const names[] = {"scores", NULL};
    ASSERT(json_object_only(&root, names, &error));
    ASSERT(json_read_array(&root, "scores", PLAIN_MAX, &counted, &error) && counted == count);
    for (size_t i = 0; i < count; i++)
        ASSERT(json_array_text(&root, "scores", i, &text, &error) && slice_equal(text, texts[i]));
    json_document_free(&document);
}

/* What is refused without the parser is what the parser refuses; it may know of more: names and \u0000, and what comes
 * before. Texts of this size always go to the parser. */
static void check_scan(struct slice body, bool is_json, const struct error *error)
{
    size_t at;
    const char *what;

    if (body.size == 0 || body.size > 4096 || memchr(body.data, 0, body.size))
        return;
    bool is_good = json_scan(body, &at, &what);
    ASSERT(is_good || (at <= body.size && what));
    ASSERT(!is_json || is_good);
    ASSERT(is_json || !is_good || strncmp(error->message, "not JSON", 8) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_document document;
    struct json_object object;
    struct error error = {.code = ERROR_NONE};
    struct arena arena;

    check_plain(fuzz_slice(data, size));
    bool is_json = json_document_parse(&document, fuzz_slice(data, size), &error);
    check_scan(fuzz_slice(data, size), is_json, &error);
    if (!is_json) {
        fuzz_check_error(&error);
        return 0;
    }
    arena_init(&arena, 1 << 20);
    if (json_root_object(&document, &object, &error))
        read_object(&object, &arena);
    else
        fuzz_check_error(&error);
    arena_done(&arena);
    json_document_free(&document);
    return 0;
}
