-- The windows by schedule go, with their periods and entries; a board that has no other is left with the window all. Of closed periods
-- the final ranks go too. The functions that use the column go with it; migrating up applies them again.
drop trigger if exists board_rescheduled on ladder.board;
drop function if exists ladder.board_rescheduled();
drop function if exists ladder.schedule_next(bigint, text, integer);
drop function if exists ladder.schedules_merge(bigint, text[], text[]);
delete from ladder.final_rank f using ladder.period p where p.id = f.period_id and p.window_kind::text like 'scheduled%';
delete from ladder.final_gap f using ladder.period p where p.id = f.period_id and p.window_kind::text like 'scheduled%';
delete from ladder.webhook_delivery d using ladder.period p where p.id = d.period_id and p.window_kind::text like 'scheduled%';
delete from ladder.period_reopening r where r.window_kind::text like 'scheduled%';
delete from ladder.period p where p.window_kind::text like 'scheduled%';
update ladder.board b
set windows = case when x.windows = '{}' then '{all}' else x.windows end
from (select q.id, array(select w.kind from unnest(q.windows) with ordinality as w (kind, nth) where w.kind::text not like 'scheduled%' order by w.nth) as windows
      from ladder.board q) x
where x.id = b.id
  and x.windows <> b.windows;
alter table ladder.entry detach partition ladder.entry_scheduled;
drop table ladder.entry_scheduled;
alter table ladder.board drop constraint board_schedules_ck;
alter table ladder.board drop constraint board_windows_ck;
alter table ladder.board add constraint board_windows_ck check (cardinality(windows) between 1 and 5);
comment on constraint board_windows_ck on ladder.board is 'At least one, at most the five that there are.';
alter table ladder.board drop column schedules;
comment on type ladder.window_kind is 'A reset schedule of a board.';
comment on type ladder.period_state is 'open takes submissions; closing waits for those on their way; closed is final.';
comment on column ladder.period.state is 'open, closing, closed.';
