-- The tables of ladder: definitions, periods, entries, events.
--
-- Locks: creates new objects only. Old binaries: none exist.
-- Undo by hand: 0001_initial.down.sql drops the schema and all that is in it.
--
-- The one idea to keep in mind: an entry's place is the row comparison
--
--     (k1, k2, k3, player)        ascending is better, on every board
--
-- k1 is the score, k2 the subscore (bitwise complemented on a `desc` board, which reverses the order
-- of the whole int64 range without overflow), k3 the moment the entry got its value in microseconds
-- since 1970 (complemented where the later one wins a tie), and player its bytes. One index serves
-- every order, and the same bytes, big-endian, are the sort key in Redis.

create type ladder.score_order as enum ('desc', 'asc');
create type ladder.score_operator as enum ('best', 'last', 'sum');
create type ladder.tie_rule as enum ('first', 'last');
create type ladder.window_kind as enum ('all', 'monthly', 'weekly', 'daily', 'hourly');
create type ladder.period_state as enum ('open', 'closing', 'closed');
create type ladder.key_scope as enum ('read', 'write', 'admin');
create type ladder.event_kind as enum ('submit', 'remove');
comment on type ladder.score_order is 'Which score is better: the higher (desc) or the lower (asc).';
comment on type ladder.score_operator is 'How a submission meets the entry: best keeps the better pair, last replaces, sum adds.';
comment on type ladder.tie_rule is 'Of two equal pairs, the one reached first or the one reached last is better.';
comment on type ladder.window_kind is 'A reset schedule of a board.';
comment on type ladder.period_state is 'open takes submissions; closing waits for those on their way; closed is final.';
comment on type ladder.key_scope is 'What a key may do; each scope includes the ones before it.';
comment on type ladder.event_kind is 'A submission, or the removal of a player.';

create sequence ladder.revision as bigint;
comment on sequence ladder.revision is 'Numbers the states of all entries: taken under the row''s lock, so of two states of one entry the larger is the newer.';

create table ladder.epoch (
    epoch             integer     not null,
    system_identifier bigint      not null,
    timeline          integer     not null,
    since             timestamptz not null default now(),
    constraint epoch_epoch_pk primary key (epoch)
);
comment on table ladder.epoch is 'One row for each history of this database: after a failover or a restore, xids, LSNs and revisions are issued again, so tokens and cursors of older epochs are void.';
comment on column ladder.epoch.epoch is 'Counts up.';
comment on column ladder.epoch.system_identifier is 'pg_control_system().system_identifier of that history.';
comment on column ladder.epoch.timeline is 'WAL timeline of that history.';
comment on column ladder.epoch.since is 'When the first server noticed.';

create table ladder.game (
    id         bigint      not null generated always as identity,
    name       text        not null collate "C",
    created_at timestamptz not null default now(),
    constraint game_id_pk primary key (id),
    constraint game_name_uq unique (name),
    constraint game_name_ck check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')
);
comment on table ladder.game is 'The tenants: every board, key and player belongs to one.';
comment on column ladder.game.id is 'Internal number.';
comment on column ladder.game.name is 'The name in the URL.';
comment on column ladder.game.created_at is 'When it was made.';

create table ladder.api_key (
    id         text             not null collate "C",
    game_id    bigint           not null references ladder.game (id) on delete cascade,
    name       text             not null default '',
    scope      ladder.key_scope not null,
    hash       bytea            not null,
    created_at timestamptz      not null default now(),
    revoked_at timestamptz,
    constraint api_key_id_pk primary key (id),
    constraint api_key_hash_ck check (octet_length(hash) = 32)
);
create index api_key_game_id_idx on ladder.api_key (game_id);
comment on table ladder.api_key is 'API keys. The key itself is never stored.';
comment on index ladder.api_key_game_id_idx is 'ladder key list.';
comment on column ladder.api_key.id is 'The public part of the key, by which it is looked up.';
comment on column ladder.api_key.game_id is 'The game it opens.';
comment on column ladder.api_key.name is 'What the admin called it.';
comment on column ladder.api_key.scope is 'What it may do.';
comment on column ladder.api_key.hash is 'BLAKE2b-256 of the whole key: it has 256 random bits, so no slow hash is needed.';
comment on column ladder.api_key.created_at is 'When it was made.';
comment on column ladder.api_key.revoked_at is 'When it died, or null.';

create table ladder.board (
    id         bigint                not null generated always as identity,
    game_id    bigint                not null references ladder.game (id) on delete cascade,
    name       text                  not null collate "C",
    ordering   ladder.score_order    not null default 'desc',
    operator   ladder.score_operator not null default 'best',
    tie        ladder.tie_rule       not null default 'first',
    windows    ladder.window_kind[]  not null default '{all}',
    time_zone  text                  not null default 'UTC',
    score_min  bigint                not null default -9223372036854775808,
    score_max  bigint                not null default 9223372036854775807,
    is_public  boolean               not null default false,
    created_at timestamptz           not null default now(),
    updated_at timestamptz           not null default now(),
    deleted_at timestamptz,
    constraint board_id_pk primary key (id),
    constraint board_name_ck check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    constraint board_bounds_ck check (score_min <= score_max),
    constraint board_windows_ck check (cardinality(windows) between 1 and 5)
);
create unique index board_game_id_name_uq on ladder.board (game_id, name) where deleted_at is null;
create index board_deleted_at_idx on ladder.board (deleted_at) where deleted_at is not null;
comment on table ladder.board is 'The definitions. A deleted board keeps its row until the worker has purged its entries; a new board of the same name has another id, so it starts empty everywhere.';
comment on index ladder.board_game_id_name_uq is 'board_find, board_list.';
comment on index ladder.board_deleted_at_idx is 'The purge job.';
comment on column ladder.board.id is 'Internal number; part of cursors.';
comment on column ladder.board.game_id is 'The game.';
comment on column ladder.board.name is 'The name in the URL.';
comment on column ladder.board.ordering is 'Which score is better.';
comment on column ladder.board.operator is 'How a submission meets the entry.';
comment on column ladder.board.tie is 'Who is better of two equal pairs.';
comment on column ladder.board.windows is 'Its windows; the first is the one that answers speak of when none is named.';
comment on column ladder.board.time_zone is 'IANA zone in which its windows reset.';
comment on column ladder.board.score_min is 'Least score allowed (of the sum, where the operator is sum).';
comment on column ladder.board.score_max is 'Greatest score allowed.';
comment on column ladder.board.is_public is 'Readable without a key.';
comment on column ladder.board.created_at is 'When it was made.';
comment on column ladder.board.updated_at is 'When its definition last changed.';
comment on column ladder.board.deleted_at is 'When it was deleted, or null.';

create table ladder.period (
    id          bigint              not null generated always as identity,
    board_id    bigint              not null,
    window_kind ladder.window_kind  not null,
    starts_at   timestamptz         not null,
    ends_at     timestamptz         not null,
    state       ladder.period_state not null default 'open',
    created_at  timestamptz         not null default now(),
    closed_at   timestamptz,
    constraint period_id_pk primary key (id),
    constraint period_board_id_window_kind_starts_at_uq unique (board_id, window_kind, starts_at),
    constraint period_bounds_ck check (starts_at < ends_at)
);
create index period_ends_at_idx on ladder.period (ends_at) where state <> 'closed' and ends_at <> 'infinity';
comment on table ladder.period is 'One instance of a window, [starts_at, ends_at). Its id names the standing everywhere, in Redis too. No foreign key to board: a check on each submission would lock the board''s row.';
comment on index ladder.period_ends_at_idx is 'The roll job: what is due to close.';
comment on column ladder.period.id is 'Internal number: the standing.';
comment on column ladder.period.board_id is 'The board.';
comment on column ladder.period.window_kind is 'The window it is an instance of.';
comment on column ladder.period.starts_at is 'First instant; -infinity for all.';
comment on column ladder.period.ends_at is 'First instant after it; infinity for all.';
comment on column ladder.period.state is 'open, closing, closed.';
comment on column ladder.period.created_at is 'When the first submission, or the worker ahead of it, made the row.';
comment on column ladder.period.closed_at is 'When it became final.';

-- Current state. LIST by window, then HASH for `all` and RANGE of the start for windows that end.
create table ladder.entry (
    period_id    bigint             not null,
    player       text               not null collate "C",
    window_kind  ladder.window_kind not null,
    period_start timestamptz        not null,
    k1           bigint             not null,
    k2           bigint             not null,
    k3           bigint             not null,
    revision     bigint             not null,
    removed      boolean            not null default false,
    metadata     json,
    constraint entry_pk primary key (period_id, player, window_kind, period_start)
) partition by list (window_kind);
create index entry_rank_idx on ladder.entry (period_id, k1, k2, k3, player) where not removed;
comment on table ladder.entry is 'One player''s place in one standing. A removed entry stays as a tombstone with a new revision, so that the removal reaches Redis like any change.';
comment on index ladder.entry_rank_idx is 'Exact rank order: every page, neighbour and count that PostgreSQL answers.';
comment on column ladder.entry.period_id is 'The standing.';
comment on column ladder.entry.player is 'Player id, 1 to 64 bytes of UTF-8.';
comment on column ladder.entry.window_kind is 'Copied from the period: the partition.';
comment on column ladder.entry.period_start is 'Copied from the period: the partition.';
comment on column ladder.entry.k1 is 'Score; complemented on a desc board.';
comment on column ladder.entry.k2 is 'Subscore; complemented on a desc board.';
comment on column ladder.entry.k3 is 'When the pair was reached, microseconds since 1970; complemented where tie is last.';
comment on column ladder.entry.revision is 'From the sequence revision, under the row''s lock: the guard of every copy.';
comment on column ladder.entry.removed is 'A tombstone.';
comment on column ladder.entry.metadata is 'The caller''s JSON, at most 2 KiB, byte for byte.';

create table ladder.entry_all partition of ladder.entry for values in ('all') partition by hash (period_id);
create table ladder.entry_monthly partition of ladder.entry for values in ('monthly') partition by range (period_start);
create table ladder.entry_weekly partition of ladder.entry for values in ('weekly') partition by range (period_start);
create table ladder.entry_daily partition of ladder.entry for values in ('daily') partition by range (period_start);
create table ladder.entry_hourly partition of ladder.entry for values in ('hourly') partition by range (period_start);
comment on table ladder.entry_all is 'Standings that never end, by hash of the period.';
comment on table ladder.entry_monthly is 'Monthly standings, a partition a year.';
comment on table ladder.entry_weekly is 'Weekly standings, a partition a year.';
comment on table ladder.entry_daily is 'Daily standings, a partition a quarter.';
comment on table ladder.entry_hourly is 'Hourly standings, a partition a month.';

do $$
declare
    part text;
begin
    for remainder in 0..3 loop
        part := format('entry_all_%s', remainder);
        execute format('create table ladder.%I partition of ladder.entry_all for values with (modulus 4, remainder %s) '
                       'with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000, '
                       'autovacuum_vacuum_insert_scale_factor = 0.05)', part, remainder);
        execute format('comment on table ladder.%I is %L', part, 'A quarter of the standings that never end.');
    end loop;
end
$$;

create sequence ladder.score_event_id as bigint;
comment on sequence ladder.score_event_id is 'Numbers the events.';

create table ladder.score_event (
    id           bigint             not null default nextval('ladder.score_event_id'),
    submitted_at timestamptz        not null default now(),
    xid          xid8               not null default pg_current_xact_id(),
    board_id     bigint             not null,
    kind         ladder.event_kind  not null default 'submit',
    player       text               not null collate "C",
    score        bigint,
    subscore     bigint,
    achieved_at  timestamptz,
    period_ids   bigint[]
) partition by range (submitted_at);
create index score_event_xid_idx on ladder.score_event (xid) where period_ids is not null;
create index score_event_board_id_player_idx on ladder.score_event (board_id, player);
comment on table ladder.score_event is 'Append-only: every submission as it came, and every removal. Also the outbox: the tail reads, by xid, which entries changed.';
comment on index ladder.score_event_xid_idx is 'tail_changes: what became visible since the last snapshot.';
comment on index ladder.score_event_board_id_player_idx is 'A player''s history, and erasing it.';
comment on column ladder.score_event.id is 'Counts up, with gaps.';
comment on column ladder.score_event.submitted_at is 'Start of the transaction that took it: the partition.';
comment on column ladder.score_event.xid is 'The transaction: what the tail''s snapshot difference is taken over.';
comment on column ladder.score_event.board_id is 'The board.';
comment on column ladder.score_event.kind is 'submit or remove.';
comment on column ladder.score_event.player is 'The player.';
comment on column ladder.score_event.score is 'As submitted; null for a removal.';
comment on column ladder.score_event.subscore is 'As submitted; null for a removal.';
comment on column ladder.score_event.achieved_at is 'The moment the submission speaks of: now, or the import''s `at`.';
comment on column ladder.score_event.period_ids is 'The standings whose entry it changed; null: none.';

create table ladder.idempotency_key (
    game_id      bigint      not null,
    key          bytea       not null,
    request_hash bytea       not null,
    created_at   timestamptz not null default now(),
    backend      integer     not null default pg_backend_pid(),
    backend_at   timestamptz,
    outcome      json,
    status       smallint,
    headers      text,
    body         bytea,
    constraint idempotency_key_pk primary key (game_id, key)
);
create index idempotency_key_created_at_idx on ladder.idempotency_key using brin (created_at);
comment on table ladder.idempotency_key is 'One row for each Idempotency-Key, made in the write''s own transaction; the answer is added before it is sent.';
comment on index ladder.idempotency_key_created_at_idx is 'The purge job.';
comment on column ladder.idempotency_key.game_id is 'The game: keys of different games never meet.';
comment on column ladder.idempotency_key.key is 'BLAKE2b-256 of the API key''s id and the Idempotency-Key.';
comment on column ladder.idempotency_key.request_hash is 'BLAKE2b-256 of method, target and body: another request under the same key is refused.';
comment on column ladder.idempotency_key.created_at is 'Kept for 24 hours from here.';
comment on column ladder.idempotency_key.backend is 'The database session that made it: once that has ended, nobody is making the answer.';
comment on column ladder.idempotency_key.backend_at is 'When that session began: process numbers come again.';
comment on column ladder.idempotency_key.outcome is 'What the submissions did, as submit returned it: from it the answer can be made after a crash.';
comment on column ladder.idempotency_key.status is 'HTTP status of the first answer; null while it is being made.';
comment on column ladder.idempotency_key.headers is 'The first answer''s Ladder-Token.';
comment on column ladder.idempotency_key.body is 'The first answer, byte for byte.';

create table ladder.job_run (
    id         bigint      not null generated always as identity,
    job        text        not null,
    started_at timestamptz not null default now(),
    ended_at   timestamptz,
    rows       bigint,
    error      text,
    constraint job_run_id_pk primary key (id)
);
create index job_run_job_started_at_idx on ladder.job_run (job, started_at);
comment on table ladder.job_run is 'The ledger of background work.';
comment on index ladder.job_run_job_started_at_idx is 'The last run of a job.';
comment on column ladder.job_run.id is 'Counts up.';
comment on column ladder.job_run.job is 'Name of the job.';
comment on column ladder.job_run.started_at is 'Start.';
comment on column ladder.job_run.ended_at is 'End; null: it runs, or it died.';
comment on column ladder.job_run.rows is 'What it did, in rows.';
comment on column ladder.job_run.error is 'Why it failed, or null.';

create table ladder.import_run (
    board_id    bigint      not null,
    source_hash bytea       not null,
    rows_done   bigint      not null default 0,
    started_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint import_run_pk primary key (board_id, source_hash)
);
comment on table ladder.import_run is 'How far each import has come: moved in the same transaction as its rows, so an import that was cut goes on where it stopped and one that finished does nothing.';
comment on column ladder.import_run.board_id is 'The board.';
comment on column ladder.import_run.source_hash is 'BLAKE2b-256 of the file and of how its columns are read.';
comment on column ladder.import_run.rows_done is 'Rows of the file that are in.';
comment on column ladder.import_run.started_at is 'First start.';
comment on column ladder.import_run.updated_at is 'Last progress.';
