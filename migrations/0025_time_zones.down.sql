-- Nothing to undo: what was spelled otherwise is the same zone.
select 1;
