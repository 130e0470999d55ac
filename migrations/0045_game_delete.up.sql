-- Games can be deleted: the name is free at once, and the purge job removes the rest in pieces.
alter table ladder.game add column deleted_at timestamptz;
comment on column ladder.game.deleted_at is 'When it was deleted, or null. Its name is then ~ and its number, which no URL can name, until the purge job has removed it.';
alter table ladder.game drop constraint game_name_ck;
alter table ladder.game add constraint game_name_ck
    check (case when deleted_at is null then name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' else name = '~' || id end);
comment on constraint game_name_ck on ladder.game is 'What a URL can name; of a deleted game what none can.';
