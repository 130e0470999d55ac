-- Every change of a definition (a board, what it is made of, a key) has a number in its game, so that a server knows whether its copy of
-- a definition is as new as what a client has seen (docs/decisions/0075).
--
-- The number is drawn when the transaction commits: no lock on the game is held while the change itself is being made.
--
-- Locks: board, api_key and combination against writes, each for a moment. Old binaries: go on.
-- Undo by hand: 0035_definition.down.sql.
alter table ladder.game add column definition bigint not null default 0;
comment on column ladder.game.definition is 'The number of the newest change of its boards, combinations and keys.';

create function ladder.definition_note() returns trigger
language plpgsql as $$
begin
    if tg_table_name = 'combination' then
        update ladder.game g
        set definition = g.definition + 1
        from ladder.board b
        where b.id = coalesce(new.board_id, old.board_id)
          and g.id = b.game_id;
    else
        update ladder.game g
        set definition = g.definition + 1
        where g.id = coalesce(new.game_id, old.game_id);
    end if;
    return null;
end
$$;
comment on function ladder.definition_note() is 'Numbers a change of a definition, at the end of its transaction.';

create constraint trigger board_definition_note
after insert or update or delete on ladder.board
deferrable initially deferred
for each row execute function ladder.definition_note();
comment on constraint board_definition_note on ladder.board is 'A change of a board has a number.';

create constraint trigger api_key_definition_note
after update or delete on ladder.api_key
deferrable initially deferred
for each row execute function ladder.definition_note();
comment on constraint api_key_definition_note on ladder.api_key is 'So has the end of a key; a new one is nowhere known yet.';

-- Not for every time that the worker brings it up to date.
create constraint trigger combination_definition_note
after insert or update of rule or delete on ladder.combination
deferrable initially deferred
for each row execute function ladder.definition_note();
comment on constraint combination_definition_note on ladder.combination is 'So has a change of what a board is made of.';
