-- What closing a period, noticing a restored dump and the ledger of jobs need to remember.
--
-- Locks: period, epoch and job_run for a moment (columns without a stored value). Old binaries: go on; they know these tables
-- through functions, or by the columns that they name.
-- Undo by hand: 0003_history.down.sql.
alter table ladder.period add column settle_xid xid8;
comment on column ladder.period.settle_xid is 'While closing: every transaction that may have seen it open is older than this one.';

alter table ladder.epoch add column incarnation oid not null default 'ladder.epoch'::regclass;
alter table ladder.epoch alter column incarnation drop default;
comment on column ladder.epoch.incarnation is 'The oid of this table in that history: another one when a dump was restored.';

comment on column ladder.entry.metadata is 'The caller''s JSON object, at most 2 KiB as compact text, which is how it is kept and given back.';

alter table ladder.job_run add column runner text not null default '';
comment on column ladder.job_run.runner is 'Host and process that ran it.';
comment on column ladder.job_run.ended_at is 'End; null: it runs, or its runner died and nobody has run the job since.';
create index job_run_job_unended_idx on ladder.job_run (job) where ended_at is null;
comment on index ladder.job_run_job_unended_idx is 'job_start: runs whose runner died.';
create index job_run_job_idle_idx on ladder.job_run (job) where rows = 0 and error is null;
comment on index ladder.job_run_job_idle_idx is 'job_end: the last run that found nothing to do.';
