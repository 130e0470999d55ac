-- The type is replaced, which rewrites score_event under an exclusive lock. What was a change of metadata becomes a removal, for the
-- tail, which reads the entry as it is; the purge job deletes such an event without touching the entry.
drop function if exists ladder.player_describe(bigint, text, text, text, boolean);
update ladder.score_event
set kind = 'remove'
where kind = 'describe';
drop index ladder.score_event_removed_idx;
alter table ladder.score_event alter column kind drop default;
alter type ladder.event_kind rename to event_kind_0050;
create type ladder.event_kind as enum ('submit', 'remove');
alter table ladder.score_event alter column kind type ladder.event_kind using kind::text::ladder.event_kind;
alter table ladder.score_event alter column kind set default 'submit';
drop type ladder.event_kind_0050;
create index score_event_removed_idx on ladder.score_event (submitted_at) where kind = 'remove';
comment on index ladder.score_event_removed_idx is 'purge_tombstone_find: the few removals among all events.';
comment on type ladder.event_kind is 'A submission, or the removal of a player.';
comment on column ladder.score_event.kind is 'submit or remove.';
comment on column ladder.score_event.score is 'As submitted; null for a removal.';
comment on column ladder.score_event.subscore is 'As submitted; null for a removal.';
comment on table ladder.score_event is 'Append-only: every submission as it came, and every removal. Also the outbox: the tail reads, by xid, which entries changed.';
