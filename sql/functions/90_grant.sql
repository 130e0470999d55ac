-- Who may do what: the whole of it, so that what is not here is not allowed. Applied with the functions, after all of them.
--
--   ladder_app      ladder serve
--   ladder_worker   ladder work, roll, partitions, purge, warm, import, export
--   ladder_migrate  owns the schema: ladder migrate, game, key
--
-- Partitions need no grants: whoever may use the parent may use them through it, and nobody should otherwise. But for entry_all,
-- which entry_from reads by itself.
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
        -- A function runs with its caller's rights, so that it gives nobody more; but for those that make and drop partitions with
        -- their owner's. What came with an extension is not ours.
        select format('revoke all on routine ladder.%I(%s) from public', p.proname, pg_get_function_identity_arguments(p.oid))
               || case when p.prokind = 'f'
                       then format('; grant execute on function ladder.%I(%s) to ladder_app, ladder_worker', p.proname, pg_get_function_identity_arguments(p.oid))
                       else '' end
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace
          and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute v_command;
    end loop;
end
$$;

grant usage on schema ladder to ladder_app, ladder_worker;

grant select on ladder.game, ladder.api_key, ladder.key_secret to ladder_app;
grant update (definition) on ladder.game to ladder_app, ladder_worker; -- definition_note
grant select, insert, update on ladder.board, ladder.entry, ladder.idempotency_key to ladder_app;
grant select, insert on ladder.epoch, ladder.period to ladder_app;
grant select on ladder.entry_all to ladder_app, ladder_worker;
grant insert on ladder.edge_purge, ladder.facet_drop to ladder_app;
grant select, insert, update on ladder.job_item to ladder_app; -- board_due
grant select, insert, update, delete on ladder.player_facet to ladder_app; -- delete: removing a player
grant select, insert on ladder.facet_value to ladder_app;
grant select, insert, delete on ladder.score_event to ladder_app; -- delete: erasing a player
-- What is final is never updated, by nobody.
grant select, delete on ladder.final_rank, ladder.standing_snapshot to ladder_app;
grant select, insert on ladder.final_gap to ladder_app;
grant select on ladder.snapshot_run to ladder_app;
grant select, insert, update, delete on ladder.combination, ladder.combination_source to ladder_app;

-- Its own: score_event (docs/decisions/0010).
grant select on ladder.schema_migration to ladder_worker;
grant select, delete on ladder.game to ladder_worker; -- delete: one that was deleted, when it is empty
grant select, delete on ladder.board, ladder.idempotency_key to ladder_worker;
grant select, insert on ladder.epoch to ladder_worker;
grant select, insert, delete on ladder.edge_purge to ladder_worker; -- insert: a period that is opened again
grant select, insert on ladder.period_reopening to ladder_worker;
grant select, delete on ladder.facet_drop to ladder_worker;
grant select, insert, update, delete on ladder.period, ladder.player_facet, ladder.facet_value, ladder.entry, ladder.job_run, ladder.job_item, ladder.import_run, ladder.popularity to ladder_worker;

grant select, insert, delete on ladder.final_rank, ladder.final_gap, ladder.standing_snapshot, ladder.snapshot_run to ladder_worker;
grant select on ladder.webhook to ladder_worker;
grant select, update on ladder.combination to ladder_worker;
grant select, insert, update, delete on ladder.combine_cursor to ladder_worker;
grant select, delete on ladder.combination_source to ladder_worker;
grant select, insert, update, delete on ladder.webhook_delivery to ladder_worker;
-- What the worker tallies, serve reads; erasing a player takes his part away.
grant select on ladder.tally_cursor, ladder.tally, ladder.tally_rung, ladder.tally_slot, ladder.tally_day, ladder.tally_player,
    ladder.tally_recount, ladder.tally_pair, ladder.refresh_state, ladder.refresh_aside, ladder.tally_aside to ladder_app;
grant select, insert, update on ladder.tally_pair_want to ladder_app;
grant insert on ladder.tally_recount, ladder.refresh_mark to ladder_app;
grant delete on ladder.tally_player to ladder_app;
grant select, insert, update, delete on ladder.tally_cursor, ladder.tally, ladder.tally_rung, ladder.tally_slot, ladder.tally_day,
    ladder.tally_player, ladder.tally_recount, ladder.tally_due, ladder.tally_pair, ladder.tally_pair_want, ladder.player_rollup, ladder.refresh_source, ladder.refresh_mark, ladder.refresh_state,
    ladder.refresh_run, ladder.refresh_aside, ladder.tally_aside to ladder_worker;
-- The materialized views are the worker's own, who refreshes them (docs/decisions/0040).
do $$
declare
    v_view name;
begin
    for v_view in select c.relname from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relkind = 'm' loop
        execute format('grant select on ladder.%I to ladder_app', v_view);
    end loop;
end
$$;

grant select on sequence ladder.revision to ladder_worker; -- snapshot_due
grant usage on sequence ladder.revision, ladder.score_event_id to ladder_app, ladder_worker;
grant select on sequence ladder.score_event_id to ladder_app, ladder_worker; -- tally_look, tally_fold
grant usage on sequence ladder.facet_id to ladder_app;

revoke execute on function ladder.partition_add(text, text, text, timestamptz, timestamptz) from ladder_app, ladder_worker;
revoke execute on function ladder.partition_ensure(integer), ladder.partition_drop(text), ladder.snapshot_expire(integer) from ladder_app;
revoke execute on function ladder.refresh_register(text, bigint) from ladder_app, ladder_worker;
revoke execute on function ladder.refresh_view(text), ladder.refresh_note(bigint[], bigint[], bigint[]), ladder.refresh_try(text, bigint[]),
    ladder.refresh_set_aside(text, bigint, text), ladder.refresh_find(text, bigint[]), ladder.refresh_retry(text) from ladder_app;
grant execute on procedure ladder.refresh_due(integer), ladder.refresh_gather(text), ladder.player_gather() to ladder_worker;
revoke execute on function ladder.purge_of_board(regclass, name, bigint, integer) from ladder_app;
revoke execute on function ladder.purge_periods(bigint, bigint) from ladder_app;
revoke execute on function ladder.purge_board(bigint) from ladder_app;
revoke execute on function ladder.player_gather_ranks(bigint), ladder.player_gather_sums(bigint, text), ladder.player_gather_culprit(bigint) from ladder_app;
revoke execute on function ladder.period_reopen(bigint, ladder.window_kind, timestamptz, interval, text, text) from ladder_app;
