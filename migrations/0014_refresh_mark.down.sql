-- Forgets which boards changed; that something did is known by view.
alter table ladder.refresh_run drop column boards;
drop function if exists ladder.refresh_note(bigint[], bigint[], bigint[]), ladder.refresh_changed(text, bigint), ladder.refresh_seen(text),
    ladder.refresh_inputs(text);
drop table ladder.refresh_mark;
comment on table ladder.refresh_source is 'How often the inputs of each materialized view changed. Apart from refresh_state, so that counting never waits for a refresh.';
comment on column ladder.refresh_source.source_v is 'Counts up with every fold that changed what the view shows.';
comment on column ladder.refresh_source.mark is 'What the inputs looked like, where the fold compares them.';
comment on column ladder.refresh_state.done_v is 'source_v as the last refresh saw it: equal, there is nothing to refresh.';
comment on column ladder.refresh_state.gathered_v is 'source_v before the rollup of the view was gathered last; null: the view has none.';
