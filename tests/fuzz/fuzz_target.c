/* The request target: the host in it, the guard, percent-decoding, the query's parameters. */
#include "fuzz.h"

#include <strings.h>

#include "http/authority.h"
#include "http/guard.h"
#include "http/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice target = fuzz_slice(data, size);
    struct error error = {.code = ERROR_NONE};
    char *decoded = malloc(size + 1);
    size_t decoded_size;

    ASSERT(decoded != NULL);
    if (text_percent_decode(target, decoded, &decoded_size))
        ASSERT(decoded_size <= size);
    free(decoded);
    size_t skip;
    (void)authority_is_valid(target);
    if (authority_in_target(target, &skip, &error))
        ASSERT(skip <= size && (skip == 0 || (skip > 7 && strncasecmp(target.data, "http", 4) == 0)));
    else
        fuzz_check_error(&error);
    if (!guard_target(target, 4096, &error)) {
        fuzz_check_error(&error);
        return 0;
    }
    ASSERT(size > 0 && size <= 4096 && data[0] == '/' && !memchr(data, 0, size));
    const char *query = memchr(target.data, '?', target.size);
    if (!query)
        return 0;
    static struct http_request request;
    request = (struct http_request){.parameter_count = 0};
    arena_init(&request.arena, HTTP_ARENA_BYTES_MAX);
    if (!request_parameters(&request, (struct slice){query + 1, size - (size_t)(query + 1 - target.data)}, &error))
        fuzz_check_error(&error);
    ASSERT(request.parameter_count >= 0 && request.parameter_count <= HTTP_PARAMETERS_MAX);
    for (int i = 0; i < request.parameter_count; i++) {
        const struct http_parameter *parameter = &request.parameters[i];
        ASSERT(text_is_utf8(parameter->name) && text_is_utf8(parameter->value));
        ASSERT(parameter->name.data[parameter->name.size] == 0);
        if (!memchr(parameter->name.data, 0, parameter->name.size))
            ASSERT(http_parameter(&request, parameter->name.data) == parameter);
    }
    arena_done(&request.arena);
    return 0;
}
