-- Boards that were deleted a while ago: no server takes submissions for them any more.
select b.id
from ladder.board b
where b.deleted_at < now() - interval '1 minute'
order by b.deleted_at
limit 10
