/*
 * migrate.c -- `ladder migrate`: the schema, forward and back.
 *
 * A migration is a pair NNNN_name.up.sql and .down.sql; what was applied is kept in ladder.schema_migration with the
 * file's checksum, and a file that changed afterwards is refused. Functions and grants live in sql/functions: they are
 * replaced whenever one of them changed. Each materialized view has a file of its name in sql/views: when that changed,
 * or the view is gone, it is made anew, empty, and the next refresh fills it. One runner at a time (an advisory lock);
 * each migration is one transaction with its bookkeeping row, and waits for locks no longer than two seconds, then
 * tries again, so that it never makes others queue; after --lock-wait seconds it gives up, and nothing has changed.
 *
 * Once the schema belongs to ladder_migrate, every transaction takes that role first: what a member makes is not his
 * own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/schema_files.h"

enum { LOCK_WAIT_S = 60 };

static int64_t lock_wait_us = LOCK_WAIT_S * 1000000LL;

static bool query_bool(struct dbb *db, const char *sql, bool *ret_value, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, sql, 0, NULL, &result, error))
        return false;
    *ret_value = dbb_rows(result) == 1 && dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool ledger_exists(struct dbb *db, bool *ret_exists, struct error *error)
{
    return query_bool(db, "select to_regclass('ladder.schema_function') is not null", ret_exists, error);
}

/* One runner: whoever comes second waits, then finds the work done. */
static bool runner_elect(struct dbb *db, struct error *error)
{
    bool is_ours;

    if (!query_bool(db, "select pg_try_advisory_lock(hashtext('ladder.migrate'))", &is_ours, error))
        return false;
    if (is_ours)
        return true;
    fprintf(stderr, "another ladder migrate is at work: waiting for its end\n");
    return dbb_script(db, "select pg_advisory_lock(hashtext('ladder.migrate'))", error);
}

static bool ledger_prepare(struct dbb *db, struct error *error)
{
    bool exists;

    if (!runner_elect(db, error) || !ledger_exists(db, &exists, error))
        return false;
    return exists ||
           dbb_script(
               db,
               "create schema if not exists ladder;"
               "comment on schema ladder is 'The leaderboard service.';"
               "create table ladder.schema_migration ("
               "  version integer primary key, name text not null, checksum text not null,"
               "  applied_at timestamptz not null default now(), applied_by text not null default current_user,"
               "  took_ms bigint not null, program text not null);"
               "comment on table ladder.schema_migration is 'The migrations that were applied.';"
               "comment on column ladder.schema_migration.version is 'The number in the file''s name.';"
               "comment on column ladder.schema_migration.name is 'The rest of it.';"
               "comment on column ladder.schema_migration.checksum is 'BLAKE2b-256 of the .up.sql.';"
               "comment on column ladder.schema_migration.applied_at is 'When.';"
               "comment on column ladder.schema_migration.applied_by is 'The user who logged in to do it.';"
               "comment on column ladder.schema_migration.took_ms is 'How long it took.';"
               "comment on column ladder.schema_migration.program is 'The version of ladder.';"
               "create table ladder.schema_function ("
               "  file text primary key, checksum text not null, applied_at timestamptz not null default now());"
               "comment on table ladder.schema_function is 'The files of sql/functions, and of sql/views as views/…, as they were last applied.';"
               "comment on column ladder.schema_function.file is 'Its name.';"
               "comment on column ladder.schema_function.checksum is 'BLAKE2b-256 of it.';"
               "comment on column ladder.schema_function.applied_at is 'When.'",
               error);
}

/* Who stands in the way, as far as a look afterwards tells: *error names the session that began its transaction
 * first. */
static void lock_explain(struct dbb *db, struct error *error)
{
    struct dbb_result *result;
    struct error ignored;

    error_set(error, ERROR_UNAVAILABLE, "a lock was not to be had within %lld s; nothing was changed",
              (long long)(lock_wait_us / 1000000));
    if (!dbb_query(
            db,
            "select format('pid %s, user %s, application %s, state %s', a.pid, a.usename, quote_literal(a.application_name), a.state) "
            "from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid "
            "where c.relnamespace = to_regnamespace('ladder') and l.database = (select oid from pg_database where datname = current_database()) "
            "and l.granted and l.pid <> pg_backend_pid() order by a.xact_start limit 1",
            0, NULL, &result, &ignored))
        return;
    if (dbb_rows(result))
        error_set(error, ERROR_UNAVAILABLE,
                  "a lock was not to be had within %lld s; nothing was changed. In the way: %.200s",
                  (long long)(lock_wait_us / 1000000), dbb_text(result, 0, 0));
    dbb_result_free(&result);
}

static bool run_in_transaction(struct dbb *db, const char *text, const char *bookkeeping, size_t count,
                               const char *const *parameters, struct error *error)
{
    int64_t give_up_us = clock_monotonic_us() + lock_wait_us;

    for (int attempt = 1;; attempt++) {
        bool is_ok = dbb_script(db,
                                "begin; set local lock_timeout = '2s'; set local search_path = pg_catalog;"
                                "select set_config('role', 'ladder_migrate', true) from pg_namespace n "
                                "where n.nspname = 'ladder' and pg_get_userbyid(n.nspowner) = 'ladder_migrate'",
                                error) &&
                     dbb_script(db, text, error) && dbb_query(db, bookkeeping, count, parameters, NULL, error) &&
                     dbb_commit(db, error);
        if (is_ok)
            return true;
        bool is_locked = strcmp(dbb_sqlstate(db), "55P03") == 0;
        dbb_rollback(db);
        if (!is_locked)
            return false;
        if (clock_monotonic_us() >= give_up_us) {
            lock_explain(db, error);
            return false;
        }
        if (attempt == 1)
            fprintf(stderr, "waiting for a lock, for %lld s at most\n", (long long)(lock_wait_us / 1000000));
        usleep(200000 + (useconds_t)attempt * 50000);
    }
}

/* Applied ones in order; each must be there and unchanged. ret_version: the newest. */
static bool ledger_check(struct dbb *db, const struct schema_files *ups, int *ret_version, size_t *ret_differences,
                         struct error *error)
{
    struct dbb_result *result;
    bool is_ok = true;

    *ret_version = 0;
    if (!ledger_exists(db, &is_ok, error))
        return false;
    if (!is_ok)
        return true; /* an empty database */
    if (!dbb_query(db, "select version, name, checksum from ladder.schema_migration order by version", 0, NULL, &result,
                   error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++) {
        int version = (int)dbb_int64(result, i, 0);
        const struct schema_file *file = NULL;
        for (size_t f = 0; f < ups->count; f++)
            if (schema_version(&ups->items[f]) == version)
                file = &ups->items[f];
        if (!file)
            is_ok = error_set(error, ERROR_CONFLICT, "migration %04d (%s) was applied, but its file is missing",
                              version, dbb_text(result, i, 1));
        else if (strcmp(file->checksum, dbb_text(result, i, 2)) != 0)
            is_ok = error_set(error, ERROR_CONFLICT, "migration %s was changed after it was applied", file->name);
        else
            continue;
        if (!ret_differences)
            break;
        printf("%s\n", error->message);
        (*ret_differences)++;
    }
    if (dbb_rows(result))
        *ret_version = (int)dbb_int64(result, dbb_rows(result) - 1, 0);
    for (size_t f = 0; f < ups->count && (is_ok || ret_differences); f++) {
        bool is_fine = schema_version(&ups->items[f]) > *ret_version; /* pending, or applied */
        for (size_t i = 0; i < dbb_rows(result) && !is_fine; i++)
            is_fine = (int)dbb_int64(result, i, 0) == schema_version(&ups->items[f]);
        if (is_fine)
            continue;
        is_ok =
            error_set(error, ERROR_CONFLICT, "migration %s was never applied, but a later one was", ups->items[f].name);
        if (ret_differences) {
            printf("%s\n", error->message);
            (*ret_differences)++;
        }
    }
    dbb_result_free(&result);
    return is_ok || ret_differences;
}

static bool migration_apply(struct dbb *db, const struct schema_file *file, struct error *error)
{
    char version[16], took[24], name[128];
    int64_t start_us = clock_monotonic_us();

    snprintf(version, sizeof(version), "%d", schema_version(file));
    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file->name) - strlen(".up.sql") - 5), file->name + 5);
    const char *parameters[] = {version, name, file->checksum, "0", LADDER_VERSION};
    const char *bookkeeping =
        "insert into ladder.schema_migration (version, name, checksum, took_ms, program) values ($1, $2, $3, $4, $5)";
    if (strncmp(file->text, "-- migrate: no-transaction", 26) == 0) {
        if (!dbb_script(db, file->text, error) || !dbb_query(db, bookkeeping, 5, parameters, NULL, error))
            return false;
    } else if (!run_in_transaction(db, file->text, bookkeeping, 5, parameters, error)) {
        return false;
    }
    int64_t took_ms = (clock_monotonic_us() - start_us) / 1000;
    snprintf(took, sizeof(took), "%lld", (long long)took_ms);
    const char *times[] = {took, version};
    if (!dbb_query(db, "update ladder.schema_migration set took_ms = $1 where version = $2", 2, times, NULL, error))
        return false;
    printf("applied %s (%lld ms)\n", file->name, (long long)took_ms);
    return true;
}

/* Checksums of all functions as one text: any change, addition or removal replaces them all. */
static bool functions_differ(struct dbb *db, const struct schema_files *functions, bool *ret_differ,
                             struct error *error)
{
    struct dbb_result *result;
    bool exists;

    *ret_differ = true;
    if (!ledger_exists(db, &exists, error))
        return false;
    if (!exists)
        return true;
    if (!dbb_query(
            db,
            "select file, checksum from ladder.schema_function where file not like 'views/%' order by file collate \"C\"",
            0, NULL, &result, error))
        return false;
    *ret_differ = dbb_rows(result) != functions->count;
    for (size_t i = 0; i < functions->count && !*ret_differ; i++)
        *ret_differ = strcmp(functions->items[i].name, dbb_text(result, i, 0)) != 0 ||
                      strcmp(functions->items[i].checksum, dbb_text(result, i, 1)) != 0;
    dbb_result_free(&result);
    return true;
}

static bool functions_apply(struct dbb *db, const struct schema_files *functions, struct error *error)
{
    struct buf text;
    bool differ;

    if (!functions_differ(db, functions, &differ, error))
        return false;
    if (!differ)
        return true;
    buf_init(&text, 64 << 20);
    buf_append_text(&text, "delete from ladder.schema_function where file not like 'views/%';");
    for (size_t i = 0; i < functions->count; i++) {
        buf_append_text(&text, functions->items[i].text);
        buf_printf(&text, ";\ninsert into ladder.schema_function (file, checksum) values ('%s', '%s');\n",
                   functions->items[i].name, functions->items[i].checksum);
    }
    bool is_ok = !text.is_overflown && run_in_transaction(db, text.data, "select 1", 0, NULL, error);
    buf_done(&text);
    if (is_ok)
        printf("replaced %zu files of functions\n", functions->count);
    return is_ok;
}

/* "standing_statistics.sql" */
static void view_name(const struct schema_file *file, char name[static 128])
{
    snprintf(name, 128, "%.*s", (int)(strlen(file->name) - strlen(".sql")), file->name);
}

/* Is the view there, made from this very file? Before the first migration there is none. */
static bool view_differs(struct dbb *db, const struct schema_file *file, bool *ret_differs, struct error *error)
{
    char name[128];
    bool exists;
    struct dbb_result *result;

    *ret_differs = true;
    if (!ledger_exists(db, &exists, error))
        return false;
    if (!exists)
        return true;
    view_name(file, name);
    const char *parameters[] = {name, file->checksum};
    if (!dbb_query(db,
                   "select not exists (select from ladder.schema_function f where f.file = 'views/' || $1::text || "
                   "'.sql' and f.checksum = $2::text) "
                   "or to_regclass('ladder.' || quote_ident($1::text)) is null",
                   2, parameters, &result, error))
        return false;
    *ret_differs = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool views_differ(struct dbb *db, const struct schema_files *views, bool *ret_differ, struct error *error)
{
    *ret_differ = false;
    for (size_t i = 0; i < views->count && !*ret_differ; i++)
        if (!view_differs(db, &views->items[i], ret_differ, error))
            return false;
    return true;
}

static bool views_apply(struct dbb *db, const struct schema_files *views, struct error *error)
{
    for (size_t i = 0; i < views->count; i++) {
        const struct schema_file *file = &views->items[i];
        struct buf text;
        char name[128];
        bool differs;
        if (!view_differs(db, file, &differs, error))
            return false;
        if (!differs)
            continue;
        view_name(file, name);
        const char *parameters[] = {name, file->checksum};
        buf_init(&text, SCHEMA_FILE_BYTES_MAX + 1024);
        buf_printf(&text, "drop materialized view if exists ladder.\"%s\";\n", name);
        buf_append_text(&text, file->text);
        bool is_ok =
            !text.is_overflown &&
            run_in_transaction(
                db, text.data,
                "insert into ladder.schema_function (file, checksum) values ('views/' || $1::text || '.sql', $2) "
                "on conflict (file) do update set checksum = excluded.checksum, applied_at = now()",
                2, parameters, error);
        buf_done(&text);
        if (!is_ok) {
            fprintf(stderr, "the view %s was not made\n", name);
            return false;
        }
        printf("made view %s\n", name);
    }
    return true;
}

static bool migrate_up(struct dbb *db, const struct schema_files *ups, const struct schema_files *functions,
                       const struct schema_files *views, struct error *error)
{
    int version;

    if (!ledger_check(db, ups, &version, NULL, error))
        return false;
    for (size_t i = 0; i < ups->count; i++)
        if (schema_version(&ups->items[i]) > version && !migration_apply(db, &ups->items[i], error)) {
            fprintf(stderr, "migration %s failed\n", ups->items[i].name);
            return false;
        }
    if (!functions_apply(db, functions, error)) {
        fprintf(stderr, "the functions of sql/functions were not replaced\n");
        return false;
    }
    if (!views_apply(db, views, error))
        return false;
    if (!run_in_transaction(db, "select ladder.partition_ensure(7)", "select 1", 0, NULL, error))
        return false;
    printf("up to date: version %04d\n", ups->count ? schema_version(&ups->items[ups->count - 1]) : 0);
    return true;
}

static bool migrate_down(struct dbb *db, const struct schema_files *ups, const struct schema_files *downs, long steps,
                         struct error *error)
{
    for (; steps > 0; steps--) {
        char version_text[16];
        const char *parameters[] = {version_text};
        const struct schema_file *file = NULL;
        int version;
        if (!ledger_check(db, ups, &version, NULL, error))
            return false;
        if (version == 0) {
            printf("nothing to undo\n");
            return true;
        }
        for (size_t i = 0; i < downs->count; i++)
            if (schema_version(&downs->items[i]) == version)
                file = &downs->items[i];
        if (!file)
            return error_set(error, ERROR_CONFLICT, "migration %04d has no .down.sql", version);
        snprintf(version_text, sizeof(version_text), "%d", version);
        /* The functions were written for the schema that goes: they are applied again by the next `up`. */
        if (!run_in_transaction(
                db, file->text,
                "with f as (delete from ladder.schema_function) delete from ladder.schema_migration where version = $1",
                1, parameters, error)) {
            fprintf(stderr, "migration %s failed\n", file->name);
            return false;
        }
        printf("undid %s\n", file->name);
    }
    return true;
}

static bool migrate_status(struct dbb *db, const struct schema_files *ups, const struct schema_files *functions,
                           const struct schema_files *views, struct error *error)
{
    size_t differences = 0;
    bool differ, views_are_other;
    int version;

    if (!ledger_check(db, ups, &version, &differences, error) || !functions_differ(db, functions, &differ, error) ||
        !views_differ(db, views, &views_are_other, error))
        return false;
    for (size_t i = 0; i < ups->count; i++)
        printf("%-9s %s\n", schema_version(&ups->items[i]) <= version ? "applied" : "pending", ups->items[i].name);
    printf("%-9s %zu files of functions\n", differ ? "pending" : "applied", functions->count);
    printf("%-9s %zu files of views\n", views_are_other ? "pending" : "applied", views->count);
    return true;
}

static bool migrate_verify(struct dbb *db, const struct schema_files *ups, const struct schema_files *functions,
                           const struct schema_files *views, struct error *error)
{
    size_t differences = 0;
    bool differ, views_are_other;
    int version;

    if (!ledger_check(db, ups, &version, &differences, error) || !functions_differ(db, functions, &differ, error) ||
        !views_differ(db, views, &views_are_other, error))
        return false;
    if (differ)
        printf("the functions in the database are not those of sql/functions\n");
    if (views_are_other)
        printf("the views in the database are not those of sql/views\n");
    for (size_t i = 0; i < ups->count; i++)
        if (schema_version(&ups->items[i]) > version) {
            printf("migration %s is not applied\n", ups->items[i].name);
            differences++;
        }
    if (differ || views_are_other || differences)
        return error_set(error, ERROR_CONFLICT, "the schema differs from the files");
    printf("ok: version %04d\n", version);
    return true;
}

int cmd_migrate(int argc, char **argv)
{
    static struct settings settings;
    static struct schema_files ups, downs, functions, views;
    static char share[SCHEMA_PATH_MAX];
    const char *directory = getenv("LADDER_SHARE_DIRECTORY"), *url = NULL, *lock_wait = NULL;
    bool allow_down = false;
    const struct option_row options[] = {{"directory", &directory, NULL},
                                         {"database-url", &url, NULL},
                                         {"lock-wait", &lock_wait, NULL},
                                         {"allow-down", NULL, &allow_down},
                                         {NULL, NULL, NULL}};
    int64_t lock_wait_s = LOCK_WAIT_S;
    struct error error;
    int status;

    if (!command_start(
            &argc, argv,
            "migrate up | down [STEPS] --allow-down | status | verify [--directory DIR] [--database-url URL] [--lock-wait SECONDS]\n\n"
            "DIR holds migrations/, sql/functions/ and sql/views/. A lock that another session holds is waited for 60 seconds,\n"
            "or SECONDS, in steps of two, so that nobody queues behind us for long.",
            options, &settings, &status))
        return status;
    const char *verb = argc > 1 ? argv[1] : "";
    long steps = argc > 2 ? atol(argv[2]) : 1;
    bool has_wait =
        !lock_wait || (text_parse_int64(slice_of(lock_wait), &lock_wait_s) && lock_wait_s >= 0 && lock_wait_s <= 86400);
    bool is_down = strcmp(verb, "down") == 0;
    if ((strcmp(verb, "up") != 0 && !is_down && strcmp(verb, "status") != 0 && strcmp(verb, "verify") != 0) ||
        steps < 1 || argc > 3 || !has_wait) {
        fprintf(stderr,
                "usage: ladder migrate up | down [STEPS] --allow-down | status | verify [--lock-wait SECONDS]\n");
        return EXIT_USAGE;
    }
    if (is_down && !allow_down) {
        fprintf(stderr, "ladder migrate: down destroys data: say --allow-down\n");
        return EXIT_USAGE;
    }
    lock_wait_us = lock_wait_s * 1000000;
    if (!directory)
        directory = schema_directory(share);
    if (!schema_files_load(directory, "migrations", ".up.sql", &ups, &error) ||
        !schema_files_load(directory, "migrations", ".down.sql", &downs, &error) ||
        !schema_files_load(directory, "sql/functions", ".sql", &functions, &error) ||
        !schema_files_load(directory, "sql/views", ".sql", &views, &error) || !schema_versions_check(&ups, &error) ||
        !schema_versions_check(&downs, &error))
        return command_fail(&error);
    struct dbb *db = dbb_open(url ? url : settings.database_url, "ladder migrate", 0, &error);
    bool is_ok = db && (is_down ? ledger_prepare(db, &error) && migrate_down(db, &ups, &downs, steps, &error)
                        : strcmp(verb, "up") == 0
                            ? ledger_prepare(db, &error) && migrate_up(db, &ups, &functions, &views, &error)
                        : strcmp(verb, "status") == 0 ? migrate_status(db, &ups, &functions, &views, &error)
                                                      : migrate_verify(db, &ups, &functions, &views, &error));
    dbb_close(&db);
    schema_files_free(&ups);
    schema_files_free(&downs);
    schema_files_free(&functions);
    schema_files_free(&views);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
