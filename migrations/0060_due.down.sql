-- The functions that use the table go with it; migrating up applies them again.
drop function if exists ladder.combine_due(integer);
drop function if exists ladder.combine_run(bigint);
delete from ladder.job_item where job = 'combine';
drop table ladder.combine_cursor;
drop index ladder.combination_new_idx;
comment on table ladder.job_item is 'When a job must look at a board. The jobs roll and snapshot have a row for each board; others have one only while they fail for the board.';

drop index ladder.idempotency_key_created_at_idx;
create index idempotency_key_created_at_idx on ladder.idempotency_key using brin (created_at);
comment on index ladder.idempotency_key_created_at_idx is 'The purge job.';
