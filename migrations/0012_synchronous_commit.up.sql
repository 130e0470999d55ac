-- What an acknowledged submission to a board has survived, where a game asks for more, or for less, than the others.
--
-- Locks: ladder.board for a moment; a constant as default, so the table is not written again. Old binaries: go on; they commit as
-- the database does.
-- Undo by hand: 0012_synchronous_commit.down.sql.
alter table ladder.board
    add column synchronous_commit text not null default 'default',
    add constraint board_synchronous_commit_ck check (synchronous_commit in ('default', 'local', 'remote_write', 'on', 'remote_apply'));
comment on column ladder.board.synchronous_commit is 'synchronous_commit of the transactions that take its submissions; default: as the connection has it.';
comment on constraint board_synchronous_commit_ck on ladder.board is 'PostgreSQL''s own, without off: an acknowledged write is on a disk.';
