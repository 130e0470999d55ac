-- What is left of a season: final ranks, the webhook that tells of it, daily snapshots; and boards made of others.
--
-- Locks: ladder.period for a moment (a column without a stored value); the tables are new. Old binaries: go on; they close
-- periods without ranks, which the roll job makes up for.
-- Undo by hand: 0008_seasons.down.sql.

-- ---- final ranks ----

alter table ladder.period add column final_count bigint;
comment on column ladder.period.final_count is 'How many entries it closed with; null: its final ranks are not computed.';
create index period_unranked_idx on ladder.period (id) where state = 'closed' and final_count is null;
comment on index ladder.period_unranked_idx is 'roll_settled: closed by a program that computed no ranks.';
create index period_closing_idx on ladder.period (id) where state = 'closing';
comment on index ladder.period_closing_idx is 'roll_pending, roll_settling, roll_settled.';

create table ladder.final_rank (
    period_id bigint not null,
    player    text   not null collate "C",
    rank      bigint not null,
    constraint final_rank_pk primary key (period_id, player)
) partition by hash (period_id);
comment on table ladder.final_rank is 'Who was where when a period closed: written once by the transaction that closes it, then never changed. The score is in entry, which has not changed since either.';
comment on column ladder.final_rank.period_id is 'The standing.';
comment on column ladder.final_rank.player is 'The player.';
comment on column ladder.final_rank.rank is 'Ordinal place, 1 is the best, as it was at closing. Less the erased ones before it (final_gap) it is today''s.';

do $$
begin
    for remainder in 0..7 loop
        execute format('create table ladder.%I partition of ladder.final_rank for values with (modulus 8, remainder %s)', 'final_rank_' || remainder, remainder);
        execute format('comment on table ladder.%I is %L', 'final_rank_' || remainder, 'An eighth of the final ranks, by hash of the period.');
    end loop;
end
$$;

create table ladder.final_gap (
    period_id bigint not null,
    rank      bigint not null,
    constraint final_gap_pk primary key (period_id, rank)
);
comment on table ladder.final_gap is 'Places of erased players in closed periods: who was behind them moves up, without a row of theirs being written.';
comment on column ladder.final_gap.period_id is 'The standing.';
comment on column ladder.final_gap.rank is 'The place, as it was at closing.';

-- ---- webhook ----

create table ladder.webhook (
    game_id    bigint      not null,
    url        text        not null,
    secret     bytea       not null,
    top_count  integer     not null default 10,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint webhook_game_id_pk primary key (game_id),
    constraint webhook_game_id_fk foreign key (game_id) references ladder.game (id) on delete cascade,
    constraint webhook_url_ck check (url ~* '^https?://[^/?#]' and octet_length(url) <= 1000),
    constraint webhook_secret_ck check (octet_length(secret) between 24 and 64),
    constraint webhook_top_count_ck check (top_count between 0 and 1000)
);
comment on table ladder.webhook is 'Where a game wants to be told that a period has closed.';
comment on column ladder.webhook.game_id is 'The game.';
comment on column ladder.webhook.url is 'Where it is POSTed to, http or https.';
comment on column ladder.webhook.secret is 'What each message is signed with (HMAC-SHA256). Kept as it is, because it must be used.';
comment on column ladder.webhook.top_count is 'How many of the best a message names.';
comment on column ladder.webhook.created_at is 'When it was first set.';
comment on column ladder.webhook.updated_at is 'When it was last set.';

create table ladder.webhook_delivery (
    id           bigint      not null generated always as identity,
    message_id   text        not null,
    game_id      bigint      not null,
    period_id    bigint,
    created_at   timestamptz not null default now(),
    next_at      timestamptz default now(),
    attempts     integer     not null default 0,
    last_error   text,
    delivered_at timestamptz,
    constraint webhook_delivery_id_pk primary key (id),
    constraint webhook_delivery_period_id_uq unique (period_id),
    constraint webhook_delivery_game_id_fk foreign key (game_id) references ladder.game (id) on delete cascade
);
create index webhook_delivery_next_at_idx on ladder.webhook_delivery (next_at) where next_at is not null;
create index webhook_delivery_game_id_idx on ladder.webhook_delivery (game_id);
create index webhook_delivery_created_at_idx on ladder.webhook_delivery (created_at) where next_at is null;
comment on table ladder.webhook_delivery is 'The outbox: a message for each closed period, written by the transaction that closes it, sent by the worker until it is taken. The text is made when it is sent, from what can''t change any more.';
comment on index ladder.webhook_delivery_next_at_idx is 'webhook_claim: what is due.';
comment on index ladder.webhook_delivery_game_id_idx is 'webhook_claim, ladder game webhook show: those of a game.';
comment on index ladder.webhook_delivery_created_at_idx is 'webhook_purge.';
comment on constraint webhook_delivery_period_id_uq on ladder.webhook_delivery is 'One message a period, whatever happens.';
comment on column ladder.webhook_delivery.id is 'Counts up.';
comment on column ladder.webhook_delivery.message_id is 'The same in every try: by it the receiver knows a repetition.';
comment on column ladder.webhook_delivery.game_id is 'The game.';
comment on column ladder.webhook_delivery.period_id is 'The closed standing; null: a test.';
comment on column ladder.webhook_delivery.created_at is 'When the period closed.';
comment on column ladder.webhook_delivery.next_at is 'When to try (again); while one tries, when another may. Null: delivered or given up.';
comment on column ladder.webhook_delivery.attempts is 'How often it was tried.';
comment on column ladder.webhook_delivery.last_error is 'Why the last try failed.';
comment on column ladder.webhook_delivery.delivered_at is 'When it was taken.';

-- ---- history ----

create table ladder.standing_snapshot (
    board_id bigint      not null,
    player   text        not null collate "C",
    at       timestamptz not null,
    rank     bigint      not null,
    k1       bigint      not null,
    k2       bigint      not null,
    constraint standing_snapshot_pk primary key (board_id, player, at)
) partition by range (at);
comment on table ladder.standing_snapshot is 'Standings that never end, as they stood at each midnight of their board: who had moved since the midnight before, and the best.';
comment on column ladder.standing_snapshot.board_id is 'The board.';
comment on column ladder.standing_snapshot.player is 'The player.';
comment on column ladder.standing_snapshot.at is 'The midnight, in the board''s time zone: the partition.';
comment on column ladder.standing_snapshot.rank is 'Ordinal place then.';
comment on column ladder.standing_snapshot.k1 is 'Score then; complemented on a desc board.';
comment on column ladder.standing_snapshot.k2 is 'Subscore then; complemented on a desc board.';

create table ladder.snapshot_run (
    board_id     bigint      not null,
    at           timestamptz not null,
    taken_at     timestamptz not null default clock_timestamp(),
    revision     bigint      not null,
    rows         bigint      not null,
    constraint snapshot_run_pk primary key (board_id, at)
);
comment on table ladder.snapshot_run is 'Which snapshots were taken: written with their rows, so each is taken once.';
comment on column ladder.snapshot_run.board_id is 'The board.';
comment on column ladder.snapshot_run.at is 'The midnight.';
comment on column ladder.snapshot_run.taken_at is 'When it was taken: a worker that was away comes late.';
comment on column ladder.snapshot_run.revision is 'Every change up to this revision is in it; those above are for the next.';
comment on column ladder.snapshot_run.rows is 'How many rows it has.';

-- ---- boards made of others ----

create type ladder.combination_rule as enum ('sum', 'max', 'min');
comment on type ladder.combination_rule is 'How the scores of a player on several boards become one.';

create table ladder.combination (
    board_id     bigint                  not null,
    rule         ladder.combination_rule not null,
    snapshot     pg_snapshot,
    caught_up_at timestamptz,
    epoch        integer,
    constraint combination_board_id_pk primary key (board_id),
    constraint combination_board_id_fk foreign key (board_id) references ladder.board (id) on delete cascade
);
comment on table ladder.combination is 'Boards that take no submissions, because they are made of others, player by player.';
comment on column ladder.combination.board_id is 'The combined board.';
comment on column ladder.combination.rule is 'Weighted sum, greatest or least.';
comment on column ladder.combination.snapshot is 'Every change of the sources that this sees is in it; null: it is to be made anew.';
comment on column ladder.combination.caught_up_at is 'When that was.';
comment on column ladder.combination.epoch is 'The history in which that snapshot means something.';

create table ladder.combination_source (
    board_id  bigint not null,
    source_id bigint not null,
    weight    bigint not null default 1,
    constraint combination_source_pk primary key (board_id, source_id),
    constraint combination_source_board_id_fk foreign key (board_id) references ladder.combination (board_id) on delete cascade,
    constraint combination_source_weight_ck check (weight between -1000000 and 1000000 and weight <> 0),
    constraint combination_source_itself_ck check (board_id <> source_id)
);
create index combination_source_source_id_idx on ladder.combination_source (source_id);
comment on table ladder.combination_source is 'What a combined board is made of.';
comment on index ladder.combination_source_source_id_idx is 'Which boards a change concerns.';
comment on column ladder.combination_source.board_id is 'The combined board.';
comment on column ladder.combination_source.source_id is 'A board of the same game, itself not combined. No foreign key: a deleted one counts nothing.';
comment on column ladder.combination_source.weight is 'Its scores are multiplied by it.';
