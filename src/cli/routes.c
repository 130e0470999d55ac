/*
 * routes.c -- `ladder routes`: the table of routes as text, for what describes or checks them.
 */
#include <stdio.h>

#include "api/api.h"
#include "cli/command.h"

int cmd_routes(int argc, char **argv)
{
    size_t count;
    const struct api_route *routes = api_routes(&count);

    (void)argv;
    if (argc != 1) {
        fprintf(stderr, "usage: ladder routes\n");
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < count; i++) {
        bool is_public = routes[i].scope == SCOPE_READ && routes[i].flags & API_NEEDS_BOARD;
        bool has_pretty = !(routes[i].flags & API_FIXED_FORM);
        printf("%s %s %s%s %s%s\n", http_method_name(routes[i].method), routes[i].path, scope_name(routes[i].scope),
               is_public ? "|public" : "", has_pretty ? "pretty " : "", routes[i].parameters);
    }
    return EXIT_DONE;
}
