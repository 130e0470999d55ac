-- A third kind of event: the metadata of a player's entries was changed without a submission.
--
-- Locks: none on tables.
-- Old binaries: go on; they write and read the other two kinds, and apply the entries of this one like those of a submission.
-- Undo by hand: PostgreSQL can't remove a value from an enum; the down migration replaces the type.
alter type ladder.event_kind add value 'describe';
comment on type ladder.event_kind is 'A submission, the removal of a player, or a change of the metadata alone.';
comment on column ladder.score_event.kind is 'submit, remove or describe.';
comment on column ladder.score_event.score is 'As submitted; null for other kinds.';
comment on column ladder.score_event.subscore is 'As submitted; null for other kinds.';
comment on table ladder.score_event is 'Append-only: every submission as it came, every removal, and every change of metadata alone. Also the outbox: the tail reads, by xid, which entries changed.';
