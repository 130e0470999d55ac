-- Forgets how old answers may be: what edges keep until then grows old untold.
drop table ladder.edge_purge;
alter table ladder.board
    drop column max_staleness_ms,
    drop column max_age_s,
    drop column stale_while_revalidate_s,
    drop column stale_if_error_s,
    drop column edge_max_age_s;
comment on column ladder.board.updated_at is 'When its definition last changed.';
