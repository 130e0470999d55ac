-- What was deleted and is not purged yet stays as a game of another name.
alter table ladder.game drop constraint game_name_ck;
update ladder.game
set name = 'deleted-' || id
where deleted_at is not null;
alter table ladder.game add constraint game_name_ck check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$');
comment on constraint game_name_ck on ladder.game is 'A part of a path that needs no escapes.';
alter table ladder.game drop column deleted_at;
