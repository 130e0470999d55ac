/* A JSON body: parsed, read by every reader, its metadata written again. */
#include "fuzz.h"

#include "http/json.h"

static void read_object(const struct json_object *object, struct arena *arena)
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
        struct json_document again;
        ASSERT(text.size <= 2048 && text_is_utf8(text));
        ASSERT(json_document_parse(&again, text, &error)); /* what we keep can be read */
        json_document_free(&again);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_document document;
    struct json_object object;
    struct error error = {.code = ERROR_NONE};
    struct arena arena;

    if (!json_document_parse(&document, fuzz_slice(data, size), &error)) {
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
