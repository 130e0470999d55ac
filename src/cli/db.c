/*
 * db.c -- `ladder db`: how PostgreSQL carries out our statements, and what its indexes are like. It changes nothing
 * unless it is told to (`analyze --apply`).
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/text.h"
#include "cli/command.h"
#include "db/statements.h"

enum { TEXT_BYTES_MAX = 1 << 20, AIR_PERCENT = 30, SLOW_ROWS = 20, QUERY_SHOWN = 60 };
#define AIR_BYTES_TEXT "8388608"

/* ---- explain ---- */

static void literal(struct buf *buf, const char *value)
{
    if (strcmp(value, "null") == 0) {
        buf_append_text(buf, value);
        return;
    }
    buf_append_byte(buf, '\'');
    for (; *value; value++) {
        if (*value == '\'')
            buf_append_byte(buf, '\'');
        buf_append_byte(buf, *value);
    }
    buf_append_byte(buf, '\'');
}

/*
 * The plan's lines, in a transaction that the caller rolls back. values: of the parameters; count 0 although it has
 * some: the plan for any (then it can't be carried out).
 */
static bool plan_read(struct dbb *db, enum statement statement, size_t count, char *const *values, bool runs,
                      struct dbb_result **ret_plan, struct error *error)
{
    struct dbb_result *types;
    struct buf text;

    if (strncmp(statement_text(statement), "call ", 5) == 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "it calls a procedure: that has no plan");
    buf_init(&text, TEXT_BYTES_MAX);
    buf_printf(&text, "deallocate all; prepare ladder_db as %s", statement_text(statement));
    bool is_ok =
        dbb_script(db, text.data, error) &&
        dbb_query(db, "select cardinality(parameter_types) from pg_prepared_statements where name = 'ladder_db'", 0,
                  NULL, &types, error);
    if (is_ok) {
        size_t wanted = (size_t)dbb_int64(types, 0, 0);
        dbb_result_free(&types);
        if (count != wanted && (count > 0 || runs))
            is_ok = error_set(error, ERROR_INVALID_PARAMETER, "%s has %zu parameters, not %zu: %.150s",
                              statement_name(statement), wanted, count, statement_text(statement));
        buf_reset(&text);
        buf_printf(&text, "explain %s execute ladder_db", runs ? "(analyze, buffers)" : "");
        for (size_t i = 0; i < wanted && is_ok; i++) {
            buf_append_text(&text, i ? ", " : " (");
            literal(&text, count ? values[i] : "null");
        }
        buf_append_text(&text, wanted ? ")" : "");
        is_ok = is_ok &&
                dbb_script(db,
                           count ? "set local plan_cache_mode = force_custom_plan"
                                 : "set local plan_cache_mode = force_generic_plan",
                           error) &&
                dbb_query(db, text.data, 0, NULL, ret_plan, error);
    }
    buf_done(&text);
    return is_ok;
}

static bool explain_one(struct dbb *db, const char *name, size_t count, char *const *values, bool runs,
                        struct error *error)
{
    struct dbb_result *plan;

    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (strcmp(statement_name((enum statement)i), name) != 0)
            continue;
        if (!dbb_begin(db, false, error))
            return false;
        bool is_ok = plan_read(db, (enum statement)i, count, values, runs, &plan, error);
        if (is_ok) {
            for (size_t row = 0; row < dbb_rows(plan); row++)
                printf("%s\n", dbb_text(plan, row, 0));
            dbb_result_free(&plan);
        }
        dbb_rollback(db);
        return is_ok;
    }
    return error_set(error, ERROR_INVALID_PARAMETER, "there is no statement \"%.60s\": `ladder db explain` lists them",
                     name);
}

/* One line: the cost of a plan for any parameters, and what it would read from end to end. */
static void plan_summarize(const char *name, const struct dbb_result *plan)
{
    const char *cost = dbb_rows(plan) ? strstr(dbb_text(plan, 0, 0), "..") : NULL;

    printf("%-24s %12.*s", name, cost ? (int)strcspn(cost + 2, ". ") : 1, cost ? cost + 2 : "-");
    for (size_t row = 0; row < dbb_rows(plan); row++) {
        const char *scan = strstr(dbb_text(plan, row, 0), "Seq Scan on ");
        if (scan)
            printf("  %.*s", (int)strcspn(scan + 12, " "), scan + 12);
    }
    printf("\n");
}

static bool explain_all(struct dbb *db, struct error *error)
{
    struct error reason;
    struct dbb_result *plan;

    printf("%-24s %12s  %s\n", "statement", "cost", "tables that it reads whole");
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        const char *name = statement_name((enum statement)i);
        if (!dbb_begin(db, false, error))
            return false;
        if (plan_read(db, (enum statement)i, 0, NULL, false, &plan, &reason)) {
            plan_summarize(name, plan);
            dbb_result_free(&plan);
        } else {
            printf("%-24s %12s  %s\n", name, "-", reason.message);
        }
        dbb_rollback(db);
    }
    return true;
}

/* ---- indexes, analyze ---- */

static bool indexes_print(struct dbb *db, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, statement_text(STATEMENT_db_indexes), 0, NULL, &result, error))
        return false;
    printf("%-48s %-28s %6s %10s %12s %5s\n", "index", "table", "parts", "MiB", "scans", "air");
    for (size_t i = 0; i < dbb_rows(result); i++) {
        bool is_unused = dbb_int64(result, i, 4) == 0 && !dbb_bool(result, i, 7);
        printf("%-48s %-28s %6s %10.1f %12s %4s%%%s%s\n", dbb_text(result, i, 0), dbb_text(result, i, 1),
               dbb_text(result, i, 2), (double)dbb_int64(result, i, 3) / (1 << 20), dbb_text(result, i, 4),
               dbb_text(result, i, 5), is_unused ? "  unused" : "", dbb_bool(result, i, 6) ? "" : "  not valid");
    }
    dbb_result_free(&result);
    return true;
}

static bool advice_print(struct dbb *db, const char *air_percent, bool applies, struct error *error)
{
    const char *parameters[] = {air_percent, AIR_BYTES_TEXT};
    struct dbb_result *result;
    bool is_ok = true;

    /* It may take as long as it takes, but nobody shall wait long for it to get its lock. */
    if (!dbb_script(db, "set statement_timeout = 0", error) || !dbb_script(db, "set lock_timeout = '10s'", error) ||
        !dbb_query(db, statement_text(STATEMENT_db_advice), 2, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result) && is_ok; i++) {
        printf("%s; -- %s\n", dbb_text(result, i, 0), dbb_text(result, i, 1));
        fflush(stdout);
        is_ok = !applies || dbb_script(db, dbb_text(result, i, 0), error);
    }
    if (is_ok && dbb_rows(result) == 0)
        printf("nothing to do\n");
    else if (is_ok)
        printf(applies ? "%zu done\n" : "%zu to do: with --apply, it is done\n", dbb_rows(result));
    dbb_result_free(&result);
    return is_ok;
}

/* ---- slow ---- */

static const char *name_of(const char *query)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (strcmp(statement_text((enum statement)i), query) == 0)
            return statement_name((enum statement)i);
    return NULL;
}

static bool slow_print(struct dbb *db, struct error *error)
{
    struct dbb_result *there, *result;
    char query[512];

    if (!dbb_query(db, statement_text(STATEMENT_db_slow_there), 0, NULL, &there, error))
        return false;
    bool is_there = dbb_rows(there) > 0;
    /* Its columns can't be prepared for where it is not there. */
    snprintf(
        query, sizeof(query),
        "select query, calls, total_exec_time, mean_exec_time, max_exec_time, rows from %s.pg_stat_statements "
        "where dbid = (select oid from pg_database where datname = current_database()) order by total_exec_time desc limit %d",
        is_there ? dbb_text(there, 0, 0) : "", SLOW_ROWS);
    dbb_result_free(&there);
    if (!is_there)
        return error_set(
            error, ERROR_CONFIG,
            "pg_stat_statements is not there: put it into shared_preload_libraries, then `create extension pg_stat_statements`");
    if (!dbb_query(db, query, 0, NULL, &result, error))
        return false;
    printf("%12s %12s %10s %10s %12s  %s\n", "calls", "total ms", "mean ms", "max ms", "rows", "statement");
    for (size_t i = 0; i < dbb_rows(result); i++) {
        const char *name = name_of(dbb_text(result, i, 0));
        char shown[QUERY_SHOWN + 1];
        snprintf(shown, sizeof(shown), "%s", name ? name : dbb_text(result, i, 0));
        shown[strcspn(shown, "\n")] = 0;
        double times[3];
        for (size_t t = 0; t < 3; t++)
            text_parse_decimal((struct slice){dbb_text(result, i, 2 + t), dbb_size(result, i, 2 + t)}, &times[t]);
        printf("%12s %12.1f %10.3f %10.3f %12s  %s\n", dbb_text(result, i, 1), times[0], times[1], times[2],
               dbb_text(result, i, 5), shown);
    }
    dbb_result_free(&result);
    return true;
}

/* ---- the command ---- */

int cmd_db(int argc, char **argv)
{
    static struct settings settings;
    bool runs = false, applies = false;
    const char *air = "30";
    const struct option_row options[] = {
        {"run", NULL, &runs}, {"apply", NULL, &applies}, {"air", &air, NULL}, {NULL, NULL, NULL}};
    struct error error;
    int64_t air_percent;
    int status;

    if (!command_start(
            &argc, argv,
            "db explain                              every statement of ours: its cost, and what it reads whole\n"
            "       ladder db explain STATEMENT [VALUE…] [--run]   its plan, for these values; with --run carried out, and undone\n"
            "       ladder db indexes                              size, use and air of the indexes\n"
            "       ladder db analyze [--air PERCENT] [--apply]    what would do it good; with --apply, does it\n"
            "       ladder db slow                                 what took most of the time (pg_stat_statements)",
            options, &settings, &status))
        return status;
    const char *what = argc > 1 ? argv[1] : "";
    bool explains = strcmp(what, "explain") == 0, analyzes = strcmp(what, "analyze") == 0;
    if ((argc > 2 && !explains) ||
        (!explains && !analyzes && strcmp(what, "indexes") != 0 && strcmp(what, "slow") != 0) ||
        !text_parse_int64(slice_of(air), &air_percent) || air_percent < 1 || air_percent > 99) {
        fprintf(
            stderr,
            "usage: ladder db explain [STATEMENT [VALUE…] [--run]] | indexes | analyze [--air 1 to 99] [--apply] | slow\n");
        return EXIT_USAGE;
    }
    struct dbb *db = command_database(&settings, "ladder db", &error);
    bool is_ok = db != NULL;
    if (is_ok && explains)
        is_ok = argc > 2 ? explain_one(db, argv[2], (size_t)argc - 3, argv + 3, runs, &error) : explain_all(db, &error);
    else if (is_ok && analyzes)
        is_ok = advice_print(db, air, applies, &error);
    else if (is_ok)
        is_ok = strcmp(what, "slow") == 0 ? slow_print(db, &error) : indexes_print(db, &error);
    dbb_close(&db);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
