/*
 * settings.h -- what the operator decides: one YAML file, each value also from the environment.
 *
 * Read once at start, then constant and shared by all threads. The rows are settings.tbl.h.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum { SETTINGS_TEXT_MAX = 1024, SETTINGS_LIST_MAX = 16, SETTINGS_FILE_BYTES_MAX = 65536 };

struct settings_list {
    size_t count;
    char items[SETTINGS_LIST_MAX][SETTINGS_TEXT_MAX];
};

struct settings {
#define INT(section, name, fallback, min, max, unit, help) int64_t section##_##name;
#define BOOL(section, name, fallback, help) bool section##_##name;
#define TEXT(section, name, fallback, help) char section##_##name[SETTINGS_TEXT_MAX];
#define SECRET(section, name, help) char section##_##name[SETTINGS_TEXT_MAX];
#define LIST(section, name, help) struct settings_list section##_##name;
#include "conf/settings.tbl.h"
#undef INT
#undef BOOL
#undef TEXT
#undef SECRET
#undef LIST
};

/* The defaults of the table. */
void settings_init(struct settings *settings);

/* What a text, or an item of a list, must be beyond that is for those to say who use it: false with the reason in
 * error's message. */
typedef bool settings_check_fn(const char *section, const char *name, const char *value, struct error *error);

/*
 * Defaults, then the YAML file at path (NULL: none), then the environment. On failure the error's
 * message reads `file:line: section.name: what is wrong (allowed: min to max unit)`, or
 * `LADDER_SECTION_NAME: …` for the environment. Unknown sections and names, duplicates, aliases,
 * anchors, nesting deeper than a setting's, and files above SETTINGS_FILE_BYTES_MAX are refused;
 * so is an environment variable LADDER_<SECTION>_… of a known section that names no setting, and what
 * `check` (may be NULL) refuses.
 */
bool settings_load(struct settings *settings, const char *path, settings_check_fn *check, struct error *error);

/* The file to use when none was named: $LADDER_CONFIG, then ./config/ladder.yaml, then
 * /etc/ladder/ladder.yaml, else NULL. Static memory. */
const char *settings_default_path(void);

/* `section.name = value  # unit, range, help` a line; secrets, and the passwords in URLs, as "***". */
void settings_print(const struct settings *settings, FILE *out);

#endif
