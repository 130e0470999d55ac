-- What the worker must know to load a standing.
-- $1 period
select p.window_kind, p.starts_at, p.state, b.id is null or b.deleted_at is not null as is_gone, p.board_id
from ladder.period p
left join ladder.board b on b.id = p.board_id
where p.id = $1::bigint
