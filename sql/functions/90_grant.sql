-- Who may do what: the whole of it, so that what is not here is not allowed. Applied with the functions, after all of them.
--
--   ladder_app      ladder serve
--   ladder_worker   ladder work, roll, partitions, purge, warm, import, export
--   ladder_migrate  owns the schema: ladder migrate, game, key
--
-- Partitions need no grants: whoever may use the parent may use them through it, and nobody should otherwise.
do $$
declare
    v_command text;
begin
    for v_command in
        select format('revoke all on %s ladder.%I from public, ladder_app%s',
                      case c.relkind when 'S' then 'sequence' else 'table' end, c.relname,
                      case when c.relowner <> 'ladder_worker'::regrole then ', ladder_worker' else '' end)
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace
          and c.relacl is not null
        union all
        select format('revoke all on routine ladder.%I(%s) from public', p.proname, pg_get_function_identity_arguments(p.oid))
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace
    loop
        execute v_command;
    end loop;
end
$$;

grant usage on schema ladder to ladder_app, ladder_worker;

grant select on ladder.game, ladder.api_key to ladder_app;
grant select, insert, update on ladder.board, ladder.entry, ladder.idempotency_key to ladder_app;
grant select, insert on ladder.epoch, ladder.period to ladder_app;
grant insert on ladder.edge_purge, ladder.facet_drop to ladder_app;
grant select, insert, update, delete on ladder.player_facet to ladder_app; -- delete: removing a player
grant select, insert on ladder.facet_value to ladder_app;
grant select, insert, delete on ladder.score_event to ladder_app; -- delete: erasing a player

-- Its own: score_event (docs/decisions/0010).
grant select on ladder.game, ladder.schema_migration to ladder_worker;
grant select, delete on ladder.board, ladder.idempotency_key to ladder_worker;
grant select, insert on ladder.epoch to ladder_worker;
grant select, delete on ladder.edge_purge to ladder_worker;
grant select, delete on ladder.facet_drop to ladder_worker;
grant select, insert, update, delete on ladder.period, ladder.player_facet, ladder.facet_value, ladder.entry, ladder.job_run, ladder.import_run, ladder.popularity to ladder_worker;

grant usage on sequence ladder.revision, ladder.score_event_id to ladder_app, ladder_worker;
grant usage on sequence ladder.facet_id to ladder_app;

-- A function runs with its caller's rights, so that it gives nobody more; but for the two that make and drop partitions
-- with their owner's.
grant execute on all functions in schema ladder to ladder_app, ladder_worker;
revoke execute on function ladder.partition_add(text, text, text, timestamptz, timestamptz) from ladder_app, ladder_worker;
revoke execute on function ladder.partition_ensure(integer), ladder.partition_drop(text) from ladder_app;
