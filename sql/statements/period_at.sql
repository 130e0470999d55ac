-- The period of a window at an instant, or the pause of a schedule (state `pause`): its row if it has one (id null otherwise), its bounds in any case; and what time it is
-- here. No row at all: the board is gone. Of a facet's standing: the id is null while nobody was in it; `exists` is of the whole
-- board's.
-- $1 board id, $2 window, $3 microseconds, $4 facet's key; '': the whole board
select case when $4::text = '' then p.id else f.id end as id, $2::ladder.window_kind as window_kind, ladder.us_of(coalesce(p.starts_at, x.starts_at)) as starts_us,
       ladder.us_of(coalesce(p.ends_at, x.ends_at)) as ends_us, case when $4::text = '' or f.id is not null then coalesce(f.state, p.state, case when x.is_pause then 'pause' else 'open' end::ladder.period_state)
            when p.state = 'pause' or x.is_pause then 'pause' else 'open' end as state,
       ladder.us_of(clock_timestamp()) as at_us, p.id is not null as exists
from ladder.board b
left join lateral ladder.period_of(b.id, $2::ladder.window_kind, ladder.time_of($3::bigint)) p on true
cross join lateral ladder.window_bounds($2::ladder.window_kind, b.time_zone, b.schedules, case when p.id is null then ladder.time_of($3::bigint) end) x
left join ladder.period f on $4::text <> '' and f.board_id = p.board_id and f.facet = $4::text collate "C" and f.window_kind = p.window_kind
                         and f.starts_at = p.starts_at
where b.id = $1::bigint
  and b.deleted_at is null
