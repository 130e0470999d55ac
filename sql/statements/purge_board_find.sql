-- Boards that were deleted a while ago, or whose game was: no server takes submissions for them any more.
select b.id
from ladder.board b
join ladder.game g on g.id = b.game_id
where b.deleted_at < now() - interval '1 minute'
   or g.deleted_at < now() - interval '1 minute'
order by b.deleted_at
limit 10
