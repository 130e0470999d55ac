-- What statistics are made of: each event says how it moved its entries, and the worker tallies that.
--
-- Locks: score_event against writes while score_event_xid_board_id_idx is built; a column without a stored value. Old binaries: go
-- on; events that do not say how they moved their entries are made up for by counting the standing again.
-- Undo by hand: 0007_statistics.down.sql.
alter table ladder.score_event add column moves bigint[];
comment on column ladder.score_event.moves is 'For each of period_ids a row of six: k1, k2, k3 of the entry before (null: there was none) and after (null: removed). All null: changed again by a later event of the same transaction, whose row says both.';
create index score_event_xid_board_id_idx on ladder.score_event (xid, board_id);
comment on index ladder.score_event_xid_board_id_idx is 'tally_fold: every event that became visible since a snapshot; tally_moves: those of one board.';
create index period_closed_at_idx on ladder.period (closed_at) where closed_at is not null;
comment on index ladder.period_closed_at_idx is 'tally_fold: has a period closed? hall_of_fame: which ones.';

create table ladder.tally_cursor (
    id          boolean     not null default true,
    incarnation text        not null,
    snapshot    pg_snapshot not null,
    at          timestamptz not null,
    constraint tally_cursor_id_pk primary key (id),
    constraint tally_cursor_id_ck check (id)
);
comment on table ladder.tally_cursor is 'One row: the tally has exactly the events that this snapshot sees. Moved in the transaction that adds them up.';
comment on column ladder.tally_cursor.id is 'There is one.';
comment on column ladder.tally_cursor.incarnation is 'Of which tables (tally_incarnation): in others, restored from a dump, transaction ids mean nothing, and all is counted again. A failover does no harm: the cursor is in the same log as what it speaks of.';
comment on column ladder.tally_cursor.snapshot is 'What is in.';
comment on column ladder.tally_cursor.at is 'When it was taken.';

create table ladder.tally (
    period_id bigint  not null,
    entries   bigint  not null,
    total     numeric not null,
    squares   numeric not null,
    constraint tally_pk primary key (period_id)
) with (fillfactor = 50);
comment on table ladder.tally is 'Sums over the entries of each standing, as of tally_cursor.';
comment on column ladder.tally.period_id is 'The standing.';
comment on column ladder.tally.entries is 'How many.';
comment on column ladder.tally.total is 'Sum of their scores.';
comment on column ladder.tally.squares is 'Sum of the squares of their scores.';

create table ladder.tally_rung (
    period_id bigint not null,
    k1        bigint not null,
    k2        bigint not null,
    k3        bigint not null,
    player    text   not null collate "C",
    entries   bigint not null,
    constraint tally_rung_pk primary key (period_id, k1, k2, k3, player)
) with (fillfactor = 70);
comment on table ladder.tally_rung is 'A ladder beside each large standing: how many entries are from one rung (included) to the next (excluded), as of tally_cursor. The first rung is below every key.';
comment on column ladder.tally_rung.period_id is 'The standing.';
comment on column ladder.tally_rung.k1 is 'Key of the rung, as in entry.';
comment on column ladder.tally_rung.k2 is 'Key of the rung, as in entry.';
comment on column ladder.tally_rung.k3 is 'Key of the rung, as in entry.';
comment on column ladder.tally_rung.player is 'Key of the rung, as in entry.';
comment on column ladder.tally_rung.entries is 'Entries up to the next rung.';

create table ladder.tally_slot (
    period_id   bigint      not null,
    width_s     integer     not null,
    at          timestamptz not null,
    submissions bigint      not null,
    changes     bigint      not null,
    arrivals    bigint      not null,
    departures  bigint      not null,
    constraint tally_slot_pk primary key (period_id, width_s, at)
) with (fillfactor = 70);
create index tally_slot_width_s_at_idx on ladder.tally_slot (width_s, at);
comment on table ladder.tally_slot is 'What happened in each standing, by second (kept five minutes), minute (kept two days) and hour of the server''s clock, as of tally_cursor.';
comment on index ladder.tally_slot_width_s_at_idx is 'tally_fold: which are too old to be kept.';
comment on column ladder.tally_slot.period_id is 'The standing.';
comment on column ladder.tally_slot.width_s is 'Its length in seconds: 1, 60 or 3600.';
comment on column ladder.tally_slot.at is 'Its beginning.';
comment on column ladder.tally_slot.submissions is 'Submissions that fell into the period.';
comment on column ladder.tally_slot.changes is 'Those that changed an entry.';
comment on column ladder.tally_slot.arrivals is 'New entries.';
comment on column ladder.tally_slot.departures is 'Removed entries.';

create table ladder.tally_day (
    board_id         bigint  not null,
    day              date    not null,
    submissions      bigint  not null,
    changes          bigint  not null,
    players          bigint  not null,
    players_of_week  bigint  not null,
    players_of_month bigint  not null,
    newcomers        bigint  not null,
    score_total      numeric not null,
    score_min        bigint  not null,
    score_max        bigint  not null,
    constraint tally_day_pk primary key (board_id, day)
) with (fillfactor = 70);
comment on table ladder.tally_day is 'The submissions of each board by the local date that they speak of (`at`, in the board''s time zone), as of tally_cursor.';
comment on column ladder.tally_day.board_id is 'The board.';
comment on column ladder.tally_day.day is 'Date in the board''s time zone.';
comment on column ladder.tally_day.submissions is 'Submissions.';
comment on column ladder.tally_day.changes is 'Those that changed an entry of any window.';
comment on column ladder.tally_day.players is 'Players whose first submission of this day is among them: different players.';
comment on column ladder.tally_day.players_of_week is 'The same of the week, from Monday: their sum over a week is its different players.';
comment on column ladder.tally_day.players_of_month is 'The same of the month.';
comment on column ladder.tally_day.newcomers is 'Players whose first submission to the board came here.';
comment on column ladder.tally_day.score_total is 'Sum of the submitted scores.';
comment on column ladder.tally_day.score_min is 'Least submitted score.';
comment on column ladder.tally_day.score_max is 'Greatest submitted score.';

create table ladder.tally_player (
    board_id    bigint      not null,
    player      text        not null collate "C",
    submissions bigint      not null,
    changes     bigint      not null,
    first_at    timestamptz not null,
    last_at     timestamptz not null,
    constraint tally_player_pk primary key (board_id, player)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table ladder.tally_player is 'What each player did on each board, as of tally_cursor.';
comment on column ladder.tally_player.board_id is 'The board.';
comment on column ladder.tally_player.player is 'The player.';
comment on column ladder.tally_player.submissions is 'Submissions.';
comment on column ladder.tally_player.changes is 'Those that changed an entry.';
comment on column ladder.tally_player.first_at is 'The earliest moment that one speaks of.';
comment on column ladder.tally_player.last_at is 'The latest.';

create table ladder.tally_recount (
    id        bigint not null generated always as identity,
    period_id bigint not null,
    constraint tally_recount_id_pk primary key (id)
);
create index tally_recount_period_id_idx on ladder.tally_recount (period_id);
comment on table ladder.tally_recount is 'Standings whose tally can''t be believed any more: until they are counted again, by the next fold, readers count for themselves.';
comment on index ladder.tally_recount_period_id_idx is 'tally_is_sure: may this standing''s tally be used?';
comment on column ladder.tally_recount.id is 'A mark; two of one standing are two.';
comment on column ladder.tally_recount.period_id is 'The standing.';

create table ladder.refresh_source (
    view     text   not null,
    source_v bigint not null default 1,
    mark     text   not null default '',
    constraint refresh_source_pk primary key (view)
);
comment on table ladder.refresh_source is 'How often the inputs of each materialized view changed. Apart from refresh_state, so that counting never waits for a refresh.';
comment on column ladder.refresh_source.view is 'The view.';
comment on column ladder.refresh_source.source_v is 'Counts up with every fold that changed what the view shows.';
comment on column ladder.refresh_source.mark is 'What the inputs looked like, where the fold compares them.';

create table ladder.refresh_state (
    view         text        not null,
    interval_ms  bigint      not null,
    done_v       bigint      not null default 0,
    refreshed_at timestamptz not null default '-infinity',
    as_of        timestamptz,
    fails        integer     not null default 0,
    not_before   timestamptz not null default '-infinity',
    constraint refresh_state_pk primary key (view),
    constraint refresh_state_interval_ms_ck check (interval_ms >= 0)
);
comment on table ladder.refresh_state is 'How far each materialized view is.';
comment on column ladder.refresh_state.view is 'The view.';
comment on column ladder.refresh_state.interval_ms is 'At most once in so many milliseconds. May be changed.';
comment on column ladder.refresh_state.done_v is 'source_v as the last refresh saw it: equal, there is nothing to refresh.';
comment on column ladder.refresh_state.refreshed_at is 'When the last good refresh began.';
comment on column ladder.refresh_state.as_of is 'What the view shows: everything up to here, as of tally_cursor.';
comment on column ladder.refresh_state.fails is 'Failures in a row.';
comment on column ladder.refresh_state.not_before is 'After a failure, when it is tried again.';

create table ladder.refresh_run (
    id         bigint      not null generated always as identity,
    view       text        not null,
    reason     text        not null,
    runner     text        not null,
    started_at timestamptz not null default now(),
    ended_at   timestamptz,
    took_ms    bigint,
    rows       bigint,
    error      text,
    constraint refresh_run_id_pk primary key (id)
);
create index refresh_run_view_started_at_idx on ladder.refresh_run (view, started_at);
create index refresh_run_view_unended_idx on ladder.refresh_run (view) where ended_at is null;
comment on table ladder.refresh_run is 'The ledger of refreshes.';
comment on index ladder.refresh_run_view_started_at_idx is 'A view''s last refreshes; the purge of old ones.';
comment on index ladder.refresh_run_view_unended_idx is 'refresh_start: runs whose runner died.';
comment on column ladder.refresh_run.id is 'Counts up.';
comment on column ladder.refresh_run.view is 'The view.';
comment on column ladder.refresh_run.reason is 'worker, or the words of the command.';
comment on column ladder.refresh_run.runner is 'Host and process.';
comment on column ladder.refresh_run.started_at is 'Start.';
comment on column ladder.refresh_run.ended_at is 'End; null: it runs, or its runner died and nobody has refreshed the view since.';
comment on column ladder.refresh_run.took_ms is 'How long the refresh itself took.';
comment on column ladder.refresh_run.rows is 'Rows of the view after it.';
comment on column ladder.refresh_run.error is 'Why it failed, or null.';
