-- Makes the current and the coming period of every window of every board that has one that ends.
-- $1 how far ahead, in seconds
select ladder.period_ensure(x.boards || x.boards, x.now || x.soon) as id
from (select array_agg(b.id) as boards,
             array_agg(now()) as now,
             array_agg(now() + $1::int * interval '1 second') as soon
      from ladder.board b
      where b.deleted_at is null
        and b.windows <> '{all}') x
where x.boards is not null
