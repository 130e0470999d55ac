-- Which boards changed since a materialized view was refreshed: marks by board and by what of it changed.
--
-- Locks: refresh_run for a moment; a column without a stored value. Old binaries: go on, for source_v is counted up with the marks; a
-- board that they delete is not marked, and their refreshes don't say for how many boards.
-- Undo by hand: 0014_refresh_mark.down.sql.
create table ladder.refresh_mark (
    input     text   not null,
    board_id  bigint not null,
    changed_v bigint,
    constraint refresh_mark_pk primary key (input, board_id),
    constraint refresh_mark_input_ck check (input in ('standings', 'days', 'closed', 'deleted'))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
create index refresh_mark_input_changed_v_idx on ladder.refresh_mark (input, changed_v);
comment on table ladder.refresh_mark is 'When each board last changed, by what of it did. A view for which a mark is newer than its last refresh is dirty.';
comment on index ladder.refresh_mark_input_changed_v_idx is 'refresh_changed: what is newer than a refresh? refresh_note: what has no number yet?';
comment on column ladder.refresh_mark.input is 'standings: its standings; days: its submissions; closed: its closed periods; deleted: the board itself. refresh_inputs says which a view is made of.';
comment on column ladder.refresh_mark.board_id is 'The board. Not a reference: a mark outlives its board, until every view has done without that.';
comment on column ladder.refresh_mark.changed_v is 'Number of the fold that saw the last change; null: the next fold gives it one.';
comment on constraint refresh_mark_pk on ladder.refresh_mark is 'A mark a board and input, written again with each change.';
comment on constraint refresh_mark_input_ck on ladder.refresh_mark is 'What a fold tells apart.';
-- What changed before is not known by board.
insert into ladder.refresh_mark (input, board_id)
select i.input, b.id
from ladder.board b
cross join unnest(array['standings', 'days', 'closed']) i (input);

comment on table ladder.refresh_source is 'When the inputs of each materialized view last changed, and the counter of that. Apart from refresh_state, so that counting never waits for a refresh.';
comment on column ladder.refresh_source.source_v is 'Number of the last fold that changed what the view shows. The greatest of all is the last number that was given.';
comment on column ladder.refresh_source.mark is 'Of hall_of_fame: closed_at of the last closed period that a fold has seen.';
comment on column ladder.refresh_state.done_v is 'The greatest mark that the last refresh saw: what is marked with more has changed since. 0: it is dirty, whatever is marked.';
comment on column ladder.refresh_state.gathered_v is 'The greatest mark before the rollup of the view was gathered last; null: the view has none.';

alter table ladder.refresh_run add column boards bigint;
comment on column ladder.refresh_run.boards is 'How many boards had changed since the last refresh; null: the runner did not count them.';
