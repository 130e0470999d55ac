-- The periods of a board that were opened again, oldest first.
-- $1 board id
select ladder.window_title(r.window_kind, b.schedules), ladder.time_text(r.starts_at), ladder.time_text(r.closed_at), ladder.time_text(r.reopened_at),
       ladder.time_text(r.close_at), r.login, r.person, r.reason
from ladder.period_reopening r
join ladder.board b on b.id = r.board_id
where r.board_id = $1::bigint
order by r.id
