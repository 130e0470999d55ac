-- Drops all that 0001 made (functions included, which live in sql/functions and depend on it).
-- The schema itself and its bookkeeping belong to the migration runner and stay.
do $$
declare
    name text;
begin
    for name in select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
                from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'ladder'
    loop
        execute 'drop function ' || name || ' cascade';
    end loop;
end
$$;
drop table ladder.import_run, ladder.job_run, ladder.idempotency_key, ladder.score_event, ladder.entry,
           ladder.period, ladder.board, ladder.api_key, ladder.game, ladder.epoch;
drop sequence ladder.score_event_id, ladder.revision;
drop type ladder.score_order, ladder.score_operator, ladder.tie_rule, ladder.window_kind,
          ladder.period_state, ladder.key_scope, ladder.event_kind;
