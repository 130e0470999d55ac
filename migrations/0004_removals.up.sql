-- The purge looks for old tombstones each minute, by the events that made them.
--
-- Locks: score_event against writes while its index is built: it holds the removals alone, but every event is read for it.
-- Old binaries: go on.
-- Undo by hand: drop the index.
create index score_event_removed_idx on ladder.score_event (submitted_at) where kind = 'remove';
comment on index ladder.score_event_removed_idx is 'purge_tombstone_find: the few removals among all events.';
