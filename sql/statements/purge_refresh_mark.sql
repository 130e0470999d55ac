-- Marks of boards that are gone, once every view has done without them.
-- $1 limit
delete from ladder.refresh_mark m
where (m.input, m.board_id) in (
    select q.input, q.board_id
    from ladder.refresh_mark q
    where q.changed_v is not null
      and not exists (select from ladder.board b where b.id = q.board_id)
      and not exists (select
                      from ladder.refresh_state r
                      where q.input = any (ladder.refresh_inputs(r.view))
                        and r.done_v < q.changed_v)
    limit $1::int)
